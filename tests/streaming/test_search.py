"""What searches of a store find; the catalogue is made by passes over a real folder."""

from __future__ import annotations

import fnmatch
import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dicombq.errors import InvalidArgument
from dicombq.names import Parent
from dicombq.stores.folder import FolderStore
from dicombq.streaming import readings
from dicombq.streaming.changes import Pass
from dicombq.streaming.inventory import Inventory
from dicombq.streaming.search import Found, Query, copies_of, places_of, search
from tests.instances import ROOT, write_instance

STUDIES: list[dict[str, Any]] = [
    {"PatientName": "Doe^Jane", "PatientID": "A1", "StudyDate": "20200101", "StudyTime": "0930", "Modality": "CT"},
    {"PatientName": "Müller^Jürgen=山田^太郎", "PatientID": "A2", "StudyDate": "20200131", "Modality": "MR"},
    {
        "PatientName": "DOE^John^^^",
        "PatientID": "B[1]",
        "StudyDate": "20210630",
        "AccessionNumber": "X",
        "Modality": "CT",
    },
    {"PatientName": "", "PatientID": "", "StudyDate": "", "Modality": "SR"},
]


@dataclass
class Catalogue:
    """An inventory of a folder."""

    folder: Path
    inventory: Inventory

    def look(self) -> None:
        """Bring it up to date."""
        store = FolderStore.open(str(self.folder), Parent())
        Pass(store, self.inventory, [], lambda total: total, lambda _entries: None).whole()

    def find(self, level: str = "studies", *around: str, **matches: str) -> list[int]:
        """Search; give the last numbers of the UIDs."""
        found = search(self.inventory, Query(level, around, [*matches.items()]))
        return sorted(int(each.uids[-1].rpartition(".")[2]) for each in found)


@pytest.fixture
def catalogue(tmp_path: Path) -> Iterator[Catalogue]:
    """An inventory of the four studies, with two series each, of two instances."""
    folder = tmp_path / "scans"
    for study, series, number in itertools.product(range(1, 5), (1, 2), (1, 2)):
        attributes = dict(STUDIES[study - 1])
        if series == 2:
            attributes["Modality"] = "PR"
        uid = f"{ROOT}.{study}"
        write_instance(
            folder / f"{study}{series}{number}",
            number,
            SpecificCharacterSet="ISO_IR 192",
            StudyInstanceUID=uid,
            SeriesInstanceUID=f"{uid}.{series}",
            SOPInstanceUID=f"{uid}.{series}.{number}",
            InstanceNumber=str(number),
            **attributes,
        )
    with Inventory(tmp_path) as inventory:
        made = Catalogue(folder, inventory)
        made.look()
        yield made


@pytest.mark.parametrize(
    ("matches", "expected"),
    [
        ({}, [1, 2, 3, 4]),
        ({"PatientID": "A1"}, [1]),
        ({"PatientID": "a1"}, []),
        ({"PatientID": "A*"}, [1, 2]),
        ({"PatientID": "?1"}, [1]),
        ({"PatientID": "B[1]"}, [3]),
        ({"PatientID": "B[*"}, [3]),
        ({"PatientID": "[A]1"}, []),
        ({"PatientID": "*"}, [1, 2, 3, 4]),
        ({"PatientID": ""}, [1, 2, 3, 4]),
        ({"PatientID": "' OR 1=1 --"}, []),
        ({"00100020": "A1"}, [1]),
        ({"PatientName": "Doe^Jane"}, [1]),
        ({"PatientName": "doe^jane"}, [1]),
        ({"PatientName": "doe*"}, [1, 3]),
        ({"PatientName": "doe^john"}, [3]),
        ({"PatientName": "*j?n*"}, [1]),
        ({"PatientName": "MÜLLER^jürgen"}, [2]),
        ({"PatientName": "山田*"}, [2]),
        ({"PatientName": "Doe"}, []),
        ({"StudyDate": "20200131"}, [2]),
        ({"StudyDate": "2020.01.31"}, [2]),
        ({"StudyDate": "20200101-20200131"}, [1, 2]),
        ({"StudyDate": "-20200130"}, [1]),
        ({"StudyDate": "20200131-"}, [2, 3]),
        ({"StudyDate": "20220101-"}, []),
        ({"StudyTime": "0900-0930"}, [1]),
        ({"StudyTime": "09:31-"}, []),
        ({"AccessionNumber": "X"}, [3]),
        ({"ModalitiesInStudy": "CT"}, [1, 3]),
        ({"ModalitiesInStudy": "MR,SR"}, [2, 4]),
        ({"ModalitiesInStudy": "S*"}, [4]),
        ({"StudyInstanceUID": f"{ROOT}.2"}, [2]),
        ({"StudyInstanceUID": f"{ROOT}.2,{ROOT}.4"}, [2, 4]),
        ({"StudyInstanceUID": f"{ROOT}.2\\{ROOT}.4"}, [2, 4]),
        ({"StudyInstanceUID": f"{ROOT}.*"}, []),
        ({"PatientName": "doe*", "StudyDate": "2021-"}, [3]),
        ({"PatientName": "doe*", "ModalitiesInStudy": "MR"}, []),
    ],
)
def test_studies_are_matched(catalogue: Catalogue, matches: dict[str, str], expected: list[int]) -> None:
    assert catalogue.find(**matches) == expected


