"""``query``."""

from __future__ import annotations

import re

import click

from dicombq import config
from dicombq.cli.groups import Command, common_options, lock_timeout_option
from dicombq.cli.render import Output

_ALL_COLUMNS = re.compile(r"\bSELECT\s+(DISTINCT\s+)?(\w+\.)?\*", re.IGNORECASE)


@click.command(
    "query",
    cls=Command,
    short_help="Ask a question in GoogleSQL.",
    epilog="""\b
Examples:
  dicombq query 'SELECT Modality, COUNT(*) AS Instances FROM dicom.scans GROUP BY Modality'
  dicombq query --warehouse=duckdb://scans.duckdb --format=csv 'SELECT * FROM dicom.scans LIMIT 10'""",
)
@click.argument("sql", metavar="SQL")
@click.option(
    "--warehouse",
    metavar="URI",
    help="duckdb://FILE.duckdb or bq://PROJECT; left out: the embedded warehouse, or what `dicombq config` says.",
)
@lock_timeout_option
@common_options
@click.pass_obj
def query(output: Output, /, sql: str, warehouse: str | None, lock_timeout: float, **_names: str | None) -> None:
    """Run SQL, one GoogleSQL query, and print its result; nothing is written.

    PROJECT.DATASET.TABLE and DATASET.TABLE name the same table in a DuckDB file.
    """
    from dicombq.warehouses.registry import find_warehouse

    result = find_warehouse(config.warehouse(warehouse), lock_timeout).query(sql)
    output.table(result.columns, result.rows, hide_empty=bool(_ALL_COLUMNS.search(sql)))
