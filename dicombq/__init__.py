"""Export DICOM metadata, wherever it lies, to a BigQuery table or an embedded DuckDB file."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dicombq.api import export_to_table, iter_rows, read_row, schema_of

__version__ = "0.1.0"
__all__ = ["__version__", "export_to_table", "iter_rows", "read_row", "schema_of"]


def __getattr__(name: str) -> Any:
    """Import what is asked for, then: `dicombq --help` needs none of it."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from dicombq import api  # noqa: PLC0415 - see above

    return getattr(api, name)
