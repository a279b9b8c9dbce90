"""Filter files: made of a table, and checked."""
