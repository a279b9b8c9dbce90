"""The entry point."""

from __future__ import annotations

import gc
import os
import sys
import warnings

import click

from dicombq import __version__
from dicombq.cli.groups import Group, system_error
from dicombq.cli.render import Output, usage_error

cli = click.version_option(__version__, prog_name="dicombq", message="%(prog)s %(version)s")(
    Group(
        "dicombq",
        {
            "completion": "dicombq.cli.completion:completion",
            "config": "dicombq.cli.config:group",
            "dicom-stores": "dicombq.cli.dicom_stores:group",
            "doctor": "dicombq.cli.doctor:doctor",
            "export": "dicombq.cli.export:group",
            "filter": "dicombq.cli.filter:group",
            "import": "dicombq.cli.imports:group",
            "operations": "dicombq.cli.operations:group",
            "query": "dicombq.cli.query:query",
            "schema": "dicombq.cli.schema:group",
            "serve": "dicombq.cli.serve:serve",
            "stream": "dicombq.cli.stream:group",
        },
        help="Export DICOM metadata, wherever it lies, to a BigQuery table or an embedded DuckDB file.",
        epilog="Example: dicombq export bq ./scans",
    )
)


def main(arguments: list[str] | None = None) -> int:
    """Run a command line and give its exit code."""
    os.umask(0o077)  # what is written holds patients' data
    gc.set_threshold(20_000)  # modules make objects that stay: to look through them every 700 takes 20 ms
    # Google's clients say at each start on Python 3.10 that their support for it will end
    warnings.filterwarnings("ignore", category=FutureWarning, module="google")
    try:
        result = cli.main(arguments, prog_name="dicombq", standalone_mode=False)
    except click.UsageError as error:
        usage_error(error)
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        return 130
    except OSError as error:  # nobody reads the help, or its disk is full
        output = Output("dicombq", None, verbosity="warning", log_http=False)
        code = 1 if isinstance(error, BrokenPipeError) else output.error(system_error(error))
        output.give_up_writing()
        return code
    return result if isinstance(result, int) else 0


def run() -> None:
    """Run the process's own command line."""
    _keep_standard_descriptors()
    code = main()
    gc.freeze()  # what is left goes with the process: to look through it takes 10 ms
    sys.exit(code)


def _keep_standard_descriptors() -> None:
    """Open those of 0, 1 and 2 that are closed: else a lock gets one, and a process begun here another file for it."""
    while (descriptor := os.open(os.devnull, os.O_RDWR)) <= 2:
        os.set_inheritable(descriptor, True)
    os.close(descriptor)
