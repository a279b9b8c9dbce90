"""``projects.locations.datasets``."""

from __future__ import annotations

from typing import Any

from dicombq.datasets import Dataset, Datasets
from dicombq.names import Parent
from dicombq.serve.problems import BadField
from dicombq.serve.rest.calls import Call, masked, page

MASKS = ("timeZone",)


def create(call: Call) -> dict[str, Any]:
    """Create a dataset; the operation is done at once."""
    identity = call.query.get("datasetId", "")
    if not identity:
        raise BadField("dataset_id", "Invalid value at 'dataset_id' (TYPE_STRING): it is empty.")
    _check(call)
    parent = Parent(call.names["project"], call.names["location"], identity)
    return Datasets(call.settings.home).create(Dataset(parent, call.message.get("timeZone", ""))).creation()


def get(call: Call) -> dict[str, Any]:
    """Give a dataset."""
    return Datasets(call.settings.home).get(call.parent).to_api()


def list_(call: Call) -> dict[str, Any]:
    """List the datasets of a location, or of all where it is ``-``."""
    location = call.names["location"]
    found = Datasets(call.settings.home).list(call.names["project"], None if location == "-" else location)
    datasets, more = page(call, ((str(each.parent), each.to_api()) for each in found))
    return {"datasets": datasets, **more}


def patch(call: Call) -> dict[str, Any]:
    """Change a dataset's time zone."""
    masked(call, MASKS)
    _check(call)
    return Datasets(call.settings.home).update(call.parent, call.message.get("timeZone", "")).to_api()


def delete(call: Call) -> dict[str, Any]:
    """Delete a dataset, and the stores and operations that it holds."""
    Datasets(call.settings.home).delete(call.parent)
    return {}


def _check(call: Call) -> None:
    if call.message.get("encryptionSpec", {}).get("kmsKeyName"):
        raise BadField(
            "dataset.encryption_spec", "encryption_spec is not supported: files lie on the disk as they are."
        )
