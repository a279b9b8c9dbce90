from __future__ import annotations

import json
from pathlib import Path

from tests.cli.conftest import Run


def test_each_line_is_ok_or_what_mends_it(run: Run, scans: Path) -> None:
    well = run("doctor", "scans")
    assert (well.code, well.err) == (0, "")
    assert all(line.startswith("OK  ") for line in well.out.splitlines()[1:])
    ill = run("doctor", "nowhere", "--bq-table=duckdb://no/where.duckdb/d.t", "--format=json")
    assert ill.code == 1
    mend = {each["check"]: each["mend"] for each in json.loads(ill.out) if not each["ok"]}
    assert mend["store"].startswith("Check the path")
    assert mend["table"] == "Make the folder first."


def test_a_table_uri_that_is_none_is_one_of_the_findings(run: Run, here: Path) -> None:
    ill = run("doctor", "--bq-table=x")
    assert (ill.code, "MEND  warehouse   [x] is not a table URI" in ill.out) == (1, True)
