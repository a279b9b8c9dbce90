"""The fast readers against the reference: the same row, both refuse, or a hand-over; nothing else.

``python -m tests.differential --count 50000 --seed 1`` compares the undamaged files of ``DICOMBQ_CORPUS`` (of pydicom's
test files without it), then as many random and damaged ones, and prints what came of them. Where each fast reader gives
the reference's row, all three give the same.
"""

import argparse
import io
import os
import random
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

from dicombq.rows import reader, reference, walker, window
from dicombq.rows.base import HandOver, NotAnInstance, Row, Unreadable
from dicombq.rows.metadata import MetadataRecord
from dicombq.rows.record import Record
from tests import fuzz
from tests.random_dicom import Case, case

EQUAL, REFUSED, HANDED_OVER, DIFFERENT = "equal", "both refused", "handed over", "different"
MAX_SHARE = 0.03
"""Of the readable undamaged files, those that a fast reader may hand over (their share is smaller)."""

TOLERATED: dict[str, str] = {}
"""Differences that may be, each with its reason: none."""

PREFIXES = (132, 200, 1000, window.PREFIX)
RECORD_TYPES: tuple[type[Record], ...] = (Record, MetadataRecord)
_KINDS = 4  # of files, one after the other: random, damaged, random and damaged, related
_VERSIONS = 6  # of a file, related

Reader: TypeAlias = Callable[..., Row]
FAST: dict[str, Reader] = {"walker": walker.read_row}
if reader.active_reader() == "native":
    FAST["native"] = reader.fast_reader(Record)

Answer: TypeAlias = Row | Unreadable | NotAnInstance | HandOver


class Outcome(NamedTuple):
    """What came of a comparison: one of the four kinds; the reason of a hand-over, or where the readers differ."""

    kind: str
    detail: str = ""
    readable: bool = False


@contextmanager
def prefix(size: int) -> Iterator[None]:
    """Let the walker's first read be of another size."""
    before = window.PREFIX
    window.PREFIX = size
    try:
        yield
    finally:
        window.PREFIX = before


def compare(
    data: bytes,
    *,
    claims: bool = True,
    record_type: type[Record] = Record,
    max_element_size: int = 1 << 20,
    fast: Mapping[str, Reader] = FAST,
) -> dict[str, Outcome]:
    """Read a file by the fast readers and the reference."""
    arguments: dict[str, Any] = {"claims": claims, "record_type": record_type, "max_element_size": max_element_size}
    expected = _answer(reference.read_row, data, arguments)
    return {name: _compare(_answer(read, data, arguments), expected) for name, read in fast.items()}


def _compare(walked: Answer, expected: Answer) -> Outcome:
    readable = isinstance(expected, Row)
    if isinstance(walked, HandOver):
        return Outcome(HANDED_OVER, walked.reason, readable)
    if isinstance(walked, Row) and isinstance(expected, Row):
        found = next(differences(expected, walked), "")
        return Outcome(DIFFERENT if found else EQUAL, found, readable)
    if type(walked) is type(expected) and _code(walked) == _code(expected):
        return Outcome(REFUSED)
    return Outcome(DIFFERENT, f"expected {_named(expected)}, got {_named(walked)}", readable)


def check_agrees(data: bytes, record_type: type[Record] = Record, **how: Any) -> str:
    """Assert that no reader differs on a file, and that all hand over if any does; give the kind of outcome."""
    outcomes = compare(data, record_type=record_type, **how)
    kinds = {outcome.kind for outcome in outcomes.values()}
    if DIFFERENT in kinds or len(kinds) > 1:
        raise AssertionError(str(outcomes))
    return kinds.pop()


def _answer(read: Reader, data: bytes, arguments: dict[str, Any]) -> Answer:
    try:
        return read(io.BytesIO(data), len(data), **arguments)
    except (Unreadable, NotAnInstance, HandOver) as answer:
        return answer


def _code(answer: Answer) -> str:
    return answer.code if isinstance(answer, Unreadable) else ""


def _named(answer: Answer) -> str:
    return "a row" if isinstance(answer, Row) else f"{type(answer).__name__} {_code(answer)} ({answer})"


