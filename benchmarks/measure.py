"""What a command costs: wall and CPU time, its children's too, and the peak memory of each process."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

_INTERVAL = 0.02


@dataclass
class Cost:
    """Of one command.

    Parameters
    ----------
    wall, cpu
        Seconds; the CPU time is user and system, with all children.
    peaks
        Process ID to the kernel's high-water mark of its resident memory, in KiB; the command itself comes first.
    """

    wall: float
    cpu: float
    peaks: dict[int, int] = field(default_factory=dict)


def run(arguments: Sequence[str], home: Path, *, memory: bool = False) -> Cost:
    """Run a module of this interpreter with a HOME of its own, and with byte code, as where it is installed.

    Raises
    ------
    RuntimeError
        Where it fails.
    """
    environment: Mapping[str, str] = {**os.environ, "DICOMBQ_HOME": str(home), "PYTHONDONTWRITEBYTECODE": ""}
    begin = time.monotonic()
    with subprocess.Popen(
        [sys.executable, "-m", *arguments], env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as process:
        peaks = _watch(process.pid) if memory else {}
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"{arguments[0]} ended with {process.returncode}")
    return Cost(time.monotonic() - begin, usage.ru_utime + usage.ru_stime, peaks)


def _watch(pid: int) -> dict[int, int]:
    """Look at VmHWM until the process ends: a high-water mark misses nothing but what follows the last look."""
    peaks = {pid: 0}
    while not os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT):
        for each in (pid, *_children(pid)):
            peaks[each] = max(peaks.get(each, 0), peak(each))
        time.sleep(_INTERVAL)
    return peaks


def _children(pid: int) -> list[int]:
    found: list[int] = []
    with contextlib.suppress(OSError):
        for task in os.listdir(f"/proc/{pid}/task"):
            found += map(int, Path(f"/proc/{pid}/task/{task}/children").read_text().split())
    return found


def peak(pid: int) -> int:
    """Give the high-water mark of a process's resident memory, in KiB."""
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1])
    return 0
