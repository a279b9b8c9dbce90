"""The standard's words and values; knows no table."""
