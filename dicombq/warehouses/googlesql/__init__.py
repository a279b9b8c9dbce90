"""GoogleSQL, as it is on BigQuery, for the embedded DuckDB warehouse."""
