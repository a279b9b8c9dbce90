"""Click groups and commands that speak as gcloud does: lazy, with its error lines and exit codes."""

from __future__ import annotations

import functools
import importlib
import signal
from collections.abc import Callable, Mapping
from pathlib import Path
from types import FrameType
from typing import Any

import click

from dicombq.cli.choices import Choice, check_cloud_logging, check_format, duration
from dicombq.cli.proposals import formats
from dicombq.cli.render import CommandExpected, Output
from dicombq.errors import Cancelled, DicombqError, Internal, Terminated


class Group(click.Group):
    """A group whose commands are imported when they are asked for.

    Parameters
    ----------
    lazy
        Command name to where it is: ``module:attribute``.
    """

    def __init__(self, name: str, lazy: Mapping[str, str], **attributes: Any) -> None:
        super().__init__(
            name,
            no_args_is_help=False,
            invoke_without_command=True,
            subcommand_metavar="COMMAND [ARGS]...",
            **attributes,
        )
        self._lazy = lazy
        self.callback = click.pass_context(_expect_command)

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Name the commands, without those that only dicombq itself calls."""
        del ctx
        return sorted(name for name in self._lazy if not name.startswith("_"))

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import a command."""
        del ctx
        place = self._lazy.get(cmd_name)
        if place is None:
            return None
        module, _, attribute = place.partition(":")
        command: click.Command = getattr(importlib.import_module(module), attribute)
        return command

    def summary(self, ctx: click.Context) -> str:
        """List the commands with what they do."""
        commands = ((name, self.get_command(ctx, name)) for name in self.list_commands(ctx))
        return "\n".join(f"      {name:23} {command.get_short_help_str(60)}" for name, command in commands if command)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command, or say which one may have been meant."""
        if self.get_command(ctx, args[0]) is None and not args[0].startswith("-"):
            commands = self.list_commands(ctx)
            import difflib

            meant = difflib.get_close_matches(args[0], commands, n=3) or commands
            advice = [f"  {ctx.command_path} {name}" for name in meant]
            raise CommandExpected("\n".join([f"Invalid choice: '{args[0]}'.", "Maybe you meant:", *advice]), ctx)
        return super().resolve_command(ctx, args)


def _expect_command(ctx: click.Context) -> None:
    if ctx.invoked_subcommand is None:
        group: Group = ctx.command  # type: ignore[assignment]  # only groups call this
        raise CommandExpected(
            f"Command name argument expected.\n\nAvailable commands for {ctx.command_path}:\n\n{group.summary(ctx)}",
            ctx,
        )


class Command(click.Command):
    """A command that ends with one line and an exit code, whatever happens."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse; an error names the command."""
        try:
            return super().parse_args(ctx, args)
        except click.UsageError as error:
            error.ctx = error.ctx or ctx
            raise

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command."""
        output = ctx.obj = Output.for_command(ctx)
        terminated = False

        def end(number: int, _frame: FrameType | None) -> None:
            nonlocal terminated
            terminated = number == signal.SIGTERM
            for again in handled:
                signal.signal(again, signal.SIG_DFL)  # a second one ends at once, whatever is running
            raise KeyboardInterrupt  # SIGTERM takes the path of Ctrl-C

        # a shell starts what it puts in the background with Ctrl-C ignored
        ignored = signal.getsignal(signal.SIGINT) == signal.SIG_IGN
        handled = [signal.SIGTERM] if ignored else [signal.SIGTERM, signal.SIGINT]
        previous = {each: signal.signal(each, end) for each in handled}
        try:
            return super().invoke(ctx)
        except DicombqError as error:
            by_signal = terminated and type(error) is Cancelled
            message = error.message.replace("interrupted", "terminated", 1)
            code = output.error(Terminated(message, error.hint) if by_signal else error)
        except (KeyboardInterrupt, click.Abort):
            code = output.error(Terminated("terminated") if terminated else Cancelled("interrupted"))
        except BrokenPipeError:
            output.give_up_writing()
            code = 1
        except Exception as error:  # noqa: BLE001 - its message may hold a value
            code = output.error(system_error(error) if isinstance(error, OSError) else _internal(error))
            output.give_up_writing()
        finally:
            for each, handler in previous.items():
                signal.signal(each, handler)
        return code


def system_error(error: OSError) -> DicombqError:
    """Say what the system says."""
    if not error.strerror:
        return _internal(error)
    return DicombqError(f"{error.strerror}: [{error.filename}]" if error.filename else error.strerror)


def _internal(error: Exception) -> DicombqError:
    import traceback

    where = traceback.extract_tb(error.__traceback__)[-1]
    return Internal(
        f"internal error: {type(error).__name__} at {Path(where.filename).name}:{where.lineno}",
        "This is a defect of dicombq; please report this line. It names no data.",
    )


def common_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add the flags that every command has."""
    options = [
        click.option("--project", metavar="ID", help="Project of the store and the operation."),
        click.option("--location", metavar="ID", help="Location of the store and the operation."),
        click.option("--dataset", metavar="ID", help="Healthcare dataset of the store and the operation."),
        click.option(
            "--format",
            "format_",
            metavar="FORMAT",
            callback=check_format,
            shell_complete=formats,
            help="yaml, json, csv, table or value(KEY).",
        ),
        click.option("--quiet", "-q", is_flag=True, help="Answer prompts with their default."),
        click.option(
            "--verbosity",
            type=Choice(["debug", "info", "warning", "error", "none"]),
            default="warning",
            show_default=True,
            help="What to tell on stderr beside the command's own lines.",
        ),
        click.option("--log-http", is_flag=True, help="Log requests to servers on stderr, without queries or tokens."),
    ]
    for option in reversed(options):
        function = option(function)
    return function


