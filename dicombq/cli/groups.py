"""Click groups and commands that speak as gcloud does: lazy, with its error lines and exit codes."""

from __future__ import annotations

import difflib
import importlib
import signal
import sys
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from types import FrameType
from typing import Any

import click

from dicombq.cli.render import Output
from dicombq.errors import Cancelled, DicombqError, Terminated


class Group(click.Group):
    """A group whose commands are imported when they are asked for.

    Parameters
    ----------
    lazy
        Command name to where it is: ``module:attribute``.
    """

    def __init__(self, name: str, lazy: Mapping[str, str], **attributes: Any) -> None:
        super().__init__(name, no_args_is_help=False, invoke_without_command=True, **attributes)
        self._lazy = lazy
        self.callback = click.pass_context(_expect_command)

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Name the commands."""
        del ctx
        return sorted(self._lazy)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import a command."""
        del ctx
        place = self._lazy.get(cmd_name)
        if place is None:
            return None
        module, _, attribute = place.partition(":")
        command: click.Command = getattr(importlib.import_module(module), attribute)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command, or say which one may have been meant."""
        if self.get_command(ctx, args[0]) is None and not args[0].startswith("-"):
            meant = difflib.get_close_matches(args[0], self.list_commands(ctx), n=3)
            advice = [f"  {ctx.command_path} {name}" for name in meant or self.list_commands(ctx)]
            heading = "Maybe you meant:" if meant else "Valid choices are:"
            raise click.UsageError("\n".join([f"Invalid choice: '{args[0]}'.", heading, *advice]), ctx)
        return super().resolve_command(ctx, args)


def _expect_command(ctx: click.Context) -> None:
    if ctx.invoked_subcommand is None:
        commands = "\n".join(f"  {name}" for name in ctx.command.list_commands(ctx))  # type: ignore[attr-defined]  # it is a Group
        raise click.UsageError(f"Command name argument expected.\n\nAvailable commands:\n{commands}", ctx)


class Command(click.Command):
    """A command that ends with one line and an exit code, whatever happens."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command."""
        output = ctx.obj = Output.for_command(ctx)
        previous = signal.signal(signal.SIGTERM, _terminate)
        try:
            return super().invoke(ctx)
        except DicombqError as error:
            code = output.error(error)
        except (KeyboardInterrupt, click.Abort) as stop:
            terminated = isinstance(stop, _TerminationSignal)
            code = output.error(Terminated("terminated") if terminated else Cancelled("interrupted"))
        except BrokenPipeError:
            sys.stderr.close()
            code = 1
        except (click.ClickException, click.exceptions.Exit):
            raise
        except Exception as error:  # noqa: BLE001 - its message may hold a value
            code = output.error(_internal(error))
        finally:
            signal.signal(signal.SIGTERM, previous)
        return code


class _TerminationSignal(KeyboardInterrupt):
    """SIGTERM, on the same path as Ctrl-C."""


def _terminate(_number: int, _frame: FrameType | None) -> None:
    raise _TerminationSignal


def _internal(error: Exception) -> DicombqError:
    where = traceback.extract_tb(error.__traceback__)[-1]
    return DicombqError(
        f"internal error: {type(error).__name__} at {Path(where.filename).name}:{where.lineno}",
        "This is a defect of dicombq; please report this line. It names no data.",
    )


def common_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add the flags that every command has."""
    options = [
        click.option("--project", metavar="ID", help="Project of the store and the operation."),
        click.option("--location", metavar="ID", help="Location of the store and the operation."),
        click.option("--dataset", metavar="ID", help="Healthcare dataset of the store and the operation."),
        click.option("--format", "format_", metavar="FORMAT", help="yaml, json, csv, table or value(KEY)."),
        click.option("--quiet", "-q", is_flag=True, help="Answer prompts with their default."),
        click.option(
            "--verbosity",
            type=click.Choice(["debug", "info", "warning", "error", "none"]),
            default="warning",
            show_default=True,
            help="What to tell on stderr beside the command's own lines.",
        ),
        click.option("--log-http", is_flag=True, help="Log requests to servers on stderr, without queries or tokens."),
    ]
    for option in reversed(options):
        function = option(function)
    return function


lock_timeout_option = click.option(
    "--lock-timeout",
    type=click.FloatRange(0),
    default=10.0,
    show_default=True,
    metavar="SECONDS",
    help="How long to wait for another program that holds the DuckDB file.",
)
