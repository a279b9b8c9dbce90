from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.conftest import Run

SCRIPTS = {
    "bash": """
source {script}
complete_line() {{
    COMP_WORDS=($1 "$2"); COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1)); COMPREPLY=()
    _dicombq_completion dicombq "$2" ""
    printf '%s\\n' "${{COMPREPLY[@]}}"
}}
complete_line "dicombq operations" desc
""",
    "zsh": """
autoload -Uz compinit && compinit -u -D
source {script}
(( $+_comps[dicombq] )) && print $_comps[dicombq]
compadd() {{ print -l -- $completions }}
_describe() {{ print -l -- $completions_with_descriptions }}
words=(dicombq operations desc); CURRENT=3; _dicombq_completion
""",
    "fish": """
source {script}
complete -C 'dicombq operations desc'
""",
}


@pytest.fixture
def program(here: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """`dicombq` in PATH, as an installed one is."""
    program = here / "bin" / "dicombq"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m dicombq "$@"\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    return program


@pytest.mark.parametrize("shell", SCRIPTS)
def test_a_shell_completes_a_command(shell: str, run: Run, program: Path, here: Path) -> None:
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not installed")
    script = here / "completion"
    script.write_text(run("completion", shell).out)
    line = [shell, *(["-f"] if shell == "zsh" else ["--no-config"] if shell == "fish" else ["--norc"])]
    done = subprocess.run(
        [*line, "-c", SCRIPTS[shell].format(script=script)],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"HOME": str(here)},
    )
    assert "describe" in done.stdout, done.stderr
    assert "cancel" not in done.stdout


def complete(program: Path, words: str) -> list[str]:
    """Ask as fish does; each proposal is a type and a value, and may have a description."""
    environment = os.environ | {
        "_DICOMBQ_COMPLETE": "fish_complete",
        "COMP_WORDS": words,
        "COMP_CWORD": words.rpartition(" ")[2],
    }
    done = subprocess.run([str(program)], capture_output=True, text=True, check=True, env=environment)
    return [line.split(",", 1)[-1].strip() for line in done.stdout.splitlines() if line.strip()]


def test_flags_and_their_values_are_proposed(program: Path) -> None:
    flags = " ".join(complete(program, "dicombq export bq --over"))
    assert "--overwrite-table" in flags
    assert "missing-slices" in " ".join(complete(program, "dicombq query --sample=missing-s"))
    assert "warehouse" in " ".join(complete(program, "dicombq config set ware"))
    assert "yaml" in " ".join(complete(program, "dicombq config list --format=y"))


def test_an_operation_is_proposed_with_what_it_is(run: Run, scans: Path, program: Path) -> None:
    run("export", "bq", "scans")
    identity = run("operations", "list", "--format=value(id)").out.strip()
    assert f"{identity}\tDONE scans" in complete(program, f"dicombq operations describe {identity[:4]}")


def test_nothing_is_proposed_where_home_cannot_be_read(
    program: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DICOMBQ_HOME", "~no-such-user/x")
    assert complete(program, "dicombq operations describe 1") == []


def test_a_folder_is_completed_by_the_shell(program: Path) -> None:
    asked = {"_DICOMBQ_COMPLETE": "fish_complete", "COMP_WORDS": "dicombq export bq ", "COMP_CWORD": "s"}
    done = subprocess.run([str(program)], capture_output=True, text=True, check=True, env=os.environ | asked)
    assert done.stdout.startswith("file")


def test_an_unknown_shell_is_told_which_there_are(run: Run, here: Path) -> None:
    result = run("completion", "tcsh")
    assert (result.code, "Valid choices are [bash, fish, zsh]" in result.err) == (2, True)
