"""A table, chosen part by part: its project, its dataset, its name; each is looked at as soon as it is chosen."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dicombq import config
from dicombq.errors import DicombqError, NotFound
from dicombq.names import BigQueryProject, DuckdbFile, StoreName, TableUri, WarehouseUri, parse_warehouse_uri, table_in
from dicombq.names import table_id as as_word
from dicombq.serve.problems import message_of
from dicombq.stores.registry import StoreRegistry
from dicombq.streaming.configs import configs_of
from dicombq.table.disposition import TableState
from dicombq.warehouses.base import Warehouse, table_text
from dicombq.warehouses.registry import find_warehouse

OTHER = "other"
"""Chosen in a list where what is meant is not in it, and is typed."""

PATIENCE = 5.0
"""Seconds that a page waits for a file that is locked, or for a server."""


@dataclass(frozen=True)
class Check:
    """What is to be said of a choice."""

    good: bool
    text: str


@dataclass
class Choice:
    """What a form says of a table, and what it looks like.

    Parameters
    ----------
    projects, datasets, tables
        What there is to choose from; projects are URIs of warehouses, each with the text that it is shown as.
    project, dataset
        What is chosen in the lists.
    checks
        By the name of the field; the last one is the only one that may be bad.
    table
        The table, once all of it is chosen and can be one.
    """

    form: Mapping[str, str]
    projects: dict[str, str]
    project: str
    new_dataset: str
    dataset: str = ""
    datasets: dict[str, str] = field(default_factory=dict)
    tables: list[str] = field(default_factory=list)
    checks: dict[str, Check] = field(default_factory=dict)
    uri: WarehouseUri | None = None
    warehouse: Warehouse[Any] | None = None
    table: TableUri | None = None

    def typed(self, name: str) -> str:
        """Give what was typed into a field."""
        return self.form.get(name, "").strip()

    @property
    def named_dataset(self) -> str:
        """The dataset, wherever it was chosen."""
        return self.typed("other_dataset") if self.dataset == OTHER else self.dataset

    def refuse(self, name: str, text: str) -> None:
        """Note that a choice will not do."""
        self.checks[name] = Check(good=False, text=text)

    @property
    def is_good(self) -> bool:
        """Whether a table is named, and nothing known speaks against it."""
        return self.table is not None and all(check.good for check in self.checks.values())


def choose(home: Path, form: Mapping[str, str], store: StoreName) -> Choice:
    """Look at what a form says so far, until something is not chosen or will not do."""
    project = form.get("project") or str(config.warehouse())
    choice = Choice(form, known_warehouses(home), project, as_word(store.parent.dataset))
    if project not in choice.projects and project != OTHER:
        choice.projects[project] = project
    for name, look in (("project", _project), ("dataset", _dataset), ("table", _table)):
        try:
            text = look(choice)
        except DicombqError as error:
            choice.refuse(name, message_of(error))
            break
        if not text:
            break
        choice.checks[name] = Check(good=True, text=text)
    return choice


def known_warehouses(home: Path) -> dict[str, str]:
    """Give the warehouses that somebody here uses, by their URIs."""
    embedded = config.embedded_warehouse()
    uris: list[WarehouseUri] = [config.warehouse(), embedded]
    project = config.setting("project")
    if project.source != "default":
        uris.append(BigQueryProject(project.value))
    for store in StoreRegistry(home).list({}):
        uris += [stream.table.warehouse for stream in configs_of(store)]
    return {str(uri): f"Embedded warehouse ({uri.file})" if uri == embedded else str(uri) for uri in uris}


def _project(choice: Choice) -> str:
    named = choice.typed("other_project") if choice.project == OTHER else choice.project
    if not named:
        return ""
    choice.uri = uri = parse_warehouse_uri(named)
    choice.warehouse = find_warehouse(uri, PATIENCE, PATIENCE)
    try:
        found = choice.warehouse.datasets()
    except NotFound:
        if not isinstance(uri, DuckdbFile):
            raise
        choice.warehouse.state(uri.table(choice.new_dataset, "t"))  # can it be made?
        found = []
    choice.datasets = {name: name for name in found}
    if isinstance(uri, DuckdbFile):
        choice.datasets.setdefault(choice.new_dataset, f"{choice.new_dataset} (new)")
        return f"{_count(len(found), 'dataset')}; others are made when they are needed"
    return _count(len(found), "dataset")


def _dataset(choice: Choice) -> str:
    wanted = choice.form.get("dataset", "")
    if wanted in choice.datasets or wanted == OTHER:
        choice.dataset = wanted
    elif choice.new_dataset in choice.datasets:
        choice.dataset = choice.new_dataset
    named = choice.named_dataset
    if not named or choice.uri is None or choice.warehouse is None:
        return ""
    if named in choice.datasets and choice.datasets[named] == named:
        choice.tables = choice.warehouse.tables(named)
        return _count(len(choice.tables), "table")
    table_in(choice.uri, named, "t")  # is it a name?
    if isinstance(choice.uri, DuckdbFile):
        return "will be made"
    raise NotFound(
        f"there is no BigQuery dataset [{choice.uri.project}.{named}]",
        f"Make it: bq mk --dataset {choice.uri.project}:{named}",
    )


def _table(choice: Choice) -> str:
    named = choice.typed("table")
    if not named or choice.uri is None or choice.warehouse is None:
        return ""
    choice.table = table_in(choice.uri, choice.named_dataset, named)
    found = choice.warehouse.state(choice.table)
    return "a new table" if found.state is TableState.MISSING else table_text(found)


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
