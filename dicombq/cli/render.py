"""What a user sees; the only place that prints."""

from __future__ import annotations

import contextlib
import csv
import itertools
import json
import os
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TextIO

import click

from dicombq.cli.choices import VALUE, InvalidChoice
from dicombq.cli.values import flatten, values_text, yaml_text
from dicombq.errors import Cancelled, DicombqError, NotConfirmed, StillRunning
from dicombq.questions.values import cell, on_one_line, plain, printed
from dicombq.system.mappings import value_at

if TYPE_CHECKING:
    import logging

    from dicombq.operations.state import Operation

_TABLE_BLOCK = 1000
_LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40, "none": 100}


class Output:
    """Prints for one command.

    Parameters
    ----------
    path
        The command as it was typed: ``dicombq export bq``.
    format_
        ``yaml json csv table value(KEY)``, None for the command's own.
    """

    def __init__(self, path: str, format_: str | None, *, verbosity: str, log_http: bool, quiet: bool = False) -> None:
        self._path = path
        self._quiet = quiet
        self._format = format_
        self._level = _LEVELS[verbosity]
        if log_http:
            _log_http()

    @classmethod
    def for_command(cls, ctx: click.Context) -> Output:
        """Take the flags that every command has from its context."""
        given = ctx.params
        return cls(
            ctx.command_path,
            given.pop("format_"),
            verbosity=given.pop("verbosity"),
            log_http=given.pop("log_http"),
            quiet=given.pop("quiet"),
        )

    @property
    def level(self) -> int:
        """What is told at least, as a level of `logging`."""
        return self._level

    @property
    def is_whole(self) -> bool:
        """Whether resources are printed with all that they have, and not by columns."""
        return self._format in ("json", "yaml")

    @property
    def is_asked(self) -> bool:
        """Whether somebody wants the result even where it is that nothing happened."""
        return self._format is not None or _is_terminal(sys.stdout)

    @property
    def is_table(self) -> bool:
        """Whether lists are printed as tables, for people."""
        return self._format in (None, "table")

    def status(self, text: str) -> None:
        """Tell people how it goes."""
        _tell(f"{on_one_line(text)}\n")

    def debug(self, text: str) -> None:
        """Tell what only ``--verbosity=debug`` wants to know."""
        if self._level <= _LEVELS["debug"]:
            _tell(f"DEBUG: {on_one_line(text)}\n")

    def warning(self, text: str) -> None:
        """Warn, unless ``--verbosity`` says not to."""
        if self._level <= _LEVELS["warning"]:
            _tell(f"WARNING: {on_one_line(text)}\n")

    def error(self, error: DicombqError) -> int:
        """Print one line and a hint; give the exit code."""
        _tell(f"ERROR: ({self._path.replace(' ', '.')}) {on_one_line(error.message)}.\n")
        if error.hint:
            _tell(f"{on_one_line(error.hint)}\n")
        return error.exit_code

    @staticmethod
    def give_up_writing() -> None:
        """Keep the interpreter from writing what is left to a pipe that nobody reads or a disk that is full."""
        for stream in (sys.stdout, sys.stderr):
            try:
                if stream is not None:
                    stream.flush()
            except OSError:
                os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())

    def text(self, text: str) -> None:
        """Print a text, as it is, for another program."""
        _write(sys.stdout, f"{text}\n")

    def resource(self, resource: Mapping[str, Any]) -> None:
        """Print a resource as YAML, or as asked for."""
        kind = self._format or "yaml"
        if kind == "yaml":
            _write(sys.stdout, yaml_text(resource))
        elif kind == "json":
            _write(sys.stdout, json.dumps(resource, indent=2, sort_keys=True, ensure_ascii=False) + "\n")
        elif match := VALUE.fullmatch(kind):
            _write(sys.stdout, values_text(resource, match[1]) + "\n")
        else:
            flat = dict(flatten(resource))
            self._rows(kind, list(flat), iter([tuple(flat.values())]))

    def resources(self, columns: Mapping[str, str], resources: Iterable[Mapping[str, Any]]) -> None:
        """Print resources as a table, or as asked for.

        Parameters
        ----------
        columns
            Heading to the dotted path of what stands under it, for ``table`` and ``csv``.
        """
        kind = self._format or "table"
        if kind == "json":
            self._json(resources, sort_keys=not columns)
        elif kind == "yaml":
            for resource in resources:
                _write(sys.stdout, "---\n" + yaml_text(resource))
        elif match := VALUE.fullmatch(kind):
            for resource in resources:
                _write(sys.stdout, values_text(resource, match[1]) + "\n")
        else:
            rows = (tuple(value_at(resource, path) for path in columns.values()) for resource in resources)
            self._rows(kind, list(columns), rows)

    def lines(self, lines: Iterable[str]) -> None:
        """Print lines as they are: they are for another program."""
        for line in lines:
            _write(sys.stdout, f"{line}\n")

    def table(self, columns: Sequence[str], rows: Iterator[tuple[Any, ...]], *, hide_empty: bool) -> None:
        """Print a query's result as a table, or as asked for; JSON as ``bq`` has it.

        Parameters
        ----------
        hide_empty
            Whether a person at a terminal wants to see no columns that are NULL in every row.
        """
        kind = self._format or "table"
        if kind == "table" and _is_terminal(sys.stdout):
            _page(columns, rows, hide_empty=hide_empty)
        elif kind in ("json", "yaml") or VALUE.fullmatch(kind):
            values = (dict(zip(columns, (plain(value) for value in row), strict=True)) for row in rows)
            self.resources({name: name for name in columns}, values)
        else:
            self._rows(kind, columns, (tuple(printed(value) for value in row) for row in rows))

    def confirm(self, text: str) -> None:
        """Ask before something is lost, as gcloud does; ``--quiet`` agrees.

        Raises
        ------
        NotConfirmed
            Where nobody is there to answer, or the answer is no.
        """
        if self._quiet:
            return
        _tell(f"{on_one_line(text)}\n\nDo you want to continue (Y/n)?  ")
        if not (sys.stdin and sys.stdin.isatty()):
            _tell("\n")
            raise NotConfirmed(
                "This prompt could not be answered because you are not in an interactive session",
                "You can run the command again with --quiet to accept default answers for all prompts.",
            )
        if sys.stdin.readline().lower() not in ("\n", "y\n", "yes\n"):
            raise NotConfirmed("Aborted by user")

    @contextlib.contextmanager
    def waiting(self, name: str, interrupted: str = "cancelled") -> Iterator[Callable[[Operation], None]]:
        """Show an operation's progress: a live display on a terminal, one line elsewhere.

        Parameters
        ----------
        interrupted
            What Ctrl-C, or the end of the time to wait, does to it.
        """
        ending = "failed"
        with contextlib.ExitStack() as display:
            try:
                yield self._begin_waiting(name, display)
                ending = "done"
            except (KeyboardInterrupt, StillRunning):
                ending = interrupted
                raise
            except Cancelled:
                ending = "cancelled"
                raise
            finally:
                display.close()
                _tell(f"{ending}.\n")

    @contextlib.contextmanager
    def counting(self, noun: str) -> Iterator[Callable[[int], None]]:
        """Show on a terminal how many there are so far."""
        if not _is_terminal(sys.stderr):
            yield lambda _number: None
            return
        from rich.console import Console

        with Console(stderr=True).status(f"0 {noun}") as display:
            yield lambda number: display.update(f"{number:,} {noun}")

    def _begin_waiting(self, name: str, display: contextlib.ExitStack) -> Callable[[Operation], None]:
        text = f"Waiting for operation [{name}] to complete..."
        if not _is_terminal(sys.stderr):
            _tell(text)
            return _ignore
        from dicombq.cli.progress import live_progress

        _tell(f"{text}\n")
        return display.enter_context(live_progress())

    def _json(self, resources: Iterable[Mapping[str, Any]], *, sort_keys: bool) -> None:
        separator = "[\n"
        for resource in resources:
            text = json.dumps(resource, indent=2, sort_keys=sort_keys, ensure_ascii=False)
            _write(sys.stdout, separator + "  " + text.replace("\n", "\n  "))
            separator = ",\n"
        _write(sys.stdout, "[]\n" if separator == "[\n" else "\n]\n")

    def _rows(self, kind: str, columns: Sequence[str], rows: Iterator[tuple[Any, ...]]) -> None:
        if kind == "csv":
            writer = csv.writer(_Encodable(sys.stdout), lineterminator="\n")
            writer.writerow(columns)
            writer.writerows([cell(value, "") for value in row] for row in rows)
            return
        heading = [list(columns)]
        while block := list(itertools.islice(rows, _TABLE_BLOCK)):
            _print_aligned(heading + [[cell(value, "NULL") for value in row] for row in block])
            heading = []
        if heading:
            _print_aligned(heading)


