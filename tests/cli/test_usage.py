from __future__ import annotations

import importlib.metadata
import json
import subprocess
import sys
from pathlib import Path

import pytest

import dicombq
from dicombq.cli.main import cli
from tests.cli.conftest import Run
from tests.cli.golden import assert_golden

COMMANDS = [
    (),
    ("completion",),
    ("config",),
    ("config", "get"),
    ("config", "list"),
    ("config", "set"),
    ("config", "unset"),
    ("dicom-stores",),
    ("dicom-stores", "create"),
    ("dicom-stores", "delete"),
    ("dicom-stores", "describe"),
    ("dicom-stores", "export"),
    ("dicom-stores", "export", "bq"),
    ("dicom-stores", "export", "gcs"),
    ("dicom-stores", "import"),
    ("dicom-stores", "import", "gcs"),
    ("dicom-stores", "list"),
    ("dicom-stores", "metrics"),
    ("dicom-stores", "update"),
    ("doctor",),
    ("export",),
    ("export", "bq"),
    ("export", "gcs"),
    ("filter",),
    ("filter", "check"),
    ("filter", "create"),
    ("import",),
    ("import", "gcs"),
    ("operations",),
    ("operations", "cancel"),
    ("operations", "describe"),
    ("operations", "list"),
    ("operations", "logs"),
    ("operations", "prune"),
    ("operations", "resume"),
    ("operations", "wait"),
    ("query",),
    ("schema",),
    ("schema", "diff"),
    ("schema", "private"),
    ("schema", "show"),
    ("serve",),
    ("stream",),
    *(("stream", name) for name in ("clear", "configure", "describe", "logs", "retry", "run", "sync")),
]
HEAVY = {"google", "duckdb", "pydicom", "sqlglot", "rich", "yaml", "orjson"}


def usage(path: str, line: str) -> list[str]:
    return [line, "", "For detailed information on this command and its flags, run:", f"  {path} --help"]


def test_a_missing_argument_is_named(run: Run, home: Path) -> None:
    result = run("export", "bq")
    assert (result.code, result.out) == (2, "")
    assert result.err.splitlines() == [
        "ERROR: (dicombq.export.bq) argument STORE: Must be specified.",
        *usage("dicombq export bq", "Usage: dicombq export bq [OPTIONS] STORE"),
    ]
    assert not home.exists()


@pytest.mark.parametrize(
    ("flag", "message"),
    [
        (
            "--write-disposition=nonsense",
            (
                "argument --write-disposition: Invalid choice: 'nonsense'.\n\n"
                "Valid choices are [write-append, write-empty, write-truncate].\n"
            ),
        ),
        ("--schema=", "argument --schema: Invalid choice: ''.\n\nValid choices are [flattened, json].\n"),
        (
            "--verbosity=loud",
            "argument --verbosity: Invalid choice: 'loud'.\n\nValid choices are [debug, error, info, none, warning].\n",
        ),
        (
            "--format=xml",
            "argument --format: Invalid choice: 'xml'.\n\nValid choices are [csv, json, table, value(KEY), yaml].\n",
        ),
    ],
)
def test_an_invalid_choice_reads_as_gclouds(run: Run, scans: Path, home: Path, flag: str, message: str) -> None:
    result = run("export", "bq", "scans", flag)
    assert (result.code, result.out) == (2, "")
    assert result.err == f"ERROR: (dicombq.export.bq) {message}"
    assert not home.exists()


@pytest.mark.parametrize("flag", ["--workers=0", "--workers=many", "--max-element-size=0", "--lock-timeout=-1"])
def test_a_number_out_of_range_is_refused(run: Run, scans: Path, home: Path, flag: str) -> None:
    result = run("export", "bq", "scans", flag)
    assert result.code == 2
    assert result.err.startswith(f"ERROR: (dicombq.export.bq) argument {flag.partition('=')[0]}: ")
    assert not home.exists()


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        ("--nonsense", "unrecognized arguments: --nonsense"),
        ("--overwrite-tables", "unrecognized arguments: --overwrite-tables (did you mean '--overwrite-table'?)"),
        ("more", "Got unexpected extra argument (more)"),
        ("--bq-table", "argument --bq-table: expected one argument"),
        ("--quiet=yes", "argument --quiet: expected one argument"),
    ],
)
def test_what_is_unknown_or_too_much_is_refused(run: Run, scans: Path, home: Path, argument: str, message: str) -> None:
    result = run("export", "bq", "scans", argument)
    assert (result.code, result.out) == (2, "")
    assert result.err.splitlines() == [
        f"ERROR: (dicombq.export.bq) {message}",
        *usage("dicombq export bq", "Usage: dicombq export bq [OPTIONS] STORE"),
    ]
    assert not home.exists()