@pytest.mark.parametrize(
    ("level", "around", "matches", "expected"),
    [
        ("series", (), {"Modality": "CT"}, [1, 1]),
        ("series", (), {"Modality": "CT,MR"}, [1, 1, 1]),
        ("series", (), {"Modality": "PR", "PatientID": "A1"}, [2]),
        ("series", (), {"ModalitiesInStudy": "MR"}, [1, 2]),
        ("series", (1,), {}, [1, 2]),
        ("series", (9,), {}, []),
        ("series", (), {"SeriesInstanceUID": f"{ROOT}.3.2"}, [2]),
        ("instances", (), {"PatientID": "A1"}, [1, 2, 1, 2]),
        ("instances", (), {"PatientID": "A1", "Modality": "CT", "InstanceNumber": "2"}, [2]),
        ("instances", (), {"SOPInstanceUID": f"{ROOT}.3.2.1,{ROOT}.4.2.2"}, [1, 2]),
        ("instances", (1,), {}, [1, 2, 1, 2]),
        ("instances", (1, 2), {}, [1, 2]),
        ("instances", (1,), {"StudyInstanceUID": f"{ROOT}.2"}, []),
    ],
)
def test_series_and_instances_are_matched_by_what_is_above_them_too(
    catalogue: Catalogue, level: str, around: tuple[int, ...], matches: dict[str, str], expected: list[int]
) -> None:
    uids = (
        [f"{ROOT}.{around[0]}", f"{ROOT}.{around[0]}.{around[1:][0] if around[1:] else ''}"][: len(around)]
        if around
        else []
    )
    assert sorted(catalogue.find(level, *uids, **matches)) == sorted(expected)


@pytest.mark.parametrize("keyword", ["Modality", "Rows", "Foo", "00080060", "PatientName.x", "FFFFFFFF"])
def test_what_studies_do_not_have_cannot_be_searched_for(catalogue: Catalogue, keyword: str) -> None:
    with pytest.raises(InvalidArgument, match="cannot be searched for"):
        catalogue.find(**{keyword: "secret"})


def models(found: list[Found]) -> list[dict[str, Any]]:
    """Give the first value of each attribute, by tag."""
    return [{tag: element.get("Value", [None])[0] for tag, element in each.model.items()} for each in found]


def test_an_item_has_the_attributes_that_the_standard_wants(catalogue: Catalogue) -> None:
    study = models(search(catalogue.inventory, Query("studies", matches=[("PatientID", "A2")])))[0]
    assert {"00080020", "00080030", "00080050", "00080056", "00080061", "00080090", "00080201"} <= study.keys()
    assert {"00100010", "00100020", "00100030", "00100040", "0020000D", "00200010"} <= study.keys()
    assert (study["00201206"], study["00201208"], study["00080056"]) == (2, 4, "ONLINE")
    assert study["00100010"] == {"Alphabetic": "Müller^Jürgen", "Ideographic": "山田^太郎"}
    (first,) = search(catalogue.inventory, Query("studies", matches=[("PatientID", "A1")]))
    assert first.model["00080061"]["Value"] == ["CT", "PR"]
    series = models(search(catalogue.inventory, Query("series", (f"{ROOT}.1",))))[0]
    assert {"00080060", "0008103E", "0020000E", "00200011", "00201209", "00400244", "00400245"} <= series.keys()
    assert (series["0020000D"], series["00201209"], "00100020" in series) == (f"{ROOT}.1", 2, False)
    instance = models(search(catalogue.inventory, Query("instances", matches=[("SOPInstanceUID", f"{ROOT}.1.1.1")])))[0]
    assert {"00080016", "00080018", "00200013", "00280008", "00280010", "00280011", "00280100"} <= instance.keys()
    assert (instance["00100020"], instance["00200013"]) == ("A1", 1)


def test_what_is_deleted_is_not_found_and_its_study_goes_with_the_last_instance(catalogue: Catalogue) -> None:
    (catalogue.folder / "111").unlink()
    catalogue.look()
    assert catalogue.find("instances", f"{ROOT}.1") == [1, 2, 2]
    for name in ("112", "121", "122"):
        (catalogue.folder / name).unlink()
    catalogue.look()
    assert (catalogue.find(), len(catalogue.find("series"))) == ([2, 3, 4], 6)
    assert catalogue.inventory.one("SELECT count(*) FROM headers") == (12,)


def test_what_changed_is_found_as_it_is_now(catalogue: Catalogue) -> None:
    for name in ("111", "112", "121", "122"):
        path = catalogue.folder / name
        path.write_bytes(path.read_bytes().replace(b"A1", b"Z9"))
    catalogue.look()
    assert (catalogue.find(PatientID="A1"), catalogue.find(PatientID="Z9")) == ([], [1])


