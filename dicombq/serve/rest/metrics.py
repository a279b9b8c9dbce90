"""How much a store, a study or a series holds, and how an instance is stored."""

from __future__ import annotations

import io
from typing import Any

from dicombq.errors import NotFound
from dicombq.serve.rest.calls import Call
from dicombq.stores.base import Found
from dicombq.stores.filters import Filter, FilterLine
from dicombq.stores.metrics import StoreMetrics, measure
from dicombq.stores.reading import read_store
from dicombq.stores.registry import StoreRegistry


def of_store(call: Call) -> dict[str, Any]:
    """Measure a store."""
    return measure(StoreRegistry(call.settings.home).get(call.store).open(), _quietly).to_api()


def of_study(call: Call) -> dict[str, Any]:
    """Measure a study."""
    return _measure(call, ("study",))


def of_series(call: Call) -> dict[str, Any]:
    """Measure a series."""
    return _measure(call, ("study", "series"))


def storage_info(call: Call) -> dict[str, Any]:
    """Tell how an instance is stored."""
    store = StoreRegistry(call.settings.home).get(call.store).open()
    path, wanted = _path(call, ("study", "series", "instance"))
    for result in read_store(store, wanted):
        if isinstance(result, Found) and wanted.matching(result.row.uids):
            updated = f"{result.updated.removesuffix(' UTC').replace(' ', 'T')}Z"
            size = {} if result.size is None else {"sizeBytes": str(result.size)}
            info = {**size, "storageClass": result.storage_class, "storageClassUpdateTime": updated}
            return {"referencedResource": path, "blobStorageInfo": info}
    raise NotFound(f"there is no [{path}]")


def _measure(call: Call, levels: tuple[str, ...]) -> dict[str, Any]:
    store = StoreRegistry(call.settings.home).get(call.store).open()
    path, wanted = _path(call, levels)
    measured = measure(store, _quietly, wanted)
    if not measured.instances:
        raise NotFound(f"there is no [{path}]")
    return _without_levels(measured, path, levels)


def _without_levels(measured: StoreMetrics, path: str, levels: tuple[str, ...]) -> dict[str, Any]:
    api = measured.to_api()
    for name in ("name", "studyCount", *(["seriesCount"] if len(levels) == 2 else [])):
        del api[name]
    return {levels[-1]: path, **api}


def _path(call: Call, levels: tuple[str, ...]) -> tuple[str, Filter]:
    """Give the name of a study, a series or an instance, and the filter that it alone matches."""
    path = FilterLine(1, tuple(call.names[level] for level in levels)).path
    return f"{call.store}/dicomWeb{path}", Filter(path, io.BytesIO(path.encode()))


def _quietly(_number: int) -> None:
    pass
