"""The healthcare datasets, and the stores of one."""

from __future__ import annotations

from collections import Counter

from starlette.responses import Response

from dicombq import config
from dicombq.datasets import Datasets
from dicombq.operations.store import OperationStore
from dicombq.serve.console.pages import Visit
from dicombq.stores.registry import StoreRegistry


def list_datasets(visit: Visit) -> Response:
    """Show all datasets, and the one that commands work in, though it is empty."""
    home = visit.settings.home
    stores = Counter(store.name.parent for store in StoreRegistry(home).list({}))
    running = Counter(found.parent for found in OperationStore(home).list()[0] if not found.state.ended)
    parents = {config.parent(), *(dataset.parent for dataset in Datasets(home).list())}
    datasets = [(parent, stores[parent], running[parent]) for parent in sorted(parents, key=str)]
    return visit.page("datasets.html", datasets=datasets)


def show(visit: Visit) -> Response:
    """Show the stores of a dataset."""
    home, parent = visit.settings.home, visit.parent
    if parent != config.parent():
        Datasets(home).get(parent)
    return visit.page("dataset.html", parent=parent, stores=StoreRegistry(home).list(vars(parent)))
