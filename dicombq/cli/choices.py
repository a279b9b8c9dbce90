"""Options that refuse a value in gcloud's words."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from dicombq.warehouses.base import Parameter

FORMATS = ("csv", "json", "table", "yaml")
VALUE = re.compile(r"value\(([^()]+)\)")
"""``value(KEY)``, and ``value(KEY,KEY)``."""


class InvalidChoice(click.BadParameter):
    """A value that an option does not have."""

    def __init__(
        self, value: object, valid: Iterable[str], ctx: click.Context | None, param: click.Parameter | None
    ) -> None:
        message = f"Invalid choice: '{value}'.\n\nValid choices are [{', '.join(sorted(valid))}]."
        super().__init__(message, ctx, param)


class Choice(click.Choice[str]):
    """One of some words."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Take a word, or refuse it."""
        if value not in self.choices:
            raise InvalidChoice(value, self.choices, ctx, param)
        return str(value)


def check_format(ctx: click.Context, param: click.Parameter, value: str | None) -> str | None:
    """Take a format, or refuse it before anything is done."""
    if value is not None and value not in FORMATS and not VALUE.fullmatch(value):
        raise InvalidChoice(value, (*FORMATS, "value(KEY)"), ctx, param)
    return value


def duration(ctx: click.Context, param: click.Parameter, value: str | None) -> float | None:
    """Take a time span, ``30s``, ``15m``, ``12h``, ``30d`` or plain seconds, and give it in seconds."""
    if value is None:
        return None
    match = re.fullmatch(r"(\d+(?:\.\d+)?)([smhd]?)", value)
    if not match:
        raise click.BadParameter(f"'{value}' is not a duration such as 30s, 15m, 12h or 30d.", ctx, param)
    return float(match[1]) * {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400}[match[2]]


def size(ctx: click.Context, param: click.Parameter, value: str) -> int:
    """Take a number of bytes, ``500MB``, ``20GB`` or plain bytes."""
    match = re.fullmatch(r"(\d+)(|KB|MB|GB|TB)", value.upper())
    if not match:
        raise click.BadParameter(f"'{value}' is not a size such as 500MB or 20GB.", ctx, param)
    return int(match[1]) * {"": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}[match[2]]


def limit(ctx: click.Context, param: click.Parameter, value: str) -> Callable[[int], int]:
    """Take a number or a share, ``100`` or ``5%``, and give the function that tells how many of a total that is."""
    match = re.fullmatch(r"(\d+)(%?)", value)
    if not match or (match[2] and int(match[1]) > 100):
        raise click.BadParameter(f"'{value}' is neither a number nor a share such as 5%.", ctx, param)
    number = int(match[1])
    return (lambda total: total * number // 100) if match[2] else (lambda _total: number)


def check_cloud_logging(ctx: click.Context, param: click.Parameter, value: bool) -> bool:
    """Refuse to log to Cloud Logging where its client is not installed, before anything is done."""
    if value:
        from dicombq.operations.cloud_logging import is_installed

        if not is_installed():
            raise click.BadParameter(
                "google-cloud-logging is not installed. Install it: pip install 'dicombq[logging]'", ctx, param
            )
    return value


def alias(ctx: click.Context, param: click.Parameter, values: tuple[str, ...]) -> dict[str, str]:
    """Take NAME=TABLE; backticks, and the colon of legacy names, may be there; ``instances`` is the SOURCE."""
    found: dict[str, str] = {}
    for value in values:
        name, _, table = (part.strip("`[]").replace(":", ".") for part in value.partition("="))
        if not (re.fullmatch(r"[\w.-]+", name) and re.fullmatch(r"([\w.-]+\.)?\w+\.\w+|instances", table)):
            raise click.BadParameter(f"'{value}' is not NAME=DATASET.TABLE, nor NAME=instances.", ctx, param)
        found[name] = table
    return found


def parameter(ctx: click.Context, param: click.Parameter, values: tuple[str, ...]) -> tuple[Parameter, ...]:
    """Take NAME:TYPE:VALUE, as ``bq query`` does; NULL is a value of every type."""
    from dicombq.warehouses.base import PARAMETER_TYPES, Parameter

    found: list[Parameter] = []
    for given in values:
        match = re.fullmatch(r"(\w*):(ARRAY<(\w+)>|\w*):(.*)", given, re.DOTALL)
        kind = (match[3] or match[2] or "STRING").upper() if match else ""
        if not match or kind not in PARAMETER_TYPES:
            raise click.BadParameter(
                f"'{given.partition(':')[0]}' is not NAME:TYPE:VALUE with a TYPE of {', '.join(PARAMETER_TYPES)}, or "
                "ARRAY<TYPE>.",
                ctx,
                param,
            )
        found.append(Parameter(match[1], kind, _array(match[4], ctx, param) if match[3] else _scalar(match[4])))
    return tuple(found)


def _scalar(text: str) -> str | None:
    return None if text == "NULL" else text


def _array(text: str, ctx: click.Context, param: click.Parameter) -> list[str]:
    try:
        values = json.loads(text)
    except ValueError:
        values = None
    if not isinstance(values, list) or any(isinstance(value, (list, dict)) or value is None for value in values):
        raise click.BadParameter('the value of an ARRAY is not a JSON array, such as ["a", "b"].', ctx, param)
    return [value if isinstance(value, str) else json.dumps(value) for value in values]
