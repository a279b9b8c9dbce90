"""What it costs to read a header into a row, by each reader, on files that none of them has seen."""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from pydicom import dcmread

from benchmarks import instances
from benchmarks.table import markdown
from dicombq.rows import reader, reference, walker
from dicombq.rows.record import Record

_WEIGHT: dict[Callable[[instances.Lot], bytes], int] = {instances.enhanced_mr: 20, instances.sr: 3}
"""How many times fewer files there are of the long headers."""

_TARGETS = "CT native : floor ≤ 5, to_json_dict : native ≥ 60; enhanced MR native ≤ 1,000 µs."

_IN_A_TURN = 20
"""Files that a reader reads before the next one does: one after the other, as in an export."""


_read_natively = reader.fast_reader(Record)


def _floor(path: Path) -> None:
    with path.open("rb") as file:
        file.read(16 << 10)


def _native(path: Path) -> None:
    with path.open("rb") as file:
        _read_natively(file, path.stat().st_size)


def _walker(path: Path) -> None:
    with path.open("rb") as file:
        walker.read_row(file, path.stat().st_size)


def _reference(path: Path) -> None:
    with path.open("rb") as file:
        reference.read_row(file, path.stat().st_size)


def _to_json_dict(path: Path) -> None:
    dcmread(path, stop_before_pixels=True).to_json_dict()


_READERS: dict[str, Callable[[Path], None]] = {
    "floor": _floor,
    "native": _native,
    "walker": _walker,
    "reference": _reference,
    "to_json_dict": _to_json_dict,
}


def section(files: int, repeat: int) -> str:
    """Measure the readers in turns, in one process on one core: each reads twenty files, then the next reads them.

    Raises
    ------
    RuntimeError
        Where the native reader is not compiled.
    """
    if reader.active_reader() != "native":
        raise RuntimeError("the native reader is not compiled")
    rows: list[list[str | float]] = []
    for kind, how in instances.KINDS.items():
        count = max(files // _WEIGHT.get(how.make, 1), 2)
        _measure(kind, range(2))  # imports and tables that are filled once
        runs = [_measure(kind, range(count * (turn + 1), count * (turn + 2))) for turn in range(repeat)]
        cost = {name: statistics.median(run[name] for run in runs) for name in _READERS}
        ratios = (
            cost["native"] / cost["floor"],
            cost["to_json_dict"] / cost["native"],
            cost["to_json_dict"] / cost["walker"],
        )
        rows.append([kind, *cost.values(), *ratios])
    headings = ["µs a file", *_READERS, "native : floor", "to_json_dict : native", "to_json_dict : walker"]
    return f"{markdown(headings, rows)}\n\nTargets: {_TARGETS}"


def _measure(kind: str, seeds: range) -> dict[str, float]:
    spent = dict.fromkeys(_READERS, 0.0)
    names = list(_READERS)
    with tempfile.TemporaryDirectory() as folder:
        paths = instances.write(Path(folder), kind, seeds)
        for turn, start in enumerate(range(0, len(paths), _IN_A_TURN)):
            first = turn % len(names)
            for name in (*names[first:], *names[:first]):
                read = _READERS[name]
                begin = time.process_time()
                for path in paths[start : start + _IN_A_TURN]:
                    read(path)
                spent[name] += time.process_time() - begin
    return {name: seconds / len(seeds) * 1e6 for name, seconds in spent.items()}
