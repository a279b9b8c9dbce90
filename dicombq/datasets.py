"""Healthcare datasets: what stores and operations belong to (``rest_api.md``, Dataset).

One is there when it was created, and as long as it holds a store or an operation.

::

    HOME/datasets/DIGEST.json  one that was created: name, timeZone, and the operation that created it
    HOME/datasets/lock         held while one of them is changed
"""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import pytz

from dicombq.errors import DatasetExists, FailedPrecondition, InvalidArgument, NotFound, StateDamaged
from dicombq.names import Parent, check_id
from dicombq.operations.store import OperationStore, new_identity
from dicombq.stores.registry import StoreRegistry
from dicombq.streaming.stream import delete_store
from dicombq.system.files import storage_errors, write_atomic
from dicombq.system.locks import FileLock, Holder
from dicombq.system.times import now

_PATIENCE = 10.0  # seconds that another process may take to change a dataset
_TYPE = "type.googleapis.com/google.cloud.healthcare.v1"


@dataclass(frozen=True)
class Dataset:
    """A healthcare dataset.

    Parameters
    ----------
    time_zone
        Of its resources that name none; empty for UTC. Noted, and not used: DICOM has its own.
    operation
        The ID of the operation that created it; empty where none did.
    """

    parent: Parent
    time_zone: str = ""
    operation: str = ""
    create_time: str = ""

    def __post_init__(self) -> None:
        if self.time_zone and self.time_zone not in pytz.all_timezones_set:
            raise InvalidArgument(f"[{self.time_zone}] is not a time zone", "Give a name such as America/New_York.")

    def to_api(self) -> dict[str, Any]:
        """Print it as the API does."""
        return {"name": str(self.parent), **({"timeZone": self.time_zone} if self.time_zone else {})}

    def creation(self) -> dict[str, Any]:
        """Print the operation that created it as the API does."""
        return {
            "name": f"{self.parent}/operations/{self.operation}",
            "metadata": {
                "@type": f"{_TYPE}.OperationMetadata",
                "apiMethodName": "google.cloud.healthcare.v1.dataset.DatasetService.CreateDataset",
                "createTime": self.create_time,
                "endTime": self.create_time,
                "counter": {"success": "1"},
            },
            "done": True,
            "response": {"@type": f"{_TYPE}.dataset.Dataset", **self.to_api()},
        }


class Datasets:
    """The datasets of a HOME."""

    def __init__(self, home: Path) -> None:
        self._home = home
        self._folder = home / "datasets"

    def create(self, dataset: Dataset) -> Dataset:
        """Create one.

        Raises
        ------
        InvalidArgument
            Where its ID is none.
        DatasetExists
            Where it was created before. One that only holds stores or operations may be created.
        """
        check_id("dataset", dataset.parent.dataset)
        with self._locked():
            if self._path(dataset.parent).exists():
                raise DatasetExists(f"there is a dataset [{dataset.parent}] already")
            created = replace(dataset, operation=new_identity(), create_time=now())
            self._write(created)
            return created

    def get(self, parent: Parent) -> Dataset:
        """Give one.

        Raises
        ------
        NotFound
            Where it is not there.
        """
        found = self._find(parent)
        if found is not None:
            return found
        if parent in self._holders():
            return Dataset(parent)
        raise NotFound(f"there is no dataset [{parent}]", "Create it, or a store in it.")

    def list(self, project: str | None = None, location: str | None = None) -> list[Dataset]:
        """Give all of a project's location, in the order of their names; of all where none is named."""
        created = {dataset.parent: dataset for dataset in self._created()}
        parents = (
            parent
            for parent in created.keys() | self._holders()
            if project in (None, parent.project) and location in (None, parent.location)
        )
        return [created.get(parent) or Dataset(parent) for parent in sorted(parents, key=str)]

    def update(self, parent: Parent, time_zone: str) -> Dataset:
        """Give one another time zone; errors are those of `get`."""
        with self._locked():
            changed = replace(self.get(parent), time_zone=time_zone)
            self._write(changed)
            return changed

    def delete(self, parent: Parent) -> None:
        """Delete one with all that it holds: its stores, and what is left of its operations; sources and tables stay.

        Raises
        ------
        NotFound
            Where it is not there.
        FailedPrecondition
            Where an operation of it runs; nothing is deleted then.
        """
        self.get(parent)
        operations = OperationStore(self._home)
        its = [operation for operation in operations.list()[0] if operation.parent == parent]
        for operation in its:
            if not operation.state.ended:
                raise FailedPrecondition(
                    f"the operation [{operation.id}] of [{parent}] runs",
                    f"Cancel it: dicombq operations cancel {operation.id}",
                )
        for store in StoreRegistry(self._home).list(vars(parent)):
            delete_store(self._home, store.name)
        for operation in its:
            operations.prune(operation.id)
        with self._locked():
            self._path(parent).unlink(missing_ok=True)

    def creation(self, parent: Parent, operation: str) -> Dataset | None:
        """Give the dataset that an operation created; None where it is of another kind."""
        found = self._find(parent)
        return found if found and found.operation == operation else None

    def _holders(self) -> set[Parent]:
        """Name the datasets that hold something."""
        stores = {store.name.parent for store in StoreRegistry(self._home).list({})}
        return stores | {operation.parent for operation in OperationStore(self._home).list()[0]}

    def _created(self) -> Iterator[Dataset]:
        with storage_errors(self._folder), contextlib.suppress(FileNotFoundError):
            for path in self._folder.iterdir():
                with contextlib.suppress(FileNotFoundError):  # deleted meanwhile
                    yield from [_read(path)] if path.suffix == ".json" else []

    def _find(self, parent: Parent) -> Dataset | None:
        with storage_errors(self._folder), contextlib.suppress(FileNotFoundError):
            return _read(self._path(parent))
        return None

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        with storage_errors(self._folder):
            self._folder.mkdir(mode=0o700, exist_ok=True)
            with FileLock.acquire(self._folder / "lock", "the list of datasets", Holder.process(), _PATIENCE):
                yield

    def _write(self, dataset: Dataset) -> None:
        write_atomic(self._path(dataset.parent), json.dumps(asdict(dataset), indent=1).encode())

    def _path(self, parent: Parent) -> Path:
        return self._folder / f"{hashlib.sha256(str(parent).encode()).hexdigest()}.json"


def _read(path: Path) -> Dataset:
    try:
        state = json.loads(path.read_bytes())
        return Dataset(**(state | {"parent": Parent(**state["parent"])}))
    except (ValueError, KeyError, TypeError, AttributeError, InvalidArgument):
        raise StateDamaged(
            f"the file [{path}] of a dataset cannot be read", "Delete it, and create it again."
        ) from None
