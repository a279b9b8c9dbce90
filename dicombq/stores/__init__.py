"""Where instances lie."""
