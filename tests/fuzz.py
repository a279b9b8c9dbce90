"""Damaged files, made by a seed, and what reading one may do: give a row or say that there is none.

``python -m tests.fuzz --count 10000 --seed 1`` reads damaged copies of the files in ``DICOMBQ_CORPUS`` or in
``--folder``, of pydicom's test files where neither is given. Workers have a limit of address space: a reader that
takes too much memory fails there. One that hangs is stopped by a signal; where it heeds none, its process is.
"""

import argparse
import faulthandler
import io
import os
import random
import re
import resource
import signal
import struct
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from types import FrameType
from typing import NamedTuple

import pydicom.data

from dicombq.dicom.values import KNOWN_VRS
from dicombq.rows import reader, reference, walker
from dicombq.rows.base import HandOver, NotAnInstance, Row, Unreadable
from dicombq.rows.metadata import MetadataRecord
from dicombq.rows.record import Record
from tests.random_dicom import case
from tests.row_checker import problems

SECONDS = 5
MINUTES = 5
RANDOM_FILES = 200
ADDRESS_SPACE = 1 << 30
BIGGEST_FILE = 4 << 20
SMALL_FILE = 64 << 10
RECORD_TYPES: tuple[type[Record], ...] = (Record, MetadataRecord)
READERS: dict[str, Callable[..., Row]] = {
    "reference": reference.read_row,
    "walker": walker.read_row,
    "native": reader.fast_reader(Record),
}

_VR = re.compile(b"|".join(vr.encode() for vr in sorted(KNOWN_VRS)))
_LENGTHS = (0, 1, 2, 3, 7, 0x7F, 0xFF, 0xFFFE, 0xFFFF, 0x10000, 0x100000, 0x7FFFFFFF, 0xFFFFFFFE, 0xFFFFFFFF)
_TAGS = (0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD, 0x00080005, 0x00100010, 0x00081140, 0x00091001, 0x60003000, 0x7FE00010)
_TEXTS = (b"\0", b"\\", b"^", b"=", b"\x1b$B", b"\x1b$)C", b"\x1b", b"\xff\xfe", b"\xed\xa0\x80", b"1e999", b"-")


class TookTooLong(BaseException):
    """Raised by the signal; no reader that catches exceptions catches it."""


class Outcome(NamedTuple):
    """What came of one damaged file, for each type of record."""

    kinds: tuple[str, ...]
    wrong: tuple[str, ...]
    seconds: float = 0.0
    file: str = ""
    number: int = 0
    kibibytes: int = 0


def flip_bits(data: bytearray, rng: random.Random, _others: Sequence[bytes]) -> None:
    for _ in range(rng.randint(1, 8)):
        data[_position(data, rng)] ^= 1 << rng.randrange(8)


def cut(data: bytearray, rng: random.Random, _others: Sequence[bytes]) -> None:
    del data[_position(data, rng) :]


def remove(data: bytearray, rng: random.Random, _others: Sequence[bytes]) -> None:
    start = _position(data, rng)
    del data[start : start + rng.randint(1, 64)]


def repeat(data: bytearray, rng: random.Random, _others: Sequence[bytes]) -> None:
    start = _position(data, rng)
    data[start:start] = data[start : start + rng.randint(1, 512)]


def splice(data: bytearray, rng: random.Random, others: Sequence[bytes]) -> None:
    other = rng.choice(others)
    start, here = _position(other, rng), _position(data, rng)
    data[here : here + rng.choice((0, 8, 256))] = other[start : start + rng.randint(1, 2048)]


def spoil_length(data: bytearray, rng: random.Random, _others: Sequence[bytes]) -> None:
    at = _vr(data, rng) + rng.choice((2, 6))
    _write(data, at, struct.pack(rng.choice("<>") + "L", rng.choice(_LENGTHS))[: rng.choice((2, 4))])


def spoil_vr(data: bytearray, rng: random.Random, _others: Sequence[bytes]) -> None:
    _write(data, _vr(data, rng), rng.choice([*sorted(KNOWN_VRS), "ZZ", "??", "\0\0"]).encode())


def spoil_tag(data: bytearray, rng: random.Random, _others: Sequence[bytes]) -> None:
    tag = rng.choice(_TAGS)
    _write(data, _vr(data, rng) - 4, struct.pack(rng.choice("<>") + "HH", tag >> 16, tag & 0xFFFF))


def spoil_text(data: bytearray, rng: random.Random, _others: Sequence[bytes]) -> None:
    _write(data, _vr(data, rng) + 4, rng.choice(_TEXTS))


MUTATIONS: tuple[Callable[[bytearray, random.Random, Sequence[bytes]], None], ...] = (
    flip_bits,
    cut,
    remove,
    repeat,
    splice,
    spoil_length,
    spoil_vr,
    spoil_tag,
    spoil_text,
)


def _position(data: bytes | bytearray, rng: random.Random) -> int:
    """Choose a place, most often in the header, where there is something to damage."""
    return rng.randrange(
        132 * (len(data) > 132 and rng.random() < 0.9), min(len(data), rng.choice((2048, 8192, 1 << 30)))
    )


def _vr(data: bytearray, rng: random.Random) -> int:
    found = _VR.search(data, _position(data, rng))
    return found.start() if found else _position(data, rng)


def _write(data: bytearray, at: int, new: bytes) -> None:
    data[max(at, 0) : max(at, 0) + len(new)] = new


