"""``doctor``."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from dicombq import config
from dicombq.cli import proposals
from dicombq.cli.groups import Command, common_options, lock_timeout_option, store_options
from dicombq.cli.render import Output

if TYPE_CHECKING:
    from dicombq.doctor import Finding
    from dicombq.stores.base import Store, StoreOptions

_COLUMNS = {"": "sign", "CHECK": "check", "FOUND": "text"}


@click.command(
    "doctor",
    cls=Command,
    short_help="Check what an export needs.",
    epilog="""\b
Examples:
  dicombq doctor
  dicombq doctor ./scans --bq-table=bq://my-project.my_dataset.scans""",
)
@click.argument("store", metavar="[STORE]", shell_complete=proposals.files, required=False)
@click.option("--bq-table", metavar="URI", help="The table that is to be exported to.")
@lock_timeout_option
@store_options
@common_options
@click.pass_obj
def doctor(
    output: Output,
    store: str | None,
    bq_table: str | None,
    lock_timeout: float | None,
    options: StoreOptions,
    project: str | None,
    location: str | None,
    dataset: str | None,
) -> int:
    """Check this machine, STORE, and the table: each line is OK, or says what mends it. Nothing is written.

    The exit code is 1 where something has to be mended.
    """
    from dicombq.doctor import all_checks, examine
    from dicombq.names import parse_table_uri
    from dicombq.stores.registry import open_store
    from dicombq.warehouses.base import Warehouse
    from dicombq.warehouses.registry import find_warehouse, open_warehouse

    def open_source() -> Store[Any]:
        parent = config.parent(project, location, dataset)
        return open_store(str(store), parent, config.home_folder(), output.warning, options)

    def destination() -> tuple[Warehouse[Any], Any]:
        if bq_table is None:
            return find_warehouse(config.warehouse(), lock_timeout), None
        table = parse_table_uri(bq_table)
        return open_warehouse(table, lock_timeout), table

    findings = list(examine(all_checks(open_source if store is not None else None, destination)))
    if output.is_whole:
        output.resources({}, map(asdict, findings))
    else:
        output.resources(_COLUMNS, map(_with_text, findings))
    return 0 if all(each.ok for each in findings) else 1


def _with_text(finding: Finding) -> dict[str, Any]:
    text = finding.found if finding.ok else f"{finding.found}. {finding.mend}"
    return asdict(finding) | {"sign": "OK" if finding.ok else "MEND", "text": text}