def differences(expected: Row, walked: Row) -> Iterator[str]:
    """Say where two rows differ: in a value, its type, the order of anything, a column or a notice."""
    yield from _differ(expected.values, walked.values, "")
    for column in sorted(expected.columns ^ walked.columns):
        yield f"the column {column} is only in the {'reference' if column in expected.columns else 'walker'}"
    yield from _differ(list(expected.uids), list(walked.uids), "uids")
    yield from _differ([[*each] for each in expected.notices], [[*each] for each in walked.notices], "notices")
    if text_of(expected) != text_of(walked):  # what the other checks may miss
        yield f"expected {expected!r}, got {walked!r}"


def text_of(row: Row) -> str:
    """Write a row with its types and all orders; that of its set of columns means nothing."""
    return repr((sorted(row.columns), replace(row, columns=frozenset())))


def _differ(expected: Any, walked: Any, where: str) -> Iterator[str]:
    if type(expected) is not type(walked):
        yield f"{where}: expected {type(expected).__name__} {expected!r}, got {type(walked).__name__} {walked!r}"
    elif isinstance(expected, dict):
        for key in expected.keys() | walked.keys():
            if key not in expected or key not in walked:
                yield f"{where}.{key}: only in the {'reference' if key in expected else 'walker'}"
            else:
                yield from _differ(expected[key], walked[key], f"{where}.{key}")
        if list(expected) != list(walked):
            yield f"{where}: expected the order {list(expected)}, got {list(walked)}"
    elif isinstance(expected, list):
        if len(expected) != len(walked):
            yield f"{where}: expected {expected!r}, got {walked!r}"
        for position, (one, other) in enumerate(zip(expected, walked, strict=False)):
            yield from _differ(one, other, f"{where}[{position}]")
    elif repr(expected) != repr(walked):
        yield f"{where}: expected {expected!r}, got {walked!r}"


def made(files: Sequence[tuple[str, bytes]], seed: int, number: int) -> tuple[str, Case]:
    """Make the file of a number: a random one, a damaged one of the files, a random and damaged one."""
    kind = number % _KINDS
    if kind == 0:
        return "random", case(seed, number)
    if kind == 1:
        name, data = fuzz.mutate(files, seed, number)
        return name, Case(data, claims=number % 4 != 0)
    cases = [case(seed, number + each) for each in range(3)]
    _, data = fuzz.mutate([(str(each), one.data) for each, one in enumerate(cases)], seed, number)
    return "random, damaged", cases[0]._replace(data=data)


