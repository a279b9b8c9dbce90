"""Questions about tables, and about stores as if they were tables."""

from pathlib import Path

SAMPLES = tuple(sorted(file.stem for file in Path(__file__).with_name("sql").glob("*.sql")))
"""The names of the sample queries."""
