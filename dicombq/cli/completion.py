"""``completion``."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from dicombq.cli.choices import Choice
from dicombq.cli.groups import Command, common_options
from dicombq.cli.render import Output
from dicombq.errors import Failed

SHELLS = ("bash", "fish", "zsh")
VARIABLE = "_DICOMBQ_COMPLETE"


@click.command(
    "completion",
    cls=Command,
    short_help="Print the script that completes commands in a shell.",
    epilog="""\b
Examples:
  eval "$(dicombq completion bash)"      in ~/.bashrc
  eval "$(dicombq completion zsh)"       in ~/.zshrc
  dicombq completion fish | source       in ~/.config/fish/config.fish""",
)
@click.argument("shell", type=Choice(list(SHELLS)), metavar="SHELL")
@common_options
@click.pass_context
def completion(ctx: click.Context, /, shell: str, **_names: str | None) -> None:
    """Print the script that completes commands, flags and values in SHELL: bash, fish or zsh."""
    output: Output = ctx.obj
    kind = get_completion_class(shell)
    if kind is None:
        raise Failed(f"this version of click does not complete in {shell}")
    output.text(kind(ctx.find_root().command, {}, "dicombq", VARIABLE).source())
