"""The runbooks are complete, and what they say of errors, messages and commands is so."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import click
import pytest
from google.rpc import code_pb2  # type: ignore[import-untyped]  # it has no types

from dicombq.errors import DicombqError
from dicombq.operations.state import State
from tests.docs.pages import DOCS, ROOT, RUNBOOKS, Block, blocks, check_command, commands, kebab, prose, sections

SECTIONS = ["Symptom", "Check", "Fix", "Verify", "Safe to delete"]
MOST_LINES = 50
EXIT_CODES_WITHOUT_ERROR = {0, 3}
PAGES = sorted(RUNBOOKS.rglob("*.md"))
INDEX = RUNBOOKS / "README.md"
RUNBOOK_PAGES = [page for page in PAGES if page != INDEX]
WITH_COMMANDS = [ROOT / "README.md", *sorted(DOCS.rglob("*.md"))]
SOURCES = sorted((ROOT / "dicombq").rglob("*.py"))
LEAST_LITERAL = 7
"""Characters that a message in the code must have outside of its braces: else it says nothing of a page."""


def all_errors(root: type[DicombqError] = DicombqError) -> list[type[DicombqError]]:
    return [root] + [error for child in root.__subclasses__() for error in all_errors(child)]


ERRORS = all_errors()
EXIT_CODES = sorted({error.exit_code for error in ERRORS} | EXIT_CODES_WITHOUT_ERROR)


def name_of(page: Path) -> str:
    return str(page.relative_to(RUNBOOKS))


def log_codes() -> set[str]:
    """Read the codes that `failures.md` lists."""
    text = dict(sections(DOCS / "how-to" / "failures.md"))["What the codes mean"]
    return set(re.findall(r"^\| `([A-Z_]+)` \|", text, re.MULTILINE))


LOG_CODES = sorted(log_codes())


def links(page: Path) -> list[str]:
    """Give the relative links of a page, without their anchors."""
    targets = re.findall(r"\]\(([^()\s]+)\)", prose(page))
    return [target.partition("#")[0] for target in targets if not re.match(r"[a-z]+:|#", target)]


def linked(page: Path) -> set[Path]:
    return {(page.parent / link).resolve() for link in links(page)}


def error_page(error: type[DicombqError]) -> Path:
    return RUNBOOKS / "errors" / f"{kebab(error.__name__)}.md"


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: error.__name__)
def test_every_error_class_has_a_page_that_names_its_codes(error: type[DicombqError]) -> None:
    title, _, first, *_ = error_page(error).read_text(encoding="utf-8").splitlines()
    assert title == f"# {error.__name__}"
    exit_code = f"[exit code {error.exit_code}](../exit-{error.exit_code}.md)"
    assert first == f"`{error.__name__}`: `{error('').status}` ({error.code}), {exit_code}."


@pytest.mark.parametrize("exit_code", EXIT_CODES)
def test_every_exit_code_has_a_page_that_leads_to_its_errors(exit_code: int) -> None:
    page = RUNBOOKS / f"exit-{exit_code}.md"
    assert page.read_text(encoding="utf-8").startswith(f"# Exit code {exit_code}\n")
    assert {error_page(error) for error in ERRORS if error.exit_code == exit_code} <= linked(page)


@pytest.mark.parametrize("code", LOG_CODES)
def test_every_code_in_a_log_has_a_page(code: str) -> None:
    page = RUNBOOKS / "codes" / f"{kebab(code)}.md"
    assert page.read_text(encoding="utf-8").startswith(f"# {code}\n")


def test_the_codes_that_the_code_gives_to_instances_are_those_that_are_documented() -> None:
    names = set(code_pb2.Code.keys()) - {"OK"} - {state.value for state in State}  # CANCELLED is a state too
    in_source = {text for source in SOURCES if source.name != "errors.py" for text in constants(source)}
    assert in_source & names == set(LOG_CODES)


def test_no_page_is_left_over() -> None:
    expected = {error_page(error) for error in ERRORS}
    expected |= {RUNBOOKS / f"exit-{exit_code}.md" for exit_code in EXIT_CODES}
    expected |= {RUNBOOKS / "codes" / f"{kebab(code)}.md" for code in LOG_CODES}
    assert set(RUNBOOK_PAGES) == expected


@pytest.mark.parametrize("page", RUNBOOK_PAGES, ids=name_of)
def test_a_page_has_the_five_sections_and_none_is_empty(page: Path) -> None:
    found = sections(page)
    assert [heading for heading, _ in found] == SECTIONS
    assert [heading for heading, text in found if not text.strip()] == []


@pytest.mark.parametrize("page", RUNBOOK_PAGES, ids=name_of)
def test_a_page_is_short(page: Path) -> None:
    assert len(page.read_text(encoding="utf-8").splitlines()) <= MOST_LINES


def test_the_index_links_to_every_page() -> None:
    assert linked(INDEX) == set(RUNBOOK_PAGES)


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: error.__name__)
def test_the_index_has_the_exit_code_of_every_error(error: type[DicombqError]) -> None:
    row = f"| [{error.__name__}](errors/{error_page(error).name}) | {error.exit_code} |"
    assert row in INDEX.read_text(encoding="utf-8")


@pytest.mark.parametrize("page", [ROOT / "README.md", *sorted(DOCS.rglob("*.md"))], ids=lambda page: page.stem)
def test_every_relative_link_resolves(page: Path) -> None:
    assert [link for link in links(page) if not (page.parent / link).exists()] == []


def shell_blocks() -> list[Block]:
    return [block for page in WITH_COMMANDS for block in blocks(page) if block.language == "sh"]


@pytest.mark.parametrize("block", shell_blocks(), ids=lambda block: block.id)
def test_every_command_in_a_shell_block_parses(block: Block) -> None:
    refused = []
    for words in commands(block.text):
        try:
            check_command(words)
        except click.UsageError as error:
            refused.append((" ".join(words), error.format_message()))
    assert refused == []


@pytest.mark.parametrize(
    "script",
    [
        "dicombq operations nonsense",
        "dicombq operations list --nonsense=1",
        "dicombq operations describe",
        "dicombq export bq scans --workers=many",
        "id=$(dicombq nonsense)",
        "if true; then dicombq nonsense; fi",
        "DICOMBQ_HOME=/tmp /opt/bin/dicombq nonsense > /dev/null 2>&1 || exit",
        "dicombq export bq \\\n scans --nonsense",
    ],
)
def test_a_command_that_is_wrong_is_found(script: str) -> None:
    [words] = commands(script)
    with pytest.raises(click.UsageError):
        check_command(words)


@pytest.mark.parametrize("script", ["# dicombq nonsense", "ls dicombq", "sudo -u dicombq true", "dicombq --version"])
def test_what_is_no_command_or_a_right_one_is_let_be(script: str) -> None:
    for words in commands(script):
        check_command(words)
    assert all(words == ["dicombq", "--version"] for words in commands(script))


def constants(source: Path) -> set[str]:
    nodes = ast.walk(ast.parse(source.read_text(encoding="utf-8")))
    return {node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str)}


def texts(source: Path) -> Iterator[ast.Constant | ast.JoinedStr]:
    """Find the texts that the code of a file hands to something, gives back, or has a name for."""
    for node in ast.walk(ast.parse(source.read_text(encoding="utf-8"))):
        handed: list[ast.expr] = []
        if isinstance(node, ast.Call):
            handed = [*node.args, *(keyword.value for keyword in node.keywords)]
        elif isinstance(node, ast.Tuple):
            handed = node.elts
        elif isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant):
            handed = [node.value]
        elif isinstance(node, ast.Return) and isinstance(node.value, ast.JoinedStr):
            handed = [node.value] if isinstance(node.value.values[0], ast.Constant) else []  # else a part of a message
        for expression in handed:
            yield from (text for text in ast.walk(expression) if isinstance(text, ast.Constant | ast.JoinedStr))


@cache
def messages() -> list[re.Pattern[str]]:
    """Make a pattern of every such text; what stands in braces matches anything."""
    patterns: set[str] = set()
    for text in (text for source in SOURCES for text in texts(source)):
        values = text.values if isinstance(text, ast.JoinedStr) else [text]
        parts = [str(part.value) if isinstance(part, ast.Constant) else "" for part in values]
        if sum(len(part.strip()) for part in parts) >= LEAST_LITERAL:
            patterns.add("".join(re.escape(part) or ".*" for part in parts))
    return [re.compile(pattern) for pattern in patterns]


def is_in_the_code(text: str) -> bool:
    return any(pattern.fullmatch(text) or pattern.fullmatch(text.removesuffix(".")) for pattern in messages())


def symptoms() -> Iterator[tuple[Path, str]]:
    for page in RUNBOOK_PAGES:
        for block in blocks(page):
            if block.section == "Symptom":
                yield from ((page, line) for line in block.text.splitlines())


@pytest.mark.parametrize(("page", "line"), list(symptoms()))
def test_every_message_in_a_symptom_is_one_of_the_code(page: Path, line: str) -> None:
    error = re.fullmatch(r"ERROR: \(([a-z.-]+)\) (.+)", line)
    if error:
        check_command([*error[1].split("."), "--help"])
    assert is_in_the_code(error[2] if error else line)


def test_a_message_that_no_code_has_is_found() -> None:
    assert is_in_the_code("the table [bq://my-project.my_dataset.scans] is not empty.")
    assert not is_in_the_code("the table [bq://my-project.my_dataset.scans] is not here.")
    assert not is_in_the_code("the table [bq://p.d.t] is held by operation 5 (process 4711 on archive1, since noon).")
