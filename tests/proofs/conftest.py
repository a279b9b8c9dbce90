from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.proofs.scenes import Scene
from tests.proofs.zygote import Zygote, zygote

if sys.platform != "linux":  # files are named by /proc
    collect_ignore_glob = ["test_*.py"]


@pytest.fixture(scope="module")
def process() -> Iterator[Zygote]:
    with zygote() as started:
        yield started


@pytest.fixture(scope="module")
def fast_folder() -> Iterator[Path]:
    """A folder in memory, where there is one: a thousand fsyncs take their time elsewhere."""
    shm = "/dev/shm"
    with tempfile.TemporaryDirectory(dir=shm if os.access(shm, os.W_OK) else None) as folder:
        yield Path(folder)


@pytest.fixture(scope="module")
def small(fast_folder: Path, process: Zygote) -> Scene:
    """A scene with little of everything, and two shards."""
    return Scene(fast_folder / "small", process, 3, shard_size=3)
