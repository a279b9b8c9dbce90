"""Media types that a client accepts (RFC 9110 12.5.1, PS3.18 8.7)."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

_PARAMETER = re.compile(r';\s*([\w-]+)\s*=\s*("[^"]*"|[^;,\s]*)')
_RANGE = re.compile(r'\s*([\w.*+-]+/[\w.*+-]+)((?:\s*;\s*[\w-]+\s*=\s*(?:"[^"]*"|[^;,"\s]*))*)\s*(?:,|$)')


@dataclass(frozen=True)
class MediaType:
    """A media type, or a range of them; parameters have lower case names."""

    name: str
    parameters: dict[str, str] = field(default_factory=dict)

    @property
    def quality(self) -> float:
        """How much it is wanted; 0 is not at all."""
        try:
            return min(max(float(self.parameters.get("q", "1")), 0.0), 1.0)
        except ValueError:
            return 0.0

    def covers(self, name: str) -> bool:
        """Tell whether a media type is in the range."""
        kind = name.partition("/")[0]
        return self.name in ("*/*", f"{kind}/*", name)


def accepted(header: str) -> list[MediaType]:
    """Read the header ``Accept``, the most wanted first; what is not of its form is left out."""
    found = [_media_type(name, parameters) for name, parameters in _RANGE.findall(header)]
    return sorted((each for each in found if each.quality), key=lambda each: -each.quality)


def content_type(header: str) -> MediaType:
    """Read the header ``Content-Type``."""
    name, separator, parameters = header.partition(";")
    return _media_type(name.strip(), separator + parameters)


def _media_type(name: str, parameters: str) -> MediaType:
    read = {key.lower(): value.strip('"') for key, value in _PARAMETER.findall(parameters)}
    return MediaType(name.lower(), read)
