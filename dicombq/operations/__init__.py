"""Long-running operations of every kind: begun, detached, followed, cancelled, resumed, logged."""
