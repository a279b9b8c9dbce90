"""Streams that run: processes of their own, which are told by files, signals and other processes."""

from __future__ import annotations

import contextlib
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from functools import partial
from typing import Any

import pytest

from dicombq.errors import Locked
from dicombq.names import DuckdbTable
from dicombq.stores.registry import StoreRegistry
from dicombq.streaming.run import Runner
from dicombq.streaming.stream import open_stream
from tests.fakes.bigquery_write import BigQueryWriteFake
from tests.instances import write_instance
from tests.streaming.conftest import Lab
from tests.streaming.running import KILLS, LONG, running, runs, shows, wait_for
from tests.streaming.tables import bigquery_table, check_history, latest_of, let_follow, numbers, rows_of, view_of


def test_what_happens_in_a_folder_comes_to_the_table(lab: Lab) -> None:
    lab.write(1)
    lab.follow()
    with running(lab, "--interval=1h") as process:
        wait_for(shows(lab, 1))
        lab.write(2)
        (lab.folder / "sub").mkdir()
        lab.write(3, name="sub/3")
        if lab.is_duckdb:
            wait_for(shows(lab, 1, 2, 3))
        (lab.folder / "sub" / "3.dcm").rename(lab.folder / "moved.dcm")
        (lab.folder / "1.dcm").unlink()
        if lab.is_duckdb:
            wait_for(shows(lab, 2, 3))
        process.send_signal(signal.SIGTERM)
        assert process.wait() == 0
    lab.sync()
    assert lab.view() == [2, 3]
    check_history(lab.rows())


def test_the_latest_versions_come_to_bigquery_without_waiting_for_a_load(
    duckdb_lab: Lab, bigquery_write: BigQueryWriteFake
) -> None:
    lab = duckdb_lab
    table = bigquery_table()
    lab.write(1)
    lab.write(2)
    lab.follow("--schema=json", "--change-data-capture", tables=(table,))
    with running(lab, "--interval=1h"):
        wait_for(lambda: latest_of(table) == {1: "first", 2: "first"})
        lab.write(1, "second")
        wait_for(lambda: latest_of(table) == {1: "second", 2: "first"})
        (lab.folder / "2.dcm").unlink()
        wait_for(lambda: latest_of(table) == {1: "second"})


def test_a_folder_that_is_moved_in_and_out_is_seen(duckdb_lab: Lab) -> None:
    lab = duckdb_lab
    lab.write(1)
    lab.follow()
    with running(lab, "--interval=1h", "--max-delete=100%"):
        wait_for(shows(lab, 1))
        outside = lab.base / "outside"
        outside.mkdir()
        for number in (2, 3):
            lab.write(number).rename(outside / f"{number}.dcm")
        wait_for(shows(lab, 1))
        outside.rename(lab.folder / "inside")
        wait_for(shows(lab, 1, 2, 3))
        (lab.folder / "inside").rename(outside)
        wait_for(shows(lab, 1))


def test_a_folder_that_is_renamed_is_not_taken_for_deletions(duckdb_lab: Lab) -> None:
    lab = duckdb_lab
    lab.write(1)
    (lab.folder / "disk").mkdir()
    for number in (2, 3):
        lab.write(number, name=f"disk/{number}")
    lab.follow()
    with running(lab, "--interval=1h") as process:
        wait_for(shows(lab, 1, 2, 3))
        (lab.folder / "disk").rename(lab.base / "away")
        assert process.stderr
        line = process.stderr.readline()
        assert "2 of 3 instances of" in line
        assert "If they were deleted: --max-delete=100%" in line
        lab.write(4)  # all else goes on
        wait_for(shows(lab, 1, 2, 3, 4))
        (lab.base / "away").rename(lab.folder / "disk2")
        lab.write(5)
        wait_for(shows(lab, 1, 2, 3, 4, 5))
        (lab.folder / "1.dcm").unlink()  # few deletions are believed
        wait_for(shows(lab, 2, 3, 4, 5))
    (lab.folder / "disk2" / "2.dcm").unlink()
    lab.sync()
    assert (lab.code, lab.view()) == (0, [3, 4, 5])
    assert lab.told(3) == ["first"]


def test_a_sweep_catches_what_events_miss(duckdb_lab: Lab) -> None:
    lab = duckdb_lab
    elsewhere = lab.base / "elsewhere"
    elsewhere.mkdir()
    (lab.folder / "link").symlink_to(elsewhere)  # no events come from behind a link
    lab.follow()
    with running(lab, "--interval=1s"):
        wait_for(lambda: "FOLLOWING" in str(lab.describe()))
        lab.write(1).rename(elsewhere / "1.dcm")
        wait_for(shows(lab, 1))


