"""Options that refuse a value in gcloud's words."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Any

import click

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
