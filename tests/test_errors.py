from __future__ import annotations

import re

import pytest

from dicombq import errors
from dicombq.errors import DicombqError

EXIT_CODES = {1, 2, 4, 5, 6, 7, 11, 130, 143}
"""Those of errors; 0 is done, 3 is done with failed instances."""


def all_errors(root: type[DicombqError] = DicombqError) -> list[type[DicombqError]]:
    return [root] + [error for child in root.__subclasses__() for error in all_errors(child)]


def drawn() -> dict[str, tuple[str, str, int, int]]:
    """Read the tree in the docstring: class to its parent, status, code and exit code."""
    tree: dict[str, tuple[str, str, int, int]] = {}
    above: list[str] = []
    for line in (errors.__doc__ or "").splitlines():
        match = re.fullmatch(r" {4}((?:[│├└─ ]{4})*)(\w+)(?: +([A-Z]\w+) \((\d+)\) +(\d+))?", line)
        if not match or match[2] == "DicombqError":
            continue
        depth = len(match[1]) // 4
        del above[depth - 1 :]
        parent = above[-1] if above else "DicombqError"
        inherited = tree.get(parent, ("", "", 0, 0))
        own = (match[3], int(match[4]), int(match[5])) if match[3] else inherited[1:]
        tree[match[2]] = (parent, *own)
        above.append(match[2])
    return tree


def test_the_tree_in_the_docstring_is_the_tree() -> None:
    real = {
        error.__name__: (error.__mro__[1].__name__, error("").status, error.code, error.exit_code)
        for error in all_errors()[1:]
    }
    assert drawn() == real


def test_every_exit_code_of_the_command_line_has_an_error() -> None:
    assert {error.exit_code for error in all_errors()} == EXIT_CODES


@pytest.mark.parametrize("error", all_errors(), ids=lambda error: error.__name__)
def test_an_error_has_a_message_and_a_hint(error: type[DicombqError]) -> None:
    raised = error("what", "do this")
    assert (str(raised), raised.message, raised.hint) == ("what", "what", "do this")
    assert not error("what").hint
    assert error.__doc__


def test_an_error_is_made_by_its_name() -> None:
    made = errors.error_named("TableExists", "what", "do this")
    assert type(made) is errors.TableExists
    assert (made.message, made.hint) == ("what", "do this")


@pytest.mark.parametrize("name", ["", "annotations", "error_named", "object", "STATUS"])
def test_a_name_of_no_error_makes_a_plain_one(name: str) -> None:
    assert type(errors.error_named(name, "what", "")) is DicombqError
