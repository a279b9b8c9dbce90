"""A table and the form of its rows, as exports and streams name it."""

from __future__ import annotations

from dataclasses import dataclass

from dicombq.names import TableUri
from dicombq.table.disposition import Disposition
from dicombq.table.fields import Field
from dicombq.table.mapping import flattened_fields, json_fields


@dataclass(frozen=True)
class BigQueryDestination:
    """Where the rows go and how (``rest_api.md``, GoogleCloudHealthcareV1DicomBigQueryDestination).

    Parameters
    ----------
    schema_json
        One JSON column for all elements, in place of a column for each.
    change_data_capture
        Whether the table of a stream holds the latest version of each instance, in place of a row for each change.
    """

    table: TableUri
    disposition: Disposition = Disposition.NONE
    schema_json: bool = False
    include_source_store: bool = False
    change_data_capture: bool = False

    def fields(self, paths: set[str]) -> tuple[Field, ...]:
        """Give the fields of rows with these column paths."""
        if self.schema_json:
            return json_fields(source_store=self.include_source_store, typed=not self.change_data_capture)
        return flattened_fields(paths, source_store=self.include_source_store)