def test_the_newest_copy_is_the_one_that_counts(catalogue: Catalogue) -> None:
    data = (catalogue.folder / "111").read_bytes()
    (catalogue.folder / "copy").write_bytes(data.replace(b"A1", b"A3"))
    catalogue.look()
    uids = (f"{ROOT}.1", f"{ROOT}.1.1", f"{ROOT}.1.1.1")
    (place,) = places_of(catalogue.inventory, uids)
    assert (place.uids, place.ref) == (uids, f'["{catalogue.folder / "copy"}"]')
    assert len(copies_of(catalogue.inventory, uids)) == 2
    assert len(places_of(catalogue.inventory, uids[:1])) == 4
    assert places_of(catalogue.inventory, ("1.2",)) == []


def search_in_both_schemas(path: Path, base: Path, *matches: tuple[str, str]) -> list[list[Found]]:
    """Search what a file's row in each of the schemas tells of it."""
    store = FolderStore.open(str(path.absolute()), Parent())
    found = []
    for schema_json in (False, True):
        (base / str(schema_json)).mkdir()
        with Inventory(base / str(schema_json)) as inventory, inventory.transaction():
            (entry,) = store.versions()
            assert isinstance(entry, tuple)
            (reading,) = readings.read(store, [entry], {schema_json}, 1 << 20)
            inventory.execute("INSERT INTO instances (study, series, sop) VALUES (?, ?, ?)", reading.uids or ())
            reading.note_in_catalogue(inventory, 1)
            found.append(search(inventory, Query("instances", matches=matches, fields=frozenset({"all"}))))
    return found


@pytest.mark.parametrize("path", sorted(Path("samples").glob("*.dcm")), ids=lambda path: path.name)
def test_both_schemas_tell_a_search_the_same(path: Path, tmp_path: Path) -> None:
    (one,), (other,) = search_in_both_schemas(path, tmp_path)
    assert normal(one) == normal(other)


@pytest.mark.parametrize(
    ("keyword", "stored", "asked_for", "is_found"),
    [
        ("InstanceNumber", "1", "01", True),
        ("InstanceNumber", "01", "1", True),
        ("InstanceNumber", "+1", "1.0", True),
        ("InstanceNumber", "0", "00", True),
        ("InstanceNumber", "10", "1", False),
        ("InstanceNumber", "-1", "1", False),
        ("InstanceNumber", "", "0", False),
        ("InstanceNumber", "12", "1?", True),
        ("Rows", 512, "0512", True),
        ("PatientID", "1", "01", False),
        ("StudyTime", "072730", "072730.000", True),
        ("StudyTime", "072730.500", "07:27:30.5", True),
        ("StudyTime", "072730.5", "072730", False),
        ("StudyTime", "0727", "072700", True),
        ("StudyTime", "07:27:30", "072730", True),
        ("StudyTime", "072730", "0727", False),
        ("StudyTime", "", "00", False),
        ("StudyTime", "0727", "072700-0728", True),
        ("StudyTime", "072730", "07-072730.0", True),
        ("StudyTime", "072730.5", "-072730.000", False),
        ("StudyTime", "072730.5", "-0727", True),
        ("StudyDate", "2020.01.31", "20200131", True),
        ("StudyDate", "20200131", "2020.01.01-2020.01.31", True),
    ],
)
@pytest.mark.filterwarnings("ignore:Invalid value for VR")
def test_numbers_dates_and_times_are_matched_by_what_they_mean(
    tmp_path: Path, keyword: str, stored: str | int, asked_for: str, *, is_found: bool
) -> None:
    path = write_instance(tmp_path / "1.dcm", 1, **{keyword: stored})
    found = search_in_both_schemas(path, tmp_path, (keyword, asked_for))
    assert [len(each) for each in found] == [is_found, is_found]


def normal(found: Found) -> dict[str, Any]:
    """Give what was found, with times of all six digits, which the flattened schema has."""
    model = dict(found.model)
    for tag, element in model.items():
        if element["vr"] == "TM" and "Value" in element:
            model[tag] = element["Value"][0].ljust(6, "0")
    return model


LETTERS = st.text("AaBb^*?", max_size=4)


@given(st.lists(st.text("AaBb^", max_size=4), max_size=6), LETTERS)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_names_match_as_the_standard_says(
    tmp_path_factory: pytest.TempPathFactory, names: list[str], pattern: str
) -> None:
    with Inventory(tmp_path_factory.mktemp("i")) as inventory:
        for number, name in enumerate(names):
            inventory.execute(
                "INSERT INTO studies (uid, PatientName, PatientNameFolded) VALUES (?, ?, ?)",
                [str(number), name, name.lower().rstrip("^")],
            )
        found = search(inventory, Query("studies", matches=[("PatientName", pattern)]))
    plain = pattern.lower().rstrip("^")
    expected = [
        str(number)
        for number, name in enumerate(names)
        if not pattern.strip("*") or fnmatch.fnmatchcase(name.lower().rstrip("^"), plain)
    ]
    assert [each.uids[0] for each in found] == expected