def _page(columns: Sequence[str], rows: Iterator[tuple[Any, ...]], *, hide_empty: bool) -> None:
    """Show a result in the pager, as gcloud and bq do; `less` ends by itself where one screen is enough."""
    from rich.console import Console

    from dicombq.cli.results import layout

    os.environ.setdefault("LESS", "-RFX")
    pieces = layout(columns, rows, Console(soft_wrap=False), hide_empty=hide_empty)
    if os.environ.get("PAGER", "less") in ("", "cat"):
        for piece in pieces:
            _write(sys.stdout, piece)
    else:
        click.echo_via_pager(pieces, color=True)


class CommandExpected(click.UsageError):
    """No command, or one that does not exist; the message says which there are."""


def usage_error(error: click.UsageError) -> None:
    """Print a usage error as gcloud does: what is wrong, the usage, where the help is."""
    path = error.ctx.command_path if error.ctx else "dicombq"
    _tell(f"ERROR: ({path.replace(' ', '.')}) {_usage_message(error)}\n")
    if isinstance(error, InvalidChoice):
        return
    if error.ctx and not isinstance(error, CommandExpected):
        _tell(error.ctx.get_usage() + "\n")
    _tell(f"\nFor detailed information on this command and its flags, run:\n  {path} --help\n")


def _usage_message(error: click.UsageError) -> str:
    if isinstance(error, click.NoSuchOption):
        meant = f" (did you mean '{error.possibilities[0]}'?)" if error.possibilities else ""
        return f"unrecognized arguments: {error.option_name}{meant}"
    if isinstance(error, click.BadOptionUsage):
        return f"argument {error.option_name}: expected one argument"
    if isinstance(error, click.BadParameter) and error.param:
        flag = error.param.opts[0]
        name = flag if flag.startswith("-") else (error.param.metavar or flag.upper()).strip("[]")
        return (
            f"argument {name}: {'Must be specified.' if isinstance(error, click.MissingParameter) else error.message}"
        )
    return error.format_message()


