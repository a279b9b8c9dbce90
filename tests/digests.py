"""Digests of the tables that a folder gives, to compare two versions of dicombq.

``python -m tests.digests FOLDER > before``, change the code, ``python -m tests.digests FOLDER | diff before -``.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from dicombq.cli.main import main
from dicombq.names import DuckdbTable
from tests.tables import read_duckdb


def digests(folder: Path, schema: str) -> Iterator[str]:
    """Export a folder; give a line for each row of its table, without what depends on the time or the machine."""
    with tempfile.TemporaryDirectory() as home:
        os.environ["DICOMBQ_HOME"] = home
        table = DuckdbTable(Path(home) / "digests.duckdb", "d", "t")
        with contextlib.redirect_stdout(sys.stderr):
            code = main(["export", "bq", str(folder), f"--bq-table={table}", f"--schema={schema}"])
        yield f"{schema} exit {code}"
        for row in read_duckdb(table):
            text = json.dumps(row, default=str)
            yield f"{schema} {row['SOPInstanceUID']} {hashlib.sha256(text.encode()).hexdigest()}"


if __name__ == "__main__":
    for schema in ("flattened", "json"):
        print("\n".join(sorted(digests(Path(sys.argv[1]), schema))))  # noqa: T201 - it is what the script is for
