"""The state of long-running operations: what they do, how far they have come, who runs them."""
