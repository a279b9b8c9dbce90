from __future__ import annotations

from collections.abc import Iterator

import pytest

from dicombq.rows import runs


@pytest.fixture
def fresh_memory() -> Iterator[None]:
    """No run is remembered, neither before a test nor after it."""
    runs.memory.forget()
    yield
    runs.memory.forget()