def related(files: Sequence[tuple[str, bytes]], seed: int, number: int) -> tuple[str, list[Case]]:
    """Make files that share most of their bytes: versions of one, with other digits or damaged, in any order."""
    rng = random.Random(f"related {seed}:{number}")
    name, found = made(files, seed, number // _KINDS * _KINDS + rng.randrange(2))
    if not found.data:
        return name, [found]
    versions = [found.data, found.data, _other_digits(found.data, rng)]
    for each in range(_VERSIONS):
        last = rng.choice(versions)
        damaged = fuzz.mutate([(name, last)], seed, number * _VERSIONS + each)[1] if last else last
        versions.append(rng.choice((last, damaged, _other_digits(last, rng))))
    rng.shuffle(versions)
    return f"related to {name}", [found._replace(data=each) for each in versions]


def _other_digits(data: bytes, rng: random.Random) -> bytes:
    """Change some digits, as from one instance of a series to the next."""
    places = [position for position, byte in enumerate(data[:20_000]) if chr(byte).isdigit()]
    changed = bytearray(data)
    for position in rng.sample(places, min(len(places), rng.choice((1, 3, 10)))):
        changed[position] = rng.choice(b"0123456789")
    return bytes(changed)


def compare_made(files: Sequence[tuple[str, bytes]], seed: int, number: int) -> list[tuple[str, Outcome]]:
    """Compare the file of a number, as each type of record; related ones as both in turns."""
    if number % _KINDS < _KINDS - 1:
        name, found = made(files, seed, number)
        cases = [found]
    else:
        name, cases = related(files, seed, number)
    outcomes: list[tuple[str, Outcome]] = []
    for found in cases:
        with prefix(random.Random(number).choice(PREFIXES)):
            for each in RECORD_TYPES:
                outcomes += compare(found.data, record_type=each, **_how(found)).items()
    return [
        (by, outcome._replace(detail=f"{name}: {by}: {outcome.detail}") if outcome.kind == DIFFERENT else outcome)
        for by, outcome in outcomes
    ]


def _how(found: Case) -> dict[str, Any]:
    return {"claims": found.claims, "max_element_size": found.max_element_size}


def compare_undamaged(files: Sequence[tuple[str, bytes]]) -> dict[str, dict[str, Outcome]]:
    """Compare whole files, as `Record`; give the outcomes of each fast reader."""
    compared = {name: compare(data) for name, data in files}
    return {by: {name: outcomes[by] for name, outcomes in compared.items()} for by in FAST}


def share(outcomes: Sequence[Outcome]) -> float:
    """Give the share of hand-overs in the files that the reference can read."""
    readable = [outcome for outcome in outcomes if outcome.readable]
    return sum(outcome.kind == HANDED_OVER for outcome in readable) / max(len(readable), 1)


_files: list[tuple[str, bytes]] = []


def _start(folder: Path | None) -> None:
    _files.extend(fuzz.corpus(folder))


def _run(seed: int, number: int) -> list[tuple[str, Outcome]]:
    return compare_made(_files, seed, number)


def figures(outcomes: Sequence[Outcome]) -> str:
    """Count outcomes by kind, hand-overs by reason."""
    counted = Counter(outcome.kind for outcome in outcomes)
    lines = [f"{counted[kind]:>8,} {kind}" for kind in (EQUAL, REFUSED, HANDED_OVER, DIFFERENT)]
    reasons = Counter(outcome.detail for outcome in outcomes if outcome.kind == HANDED_OVER)
    return "\n".join(lines + [f"{number:>16,} {reason}" for reason, number in reasons.most_common()])


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.differential", description="Compare the two readers.")
    parser.add_argument("--count", type=int, default=50_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--folder", type=Path, default=os.environ.get("DICOMBQ_CORPUS"))
    parser.add_argument("--only", type=int, help="the number of one made file")
    options = parser.parse_args(arguments)
    folder = Path(options.folder) if options.folder else None
    undamaged = compare_undamaged(fuzz.corpus(folder)) if options.only is None else {by: {} for by in FAST}
    numbers = range(options.count) if options.only is None else [options.only]
    made_ones: dict[str, list[Outcome]] = {by: [] for by in FAST}
    with ProcessPoolExecutor(mp_context=get_context("spawn"), initializer=_start, initargs=(folder,)) as pool:
        for number, outcomes in zip(numbers, pool.map(partial(_run, options.seed), numbers, chunksize=50), strict=True):
            for by, outcome in outcomes:
                made_ones[by].append(outcome)
                if outcome.kind == DIFFERENT:
                    _print(f"--only {number}: {outcome.detail}")
    wrong = [_print_figures(by, undamaged[by], made_ones[by], len(numbers)) for by in FAST]
    return 1 if any(wrong) else 0


def _print_figures(by: str, undamaged: Mapping[str, Outcome], made_ones: Sequence[Outcome], count: int) -> bool:
    """Print what came of one fast reader; tell whether anything is wrong."""
    for name, outcome in undamaged.items():
        if outcome.kind in (DIFFERENT, HANDED_OVER):
            _print(f"{name}: {outcome.kind}: {outcome.detail}")
    handed_over = share([*undamaged.values()])
    _print(f"{by}: {len(undamaged)} undamaged files, {handed_over:.2%} of the readable handed over")
    _print(figures([*undamaged.values()]))
    _print(f"{by}: {count} random, damaged and related files, each as {len(RECORD_TYPES)} types of record")
    _print(figures(made_ones))
    return handed_over >= MAX_SHARE or any(outcome.kind == DIFFERENT for outcome in (*undamaged.values(), *made_ones))


def _print(text: str) -> None:
    print(text)  # noqa: T201 - the figures are what it is for


if __name__ == "__main__":
    sys.exit(main())
