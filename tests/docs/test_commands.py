"""The commands that the pages show without output are run, and print what `commands.txt` says.

``UPDATE_GOLDEN=1`` writes it anew.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.archive import SAMPLES
from tests.docs.pages import DOCS, Block, blocks
from tests.docs.scenes import NOT_RUN, Scene, is_run
from tests.fakes.bigquery import BigQueryFake
from tests.gcs_server import GcsBucket
from tests.orthanc_server import Orthanc
from tests.s3_server import S3Bucket

PRINTED = Path(__file__).with_name("commands.txt")


def _titled() -> dict[str, Block]:
    """Give each text once, by the page and the section where it comes first, and its first line."""
    found = [block for page in sorted(DOCS.rglob("*.md")) for block in blocks(page)]
    once = {block.text: block for block in reversed(found) if block.language == "sh" and is_run(block)}
    return {f"{b.page.relative_to(DOCS)}: {b.section}: {b.text.splitlines()[0]}": b for b in reversed(once.values())}


BLOCKS = _titled()


@pytest.fixture
def names(home: Path, bigquery: BigQueryFake, request: pytest.FixtureRequest) -> dict[str, str]:
    """Servers for what a block names, with an instance each."""
    text, found = BLOCKS[request.node.callspec.params["title"]].text, dict[str, str]()
    bigquery.create_dataset("my-project.my_dataset")
    if "--change-data-capture" in text:
        request.getfixturevalue("bigquery_write")
    if "gs://" in text:
        bucket: GcsBucket = request.getfixturevalue("gcs_bucket")
        bucket.put("scans/1.dcm", (SAMPLES / "CT_small.dcm").read_bytes())
        bucket.put("archive/1.dcm", (SAMPLES / "CT_small.dcm").read_bytes())
        bucket.put("incoming/a/2.dcm", (SAMPLES / "MR_small.dcm").read_bytes())
        study = "/studies/1.2.826.0.1.3680043.8.498.2\n"
        bucket.put("filters/wanted.txt", study.encode())
        bucket.put("FOLDER/1.dcm", (SAMPLES / "CT_small.dcm").read_bytes())
        found |= dict.fromkeys(("gs://my-bucket", "gs://idc-open-data"), bucket.uri)
    if "s3://" in text:
        s3: S3Bucket = request.getfixturevalue("s3_bucket")
        s3.put("scans/2026/1.dcm", (SAMPLES / "CT_small.dcm").read_bytes())
        s3.put("FOLDER/1.dcm", (SAMPLES / "CT_small.dcm").read_bytes())
        found |= dict.fromkeys(("s3://my-bucket", "s3://idc-open-data"), s3.uri)
    if "/dicom-web" in text:
        orthanc: Orthanc = request.getfixturevalue("orthanc")
        orthanc.load([SAMPLES / "CT_small.dcm"])
        found |= dict.fromkeys(
            ("https://orthanc.example.org/dicom-web", "https://pacs.example.org/dicom-web"), orthanc.dicomweb
        )
    return found


@pytest.fixture
def scene(
    tmp_path: Path, bigquery: BigQueryFake, names: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> Iterator[Scene]:
    scene = Scene(tmp_path / "root", bigquery, names, monkeypatch)
    yield scene
    bigquery.mend()
    scene.wait()


@pytest.mark.parametrize("title", BLOCKS, ids=str)
def test_a_command_prints_what_it_is_known_to_print(title: str, scene: Scene) -> None:
    scene.prepare(BLOCKS[title])
    played = scene.play(BLOCKS[title].text)
    if os.environ.get("UPDATE_GOLDEN"):
        printed = _read() | {title: played}
        text = "".join(f"== {name}\n{printed[name]}" for name in BLOCKS if name in printed)
        PRINTED.write_text(text, encoding="utf-8")
    assert _read()[title] == played


def test_nothing_else_is_known() -> None:
    assert set(_read()) == set(BLOCKS)


def test_what_is_not_run_is_in_the_pages() -> None:
    text = "\n".join(block.text for page in DOCS.rglob("*.md") for block in blocks(page) if block.language == "sh")
    for programs, reason in NOT_RUN.items():
        shown = [programs] if programs.startswith("dicombq ") else programs.split()
        assert [
            name for name in shown if not re.search(rf"(^|[\s|;(]){re.escape(name)}(?!\w)", text, re.MULTILINE)
        ] == [], reason


def _read() -> dict[str, str]:
    found = re.split(r"(?m)^== (.+)\n", PRINTED.read_text(encoding="utf-8")) if PRINTED.exists() else [""]
    return dict(zip(found[1::2], found[2::2], strict=True))