def store_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add the flags that say how a source is read; the command gets them as one `options`."""

    @functools.wraps(function)
    def with_options(*args: Any, archives: bool, anonymous: bool, billing_project: str, **kwargs: Any) -> Any:
        from dicombq.stores.base import StoreOptions

        return function(*args, options=StoreOptions(archives, anonymous, billing_project), **kwargs)

    return _with_flags(with_options, {"archives": False, "anonymous": False, "billing_project": ""}, opposite="")


def store_option_changes(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add the same flags and their opposites; the command gets those that are given as `changes`, by name."""
    names = ("archives", "anonymous", "billing_project")

    @functools.wraps(function)
    def with_changes(*args: Any, **kwargs: Any) -> Any:
        given = {name: kwargs.pop(name) for name in names}
        return function(*args, changes={name: value for name, value in given.items() if value is not None}, **kwargs)

    return _with_flags(with_changes, dict.fromkeys(names), opposite="/--no-{}")


def _with_flags(command: Callable[..., Any], default: dict[str, Any], opposite: str) -> Callable[..., Any]:
    def flag(name: str, text: str) -> Callable[..., Any]:
        return click.option(f"--{name}{opposite.format(name)}", is_flag=True, default=default[name], help=text)

    flags = [
        flag("archives", "Read the members of .zip, .tar and .tar.gz files too."),
        flag("anonymous", "Read a public bucket, without credentials."),
        click.option(
            "--billing-project",
            default=default["billing_project"],
            metavar="ID",
            help="Project that pays for reading a bucket whose requester pays.",
        ),
    ]
    for each in reversed(flags):
        command = each(command)
    return command


filter_option = click.option(
    "--filter-config-gcs-uri",
    metavar="URI",
    help="Export only what this filter file names, a path a line: /studies/UID[/series/UID[/instances/UID]]. "
    "gs://..., a local path, or - for standard input.",
)

async_option = click.option(
    "--async", "async_", is_flag=True, help="Return at once; the operation goes on in a process of its own."
)

lock_timeout_option = click.option(
    "--lock-timeout",
    callback=duration,
    metavar="DURATION",
    help="How long to wait for another operation with the same destination, and for another program that holds the "
    "DuckDB file: 30s, 15m; default: not at all for the first, 10s for the second.",
)

workers_option = click.option(
    "--workers", type=click.IntRange(1), metavar="N", help="Processes that read and copy; default: the cores."
)


def engine_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add the flags that say who reads headers."""
    options = [
        click.option(
            "--engine",
            type=Choice(["local", "spark"]),
            help="Who reads headers: processes of this machine, or a cluster of Apache Spark, which needs pip install "
            "'dicombq[spark]'; default: $DICOMBQ_ENGINE, what `dicombq config` says, or local.",
        ),
        click.option(
            "--engine-master",
            metavar="MASTER",
            help="The cluster, as Spark names it: local[*], spark://HOST:PORT, yarn; default: what spark-submit or the "
            "environment says.",
        ),
        click.option(
            "--shared-folders",
            is_flag=True,
            help="All machines of the cluster have the folders of this one at the same paths.",
        ),
    ]
    for option in reversed(options):
        function = option(function)
    return function


log_to_cloud_option = click.option(
    "--log-to-cloud",
    is_flag=True,
    callback=check_cloud_logging,
    help="Send the operation's log to Cloud Logging too; needs pip install 'dicombq[logging]'.",
)
