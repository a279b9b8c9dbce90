"""An instance's header to its row."""
