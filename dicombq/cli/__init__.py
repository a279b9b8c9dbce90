"""The command line: parse, one call of the core, render."""
