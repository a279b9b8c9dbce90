"""What the pages of the documentation consist of: sections, fenced blocks, the commands in them."""

from __future__ import annotations

import itertools
import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import click

from dicombq.cli.main import cli

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
RUNBOOKS = DOCS / "runbooks"

_FENCE = re.compile(r"( *)```(\w*)")
_REDIRECTION = re.compile(r"\s\d?>(&\d|\s*\S+)")
_BEFORE_A_COMMAND = {"!", "do", "elif", "else", "exec", "if", "then", "until", "while", "{"}
_OPERATORS = frozenset("();<>|&")


@dataclass(frozen=True)
class Block:
    """A fenced block.

    Parameters
    ----------
    section
        The level-2 heading that it stands under; empty above the first.
    """

    page: Path
    section: str
    language: str
    text: str

    @property
    def id(self) -> str:
        """A name for a test."""
        return f"{self.page.relative_to(ROOT)}-{self.section}"


def blocks(page: Path) -> list[Block]:
    """Give a page's fenced blocks."""
    found: list[Block] = []
    section, inside, lines = "", None, list[str]()
    for line in page.read_text(encoding="utf-8").splitlines():
        fence = _FENCE.fullmatch(line)
        if inside is None and fence:
            inside, lines = fence, []
        elif inside is None:
            section = line[3:] if line.startswith("## ") else section
        elif fence and not fence[2]:
            found.append(Block(page, section, inside[2], "".join(f"{text}\n" for text in lines)))
            inside = None
        else:
            lines.append(line.removeprefix(inside[1]))
    assert inside is None, f"{page}: a fence is not closed"
    return found


def prose(page: Path) -> str:
    """Give a page without its fenced blocks."""
    return re.sub(r"(?ms)^ *```\w*$.*?^ *```$", "", page.read_text(encoding="utf-8"))


def sections(page: Path) -> list[tuple[str, str]]:
    """Give a page's level-2 headings, each with what stands under it."""
    inside, found = False, list[tuple[str, str]]()
    for line in page.read_text(encoding="utf-8").splitlines():
        inside ^= _FENCE.fullmatch(line) is not None
        if line.startswith("## ") and not inside:
            found.append((line[3:], ""))
        elif found:
            found[-1] = (found[-1][0], f"{found[-1][1]}{line}\n")
    return found


def kebab(name: str) -> str:
    """Write the name of a class or of a code as its page is named: ``NotAWarehouse``, ``DATA_LOSS``."""
    if "_" in name or name.isupper():
        return name.lower().replace("_", "-")
    return re.sub(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "-", name).lower()


def commands(script: str) -> Iterator[list[str]]:
    """Find the dicombq commands of a script, each as its words; redirections and ``"$@"`` are left out."""
    for line in script.replace("\\\n", " ").splitlines():
        lexer = shlex.shlex(_REDIRECTION.sub("", line), posix=True, punctuation_chars=True)
        lexer.whitespace_split = True
        for is_operator, words in itertools.groupby(lexer, lambda word: bool(word) and _OPERATORS.issuperset(word)):
            command = list(
                itertools.dropwhile(lambda word: word in _BEFORE_A_COMMAND or re.match(r"\w+=", word), words)
            )
            if not is_operator and command and command[0].rpartition("/")[2] == "dicombq":
                yield [word for word in command if word != "$@"]


def check_command(words: list[str]) -> None:
    """Let the command line parse a command, and run nothing.

    Raises
    ------
    click.UsageError
        Where there is no such command or flag, an argument is missing, or a value does not fit.
    """
    command: click.Command = cli
    context, rest = click.Context(cli, info_name="dicombq"), words[1:]
    while isinstance(command, click.Group):
        if rest[:1] in (["--help"], ["--version"]):
            return
        child = command.get_command(context, rest[0]) if rest else None
        if child is None:
            raise click.UsageError(f"no such command: {shlex.join(words)}")
        command, context = child, click.Context(child, parent=context, info_name=rest.pop(0))
    if "--help" not in rest:
        try:
            command.make_context(context.info_name, rest, parent=context.parent)
        except click.BadParameter as error:
            if "is not installed" not in error.message:  # a flag of an extra, which this machine may lack
                raise
