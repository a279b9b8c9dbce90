"""The files that an import takes: a place and wildcards (``rest_api.md``, GoogleCloudHealthcareV1DicomGcsSource)."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

from dicombq.errors import InvalidArgument
from dicombq.names import Parent, StoreName, is_object_uri
from dicombq.rows.record import Record
from dicombq.stores.archive_files import MemberRef
from dicombq.stores.base import Failure, InstanceRef, Result, Skipped, Store, StoreOptions
from dicombq.stores.filters import Filter
from dicombq.stores.registry import absolute_source, reopen_store
from dicombq.system.files import printable

_WILDCARDS = re.compile(r"\*\*|\*|\?")
_MEANINGS = {"**": ".*", "*": "[^/]*", "?": "[^/]"}
_RECURSIVE = re.compile(r"[^*?]*\*\*(\.[^*?/]+)?")
_HINT = (
    "* stands for characters other than /, ** for any characters, ? for one; ** stands at the end, without others, "
    "or before a suffix: gs://BUCKET/FOLDER/**.dcm."
)


@dataclass(frozen=True)
class Pattern:
    """A place, literally, and what follows it, with wildcards; empty for the place itself, a file."""

    root: str
    rest: str

    @classmethod
    def parse(cls, text: str) -> Pattern:
        """Read ``gs://BUCKET/OBJECT`` or a local path, with wildcards in it or none.

        Raises
        ------
        InvalidArgument
            Where it does not have the form that the API knows.
        """
        wildcard = _WILDCARDS.search(text)
        if wildcard is None:
            if text.endswith("/") or os.path.isdir(text):
                raise InvalidArgument(f"[{printable(text)}] is a folder", f"Name its files: {text.rstrip('/')}/**")
            return cls(text, "")
        if "**" in text and not _RECURSIVE.fullmatch(text):
            raise InvalidArgument(f"the wildcards in [{printable(text)}] are not supported", _HINT)
        root, slash, _ = text[: wildcard.start()].rpartition("/")
        if is_object_uri(text) and root in ("gs:/", "s3:/"):
            raise InvalidArgument(f"the wildcards in [{printable(text)}] are not supported", _HINT)
        return cls(root or (slash or "."), text[len(root) + len(slash) :])

    def matches(self, below: str) -> bool:
        """Tell whether a path, as it is below the root, is one of those that are meant."""
        return not self.rest or re.fullmatch(self._expression, below, re.DOTALL) is not None

    @property
    def is_recursive(self) -> bool:
        """Whether all folders below the root are meant."""
        return "**" in self.rest

    @property
    def _expression(self) -> str:
        parts = re.split(rf"({_WILDCARDS.pattern})", self.rest)
        return "".join(_MEANINGS.get(part) or re.escape(part) for part in parts)


@dataclass(frozen=True)
class MatchingStore:
    """The files of a store that a pattern names."""

    store: Store[Any]
    pattern: Pattern

    @classmethod
    def open(cls, text: str, options: StoreOptions) -> MatchingStore:
        """Open the place that a pattern names; errors are those of `Pattern.parse` and `open_store`."""
        pattern = Pattern.parse(text)
        return cls.reopen(Pattern(absolute_source(pattern.root, Parent(), options), pattern.rest), options)

    @classmethod
    def reopen(cls, pattern: Pattern, options: StoreOptions) -> MatchingStore:
        """Open a place whose whole path is known; it may be gone."""
        return cls(reopen_store(StoreName(Parent(), "import"), pattern.root, options), pattern)

    @property
    def name(self) -> StoreName:
        """The name of the store that has the files."""
        return self.store.name

    @property
    def source(self) -> str:
        """The pattern, with the whole path."""
        return f"{self._below}{self.pattern.rest}" if self.pattern.rest else self.store.source

    @property
    def options(self) -> StoreOptions:
        """How the files are read."""
        return self.store.options

    @property
    def _below(self) -> str:
        return f"{self.store.source.rstrip('/')}/"

    def ref(self, noted: list[Any]) -> InstanceRef:
        """Make a reference of its fields."""
        ref: InstanceRef = self.store.ref(noted)
        return ref

    def has(self, ref: InstanceRef) -> bool:
        """Tell whether a file is still there."""
        return self.store.has(ref)

    def list(self, prefix: str = "", wanted: Filter | None = None) -> Iterator[InstanceRef | Failure | Skipped]:
        """Stream the files that match, and of a recursive pattern all folders that cannot be looked at."""
        for entry in self.store.list(prefix, wanted):
            ref = entry.ref if isinstance(entry, Failure | Skipped) else entry
            is_anywhere = isinstance(entry, Failure) and self.pattern.is_recursive
            if is_anywhere or any(self.pattern.matches(uri.removeprefix(self._below)) for uri in _uris(ref)):
                yield entry

    def original(self, ref: InstanceRef, updated: str) -> AbstractContextManager[Iterator[bytes]]:
        """Open a file's bytes."""
        return self.store.original(ref, updated)

    def read(self, refs: Iterable[InstanceRef], record_type: type[Record], max_element_size: int) -> Iterator[Result]:
        """Read each file's header."""
        return self.store.read(refs, record_type, max_element_size)


def _uris(ref: InstanceRef) -> tuple[str, ...]:
    """Give the place of something, and of the archive that it is in."""
    return (ref.uri, str(ref.container[0])) if isinstance(ref, MemberRef) else (ref.uri,)
