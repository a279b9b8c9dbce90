"""What is sent to the Storage Write API, as an independent server reads it."""

from __future__ import annotations

import datetime as dt
import uuid
from pathlib import Path
from typing import Any

from google.api_core.retry import Retry
from google.cloud import bigquery

from dicombq.names import BigQueryTable
from dicombq.table.fields import to_bigquery
from dicombq.table.mapping import json_fields
from dicombq.warehouses.bigquery_changes import change
from tests.tables import anonymous_client, make_load, query_bigquery

FIELDS = json_fields(typed=False)


def test_an_independent_server_reads_the_rows(local_bigquery: None, tmp_path: Path) -> None:
    """It does no change data capture, so that the pseudocolumns are columns here, and rows are appended."""
    table = BigQueryTable("p", f"d_{uuid.uuid4().hex}", "t")
    pseudo = [bigquery.SchemaField(name, "STRING") for name in ("_CHANGE_TYPE", "_CHANGE_SEQUENCE_NUMBER")]
    schema = [*map(bigquery.SchemaField.from_api_repr, to_bigquery(FIELDS)), *pseudo]
    with anonymous_client() as client:
        client.create_dataset(table.dataset)
        client.create_table(bigquery.Table(f"p.{table.dataset}.t", schema))
    row: dict[str, Any] = {
        "StudyInstanceUID": "1",
        "SOPInstanceUID": "1.1.1",
        "Metadata": {"00100010": {"vr": "PN", "Value": [{"Alphabetic": "Ä^É"}]}},
        "DroppedTags": ["a", "b"],
        "BlobStorageSize": 12,
        "Type": "CREATE",
        "LastUpdated": "2024-01-02T03:04:05.000006Z",
    }
    deletion = {"SOPInstanceUID": "1.1.2", "Type": "DELETE", "LastUpdated": "0001-01-01T00:00:00.000010Z"}
    load = make_load(tmp_path, [row, deletion], FIELDS)
    assert change(table, load, Retry(timeout=10.0)) == (2, {})
    first, second = sorted(query_bigquery(table), key=lambda found: str(found["SOPInstanceUID"]))
    moment = dt.datetime(2024, 1, 2, 3, 4, 5, 6, dt.timezone.utc)
    beginning = dt.datetime(1, 1, 1, tzinfo=dt.timezone.utc)
    assert first == {
        "StudyInstanceUID": "1",
        "SeriesInstanceUID": "",
        "SOPInstanceUID": "1.1.1",
        "Metadata": row["Metadata"],
        "StructuredStorageSize": None,
        "DroppedTags": ["a", "b"],
        "StorageClass": None,
        "LastUpdated": moment,
        "BlobStorageSize": 12,
        "_CHANGE_TYPE": "UPSERT",
        "_CHANGE_SEQUENCE_NUMBER": f"{(moment - beginning) // dt.timedelta(microseconds=1):X}",
    }
    assert (second["_CHANGE_TYPE"], second["_CHANGE_SEQUENCE_NUMBER"], second["Metadata"]) == ("DELETE", "A", None)