def mutate(files: Sequence[tuple[str, bytes]], seed: int, number: int) -> tuple[str, bytes]:
    """Damage one of the files: the same seed and number give the same bytes."""
    rng = random.Random(f"{seed}:{number}")
    name, original = rng.choice(files)
    others = [data for _, data in rng.sample(files, min(3, len(files)))]
    data = bytearray(original)
    for _ in range(rng.choice((1, 1, 1, 1, 2, 4))):
        if data:
            rng.choice(MUTATIONS)(data, rng, others)
    return name, bytes(data)


def examine(data: bytes, *, claims: bool = True, by: str = "reference", looks: bool = True) -> Outcome:
    """Read a file as each type of record, and look for what is wrong with the rows."""
    kinds: list[str] = []
    wrong: list[str] = []
    dropped: set[str] = set()
    for record_type in RECORD_TYPES:
        try:
            row = READERS[by](io.BytesIO(data), len(data), claims=claims, record_type=record_type)
        except Unreadable as error:
            kinds.append("unreadable")
            if "MemoryError" in error.reason:
                wrong.append(f"{record_type.__name__}: {error.reason}")
        except NotAnInstance:
            kinds.append("not an instance")
        except HandOver:
            kinds.append("handed over")
        except Exception as error:  # noqa: BLE001 - what must never happen is what is looked for
            kinds.append("failure")
            wrong.append(f"{record_type.__name__}: raised {error!r}")
        else:
            kinds.append("row")
            if not looks:
                continue
            dropped |= row.values.keys() & {"DroppedTags"}
            wrong += [f"{record_type.__name__}: {problem}" for problem in problems(row, record_type)]
    # what one type drops, the other may fail to read, or hand over
    if len(set(kinds)) > 1 and by == "reference" and "DroppedTags" not in dropped:
        wrong.append(f"the record types disagree: {kinds}")
    return Outcome(tuple(kinds), tuple(wrong))


def corpus(folder: Path | None) -> list[tuple[str, bytes]]:
    """Load the files to damage; without a folder pydicom's."""
    if folder is None:
        folder = Path(pydicom.data.__file__).parent / "test_files"
    elif (folder / "dicom").is_dir():  # beside it lies what DCMTK read of the files
        folder /= "dicom"
    paths = sorted(path for path in folder.rglob("*") if path.is_file() and 0 < path.stat().st_size <= BIGGEST_FILE)
    return [(str(path.relative_to(folder)), path.read_bytes()) for path in paths]


@contextmanager
def _alarm(seconds: float) -> Iterator[None]:
    def stop(_signal: int, _frame: FrameType | None) -> None:
        raise TookTooLong

    before = signal.signal(signal.SIGPROF, stop)  # of CPU time: a busy machine is no fault of a reader
    signal.setitimer(signal.ITIMER_PROF, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)


def _worker(
    files: Sequence[tuple[str, bytes]], seed: int, number: int, by: str = "reference", *, looks: bool = True
) -> Outcome:
    name, data = mutate(files, seed, number)
    start = time.process_time()
    try:
        faulthandler.dump_traceback_later(MINUTES * 60, exit=True)
        with _alarm(SECONDS * len(RECORD_TYPES)):
            outcome = examine(data, claims=number % 4 != 0, by=by, looks=looks)
    except TookTooLong:
        outcome = Outcome(("failure",), ("took too long",))
    finally:
        faulthandler.cancel_dump_traceback_later()
    seconds = time.process_time() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return outcome._replace(file=name, number=number, seconds=seconds, kibibytes=peak)


_files: list[tuple[str, bytes]] = []


def _start(folder: Path | None, sanitized: bool) -> None:
    if not sanitized:
        resource.setrlimit(resource.RLIMIT_AS, (ADDRESS_SPACE, ADDRESS_SPACE))
    _files.extend(each for each in corpus(folder) if not sanitized or len(each[1]) <= SMALL_FILE)
    _files.extend((f"random {number}", case(0, number).data) for number in range(RANDOM_FILES))


def _run(seed: int, by: str, sanitized: bool, number: int) -> Outcome:
    return _worker(_files, seed, number, by, looks=not sanitized)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description="Read damaged files.")
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--folder", type=Path, default=os.environ.get("DICOMBQ_CORPUS"))
    parser.add_argument("--only", type=int, help="the number of one damaged file")
    parser.add_argument("--reader", choices=READERS, default="reference")
    parser.add_argument(
        "--sanitized",
        action="store_true",
        help="for a reader with sanitizers: no limit of address space, small files, and rows are not looked at",
    )
    options = parser.parse_args(arguments)
    folder = Path(options.folder) if options.folder else None
    numbers = range(options.count) if options.only is None else [options.only]
    kinds: Counter[str] = Counter()
    failed, seconds, kibibytes = 0, 0.0, 0
    with ProcessPoolExecutor(
        mp_context=get_context("spawn"), initializer=_start, initargs=(folder, options.sanitized)
    ) as pool:
        for outcome in pool.map(partial(_run, options.seed, options.reader, options.sanitized), numbers, chunksize=50):
            kinds.update([outcome.kinds[0]])
            seconds = max(seconds, outcome.seconds)
            kibibytes = max(kibibytes, outcome.kibibytes)
            if outcome.wrong:
                failed += 1
                print(f"--only {outcome.number}: {outcome.file}: {'; '.join(outcome.wrong[:3])}")  # noqa: T201 - a tool
    print(  # noqa: T201 - the figures are what it is for
        f"{dict(kinds)}, {failed} failed, at most {seconds:.2f} s CPU for a file as each type of record,"
        f" {kibibytes >> 10} MiB resident in a worker with its files (address space {ADDRESS_SPACE >> 20} MiB)"
    )
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
