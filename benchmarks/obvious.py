"""What one writes without dicombq: a loop around pydicom, JSON lines, and DuckDB to load them.

``python -m benchmarks.obvious FOLDER FILE.duckdb``
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import duckdb
from pydicom import dcmread
from pydicom.datadict import keyword_for_tag
from pydicom.errors import InvalidDicomError


def main(folder: str, warehouse: str) -> None:
    """Load a row for each DICOM file below the folder."""
    with tempfile.NamedTemporaryFile("w", suffix=".ndjson") as lines:
        for path in Path(folder).rglob("*"):
            if not path.is_file():
                continue
            try:
                dataset = dcmread(path, stop_before_pixels=True)
            except InvalidDicomError:
                continue
            json.dump(_row(dataset.to_json_dict()), lines)
            lines.write("\n")
        lines.flush()
        with duckdb.connect(warehouse) as connection:
            connection.execute("CREATE TABLE instances AS SELECT * FROM read_json(?)", [lines.name])


def _row(elements: dict[str, Any]) -> dict[str, Any]:
    row = {}
    for tag, element in elements.items():
        values = element.get("Value", [])
        row[keyword_for_tag(tag) or tag] = values[0] if len(values) == 1 else values
    return row


if __name__ == "__main__":
    main(*sys.argv[1:])