def test_a_folder_of_which_nothing_is_told_is_looked_at_all_the_same(
    duckdb_lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_arguments: Any) -> None:
        raise RuntimeError("Too many open files")

    monkeypatch.setattr("dicombq.streaming.run.watch", fail)
    lab = duckdb_lab
    lab.follow()
    home = lab.base / "home"

    def holds(instances: int) -> bool:
        return bool(lab.run("stream", "describe", "scans")["dicombq"]["instances"] == instances)

    stop, lines = threading.Event(), list[str]()
    with open_stream(home, StoreRegistry(home).list({})[0]) as stream:
        runner = Runner(stream, 0.5, lambda total: total, stop, lines.append)
        thread = threading.Thread(target=runner.run)
        thread.start()
        try:
            for number in (1, 2):
                lab.write(number)
                wait_for(partial(holds, number))
        finally:
            stop.set()
            thread.join()
    assert (runner.error, len(lines), "Too many open files" in lines[0]) == (None, 1, True)
    assert lab.run("stream", "logs", "scans", "--format=value(code)") == "UNAVAILABLE"


def test_a_file_that_grows_is_read_when_it_is_whole(duckdb_lab: Lab) -> None:
    lab = duckdb_lab
    lab.follow()
    whole = lab.write(1, name="whole").read_bytes()
    (lab.folder / "whole.dcm").unlink()
    with running(lab, "--interval=1s"):
        wait_for(lambda: "FOLLOWING" in str(lab.describe()))
        with (lab.folder / "grows.dcm").open("wb", buffering=0) as file:
            for at in range(0, len(whole), 40):
                file.write(whole[at : at + 40])
                time.sleep(0.3)
        wait_for(shows(lab, 1))
    assert lab.run("stream", "describe", str(lab.folder))["dicombq"]["failed"] == 0
    assert not (next((lab.base / "home" / "streams").iterdir()) / "log.jsonl").exists()


def test_a_second_stream_says_who_runs(duckdb_lab: Lab) -> None:
    lab = duckdb_lab
    lab.follow()
    with running(lab) as process:
        wait_for(lambda: f"process {process.pid} " in str(lab.run("stream", "describe", str(lab.folder))))
        lab.sync()
        assert (lab.code, f"process {process.pid} " in lab.err) == (Locked.exit_code, True)
        lab.run("stream", "retry", lab.store)
        assert (lab.code, f"process {process.pid} " in lab.err) == (Locked.exit_code, True)


def test_a_table_that_is_configured_while_the_stream_runs_follows_too(duckdb_lab: Lab) -> None:
    lab = duckdb_lab
    lab.write(1)
    lab.follow()
    with running(lab, "--interval=1s"):
        wait_for(shows(lab, 1))
        lab.follow(tables=(lab.table, bigquery_table()))
        wait_for(lambda: numbers(view_of(bigquery_table())) == [1])


def test_a_table_that_is_backfilled_later_is_so_while_the_stream_runs(duckdb_lab: Lab) -> None:
    lab = duckdb_lab
    os.utime(lab.write(1), (1_000_000_000, 1_000_000_000))
    lab.follow("--no-backfill")
    lab.write(2)
    with running(lab, "--interval=1s"):
        wait_for(shows(lab, 2))
        lab.follow("--lock-timeout=30s")
        wait_for(shows(lab, 1, 2))


def test_a_folder_that_is_gone_is_waited_for(duckdb_lab: Lab) -> None:
    lab = duckdb_lab
    lab.write(1)
    lab.write(2)
    lab.follow()
    with running(lab, "--interval=1s") as process:
        wait_for(shows(lab, 1, 2))
        lab.folder.rename(lab.base / "away")
        assert process.stderr
        assert "there is no folder" in process.stderr.readline()
        shutil.copytree(lab.base / "away", lab.folder)
        lab.write(3)
        wait_for(shows(lab, 1, 2, 3))
    assert lab.told(1) == ["first"]


def test_events_come_from_a_folder_that_takes_the_place_of_the_old_one(duckdb_lab: Lab) -> None:
    lab = duckdb_lab
    lab.write(1)
    lab.follow()
    with running(lab, "--interval=1h"):
        wait_for(shows(lab, 1))
        shutil.copytree(lab.folder, lab.base / "copy")
        write_instance(lab.base / "copy" / "2.dcm", 2, StudyDescription="first")
        lab.folder.rename(lab.base / "away")
        (lab.base / "copy").rename(lab.folder)
        wait_for(shows(lab, 1, 2))
        lab.write(3)
        wait_for(shows(lab, 1, 2, 3))
    assert lab.told(1) == ["first"]


