"""The command: ``python -m benchmarks``."""

from __future__ import annotations

import argparse
import platform
from collections.abc import Callable

from benchmarks import buckets, cold, exports, inventory, listing, loads, memory, readers
from dicombq.engines.local import usable_cores


def main() -> None:
    """Measure, and print a table for each section."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Measure dicombq.")
    parser.add_argument(
        "--files", type=int, metavar="N", help="how many files a section has, instead of its own number"
    )
    parser.add_argument("--repeat", type=int, default=5, metavar="N", help="how often it measures; default: 5")
    parser.add_argument("--quick", action="store_true", help="a tenth of the files")
    names = ["readers", "exports", "loads", "memory", "listing", "buckets", "cold", "inventory"]
    parser.add_argument("--only", choices=names, help="one section")
    options = parser.parse_args()

    def files(default: int) -> int:
        return int(options.files or (default // 10 if options.quick else default))

    sections: dict[str, Callable[[], str]] = {
        "readers": lambda: readers.section(files(200), options.repeat),
        "exports": lambda: exports.section({files(20_000): options.repeat // 2 or 1, files(4000): options.repeat}),
        "loads": lambda: loads.section(files(20_000)),
        "memory": lambda: memory.section(files(100_000)),
        "listing": lambda: listing.section(files(200_000), options.repeat),
        "buckets": lambda: buckets.section(files(500), options.repeat),
        "cold": lambda: cold.section(options.repeat),
        "inventory": lambda: inventory.section(files(1_000_000), options.repeat),
    }
    print(f"{usable_cores()} cores, {platform.python_implementation()} {platform.python_version()}")
    for name, measure in sections.items():
        if options.only in (None, name):
            print(f"\n## {name}\n\n{measure()}", flush=True)


if __name__ == "__main__":
    main()