@pytest.mark.parametrize(
    ("typed", "path", "meant"),
    [
        (("exprot", "bq", "x"), "dicombq", ["dicombq export"]),
        (("dicom-stores", "exprot", "bq"), "dicombq dicom-stores", ["dicombq dicom-stores export"]),
        (("operations", "descrive", "1"), "dicombq operations", ["dicombq operations describe"]),
        (("export", "xyz"), "dicombq export", ["dicombq export bq", "dicombq export gcs"]),
    ],
)
def test_an_unknown_command_says_what_may_be_meant(
    run: Run, typed: tuple[str, ...], path: str, meant: list[str]
) -> None:
    result = run(*typed)
    assert (result.code, result.out) == (2, "")
    wrong = typed[path.count(" ")]
    assert result.err.splitlines() == [
        f"ERROR: ({path.replace(' ', '.')}) Invalid choice: '{wrong}'.",
        "Maybe you meant:",
        *(f"  {command}" for command in meant),
        "",
        "For detailed information on this command and its flags, run:",
        f"  {path} --help",
    ]


def test_a_bare_group_lists_its_commands(run: Run) -> None:
    result = run("operations")
    assert (result.code, result.out) == (2, "")
    assert result.err.splitlines() == [
        "ERROR: (dicombq.operations) Command name argument expected.",
        "",
        "Available commands for dicombq operations:",
        "",
        "      cancel                  End an operation that runs.",
        "      describe                Show an operation's state and counters.",
        "      list                    List operations, the newest first.",
        "      logs                    Show what failed, was left out or did not fit.",
        "      prune                   Delete what is left of operations that ended long ago.",
        "      resume                  Go on with an operation that ended too early.",
        "      wait                    Wait until an operation has ended.",
        "",
        "For detailed information on this command and its flags, run:",
        "  dicombq operations --help",
    ]
    assert run().err.startswith("ERROR: (dicombq) Command name argument expected.\n")


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_the_help_stays_as_it_is(run: Run, command: tuple[str, ...]) -> None:
    result = run(*command, "--help")
    assert (result.code, result.err) == (0, "")
    assert "Example" in result.out
    assert f"dicombq {' '.join(command)}".strip() in result.out
    assert_golden(f"help_{'_'.join(('dicombq', *command))}.txt", result.out)


def test_every_command_has_its_help_tested() -> None:
    import click

    def walk(command: click.Command, path: tuple[str, ...]) -> list[tuple[str, ...]]:
        found = [path]
        if isinstance(command, click.Group):
            context = click.Context(command)
            for name in command.list_commands(context):
                child = command.get_command(context, name)
                assert child is not None
                found += walk(child, (*path, name))
        return found

    assert sorted(walk(cli, ())) == sorted(COMMANDS)


def test_an_example_of_the_help_runs(run: Run, scans: Path) -> None:
    example = run("export", "--help").out.rpartition("Example: dicombq ")[2].split()
    assert run(*example).code == 0


def test_the_version_is_the_packages(run: Run) -> None:
    assert run("--version").out == f"dicombq {dicombq.__version__}\n"
    assert importlib.metadata.version("dicombq") == dicombq.__version__


@pytest.mark.parametrize("arguments", [["--version"], *([*command, "--help"] for command in COMMANDS)], ids=" ".join)
def test_help_and_version_import_nothing_heavy(here: Path, arguments: list[str]) -> None:
    script = (
        "import contextlib, io, json, sys\n"
        "from dicombq.cli.main import main\n"
        "with contextlib.redirect_stdout(io.StringIO()) as out:\n"
        "    code = main(sys.argv[1:])\n"
        "assert code == 0 and out.getvalue()\n"
        "print(json.dumps(sorted({name.partition('.')[0] for name in sys.modules})))\n"
    )
    command = [sys.executable, "-c", script, *arguments]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    assert HEAVY.isdisjoint(json.loads(done.stdout))


def test_an_export_of_a_folder_imports_nothing_that_it_does_not_need(scans: Path) -> None:
    script = (
        "import contextlib, io, json, sys\n"
        "before = set(sys.modules)\n"  # what measures the coverage imports some of them
        "from dicombq.cli.main import main\n"
        "with contextlib.redirect_stdout(io.StringIO()):\n"
        "    assert main(['export', 'bq', 'scans']) == 0\n"
        "print(json.dumps(sorted(set(sys.modules) - before)))\n"
    )
    done = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True)
    imported = set(json.loads(done.stdout))
    assert "dicombq.export.run" in imported
    needless = {
        "configparser",
        "dicombq.export.preview",
        "dicombq.operations.cloud_logging",
        "dicombq.stores.bucket",
        "google",
        "multiprocessing",
        "obstore",
        "pydicom",
        "sqlglot",
        "yaml",
    }
    assert imported & needless == set()


def test_the_module_is_the_program(spawn: Run) -> None:
    result = spawn("--version")
    assert (result.code, result.out, result.err) == (0, f"dicombq {dicombq.__version__}\n", "")
    assert spawn("export").code == 2