def _ignore(_operation: Operation) -> None:
    return


def _is_terminal(stream: TextIO | None) -> bool:
    plain = os.environ.get("TERM") == "dumb" or os.environ.get("NO_COLOR")
    return stream is not None and stream.isatty() and not plain


class _Encodable:
    """A stream that spells out what its encoding does not have."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> None:
        _write(self._stream, text)


def _write(stream: TextIO | None, text: str) -> None:
    if stream is None:  # closed by whoever started the program
        return
    encoding = stream.encoding or "utf-8"
    stream.write(text.encode(encoding, "backslashreplace").decode(encoding))
    stream.flush()


def _tell(text: str) -> None:
    """Write for people; where the disk is full that takes it, the work goes on."""
    try:
        _write(sys.stderr, text)
    except BrokenPipeError:
        raise
    except OSError:
        Output.give_up_writing()


def _print_aligned(rows: list[list[str]]) -> None:
    from rich.cells import cell_len

    rows = [[on_one_line(cell) for cell in row] for row in rows]
    widths = [max(map(cell_len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = (cell + " " * (width - cell_len(cell)) for cell, width in zip(row, widths, strict=True))
        _write(sys.stdout, "  ".join(cells).rstrip() + "\n")


def _log_http() -> None:
    import logging

    logger = logging.getLogger("urllib3.connectionpool")
    handler = logging.StreamHandler()
    handler.addFilter(_without_query)
    logger.addHandler(handler)
    logger.setLevel(logging.DEBUG)


def _without_query(record: logging.LogRecord) -> bool:
    """Cut a URL's query off: it may hold the token of an upload."""
    record.msg = re.sub(r"\?[^\s\"]*", "?...", record.getMessage())
    record.args = None
    return True