def test_systemd_and_a_health_file_are_told(duckdb_lab: Lab) -> None:
    lab = duckdb_lab
    lab.write(1)
    lab.follow()
    health = lab.base / "health.json"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
        channel.bind(str(lab.base / "notify"))
        channel.settimeout(LONG)
        with running(lab, f"--health-file={health}", NOTIFY_SOCKET=str(lab.base / "notify")) as process:
            while channel.recv(100) != b"READY=1":
                pass
            assert channel.recv(100) == b"STATUS=following\nWATCHDOG=1"
            wait_for(lambda: health.exists() and "lastLook" in health.read_text())
            state = json.loads(health.read_text())
            assert (state["healthy"], next(iter(state["stores"].values())).keys()) == (True, {"lastLook"})
            process.send_signal(signal.SIGINT)
            assert process.wait() == 0
            channel.settimeout(0)
            with contextlib.suppress(BlockingIOError):
                while (last := channel.recv(100)) != b"STOPPING=1":
                    pass
            assert last == b"STOPPING=1"


def test_kills_at_any_moment_lose_nothing(duckdb_lab: Lab, bigquery_write: BigQueryWriteFake) -> None:
    """SIGKILL while files arrive, change, move and go; in the end each table has told all of it once.

    Tables of the latest versions hold what the folder holds.
    """
    lab = duckdb_lab
    tables = (lab.table, bigquery_table())
    latest = (DuckdbTable(lab.base / "l.duckdb", "d", "t"), bigquery_table("latest"))
    lab.follow(tables=tables)
    let_follow(lab.base / "home", *latest)
    chance = random.Random(7)
    present: dict[int, str] = {}
    for number in range(KILLS):
        with running(lab, "--interval=1s") as process:
            wait_for(lambda: runs(lab))
            end = time.monotonic() + chance.uniform(0.0, 2.5)
            while time.monotonic() < end:
                _disturb(lab, chance, present)
                time.sleep(0.02)
            if number == 0:
                wait_for(lambda: _is_in_the_middle(lab, chance, present))
            process.send_signal(signal.SIGKILL)
    lab.sync("--max-delete=100%")
    assert lab.code == 0
    for table in tables:
        view = view_of(table)
        check_history(rows_of(table))
        shown = {int(row["SOPInstanceUID"].rpartition(".")[2]): row["StudyDescription"] for row in view}
        assert shown == present
    for table in latest:
        assert latest_of(table) == present


def _disturb(lab: Lab, chance: random.Random, present: dict[int, str]) -> None:
    if present and chance.random() < 0.3:
        number = chance.choice(list(present))
        path = next(path for path in lab.folder.glob(f"{number}-*"))
        if chance.random() < 0.5:
            path.unlink()
            del present[number]
        else:
            path.rename(lab.folder / f"{number}-{chance.randrange(100)}.dcm")
        return
    number = chance.randrange(1, 60)
    present[number] = str(time.monotonic_ns())
    for path in lab.folder.glob(f"{number}-*"):
        path.unlink()
    lab.write(number, present[number], name=f"{number}-0")


def _is_in_the_middle(lab: Lab, chance: random.Random, present: dict[int, str]) -> bool:
    """Let more happen; tell whether there are rows that are still to be delivered."""
    _disturb(lab, chance, present)
    described: dict[str, Any] = lab.run("stream", "describe", str(lab.folder))["dicombq"]
    return any(table.get("pending") for table in described["tables"])


def test_a_store_that_no_table_follows_any_more_is_waited_for(duckdb_lab: Lab) -> None:
    lab = duckdb_lab
    lab.write(1)
    lab.follow()
    with running(lab, "--interval=1s") as process:
        wait_for(shows(lab, 1))
        lab.run("stream", "clear", str(lab.folder))
        assert process.stderr
        assert "no table follows" in process.stderr.readline()
        lab.write(2)
        lab.follow()
        wait_for(shows(lab, 1, 2))
    assert lab.told(1) == ["first"]


def test_a_locked_duckdb_file_is_waited_for(duckdb_lab: Lab) -> None:
    lab = duckdb_lab
    lab.follow()
    with running(lab, "--interval=1h", "--lock-timeout=0s"):
        wait_for(lambda: "FOLLOWING" in str(lab.describe()))
        script = f"import duckdb, sys; c = duckdb.connect({str(lab.table.file)!r}); print(flush=True); sys.stdin.read()"
        with subprocess.Popen([sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
            assert holder.stdout
            holder.stdout.readline()
            lab.write(1)
            wait_for(lambda: "is locked by" in str(lab.describe().get("error")))
            holder.communicate()
        wait_for(shows(lab, 1))
