"""Export DICOM metadata, wherever it lies, to a BigQuery table or an embedded DuckDB file."""

__version__ = "0.1.0"
__all__ = ["__version__"]
