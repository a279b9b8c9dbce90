"""Google's REST API (``rest_api.md``)."""

from __future__ import annotations

from starlette.convertors import StringConvertor, register_url_convertor
from starlette.exceptions import HTTPException
from starlette.routing import BaseRoute, Route

from dicombq.serve.rest import datasets, metrics, operations, stores, transfers
from dicombq.serve.rest.calls import PAGE, Call, Method, Resource
from dicombq.serve.rest.messages import BOOL, DATASET, DICOM_STORE, EMPTY, EXPORT, IMPORT, STRING
from dicombq.serve.settings import Settings

VERSIONS = ("v1", "v1beta1", "v1alpha2")
"""As gcloud's tracks ask for."""

_LOCATION = "/projects/{project}/locations/{location}"
_DATASETS = f"{_LOCATION}/datasets"
_DATASET = f"{_DATASETS}/{{dataset:id}}"
_OPERATION = f"{_DATASET}/operations/{{operation:id}}"
_STORE = f"{_DATASET}/dicomStores/{{store:id}}"
_STUDY = f"{_STORE}/dicomWeb/studies/{{study:id}}"
_SERIES = f"{_STUDY}/series/{{series:id}}"
_INSTANCE = f"{_SERIES}/instances/{{instance:id}}"
_FILTER = {"filter": STRING}
_MASK = {"updateMask": STRING}

METHODS = {
    _DATASETS: {
        "GET": Method(datasets.list_, query=PAGE),
        "POST": Method(datasets.create, DATASET, "dataset", {"datasetId": STRING}),
    },
    _DATASET: {
        "GET": Method(datasets.get),
        "PATCH": Method(datasets.patch, DATASET, "dataset", _MASK),
        "DELETE": Method(datasets.delete),
    },
    f"{_DATASET}/dicomStores": {
        "GET": Method(stores.list_, query=PAGE | _FILTER),
        "POST": Method(stores.create, DICOM_STORE, "dicom_store", {"dicomStoreId": STRING}),
    },
    _STORE: {
        "GET": Method(stores.get),
        "PATCH": Method(stores.patch, DICOM_STORE, "dicom_store", _MASK),
        "DELETE": Method(stores.delete),
    },
    f"{_STORE}:export": {"POST": Method(transfers.export, EXPORT)},
    f"{_STORE}:import": {"POST": Method(transfers.import_, IMPORT)},
    f"{_STORE}:getDICOMStoreMetrics": {"GET": Method(metrics.of_store)},
    f"{_STUDY}:getStudyMetrics": {"GET": Method(metrics.of_study)},
    f"{_SERIES}:getSeriesMetrics": {"GET": Method(metrics.of_series)},
    f"{_INSTANCE}:getStorageInfo": {"GET": Method(metrics.storage_info)},
    f"{_DATASET}/operations": {"GET": Method(operations.list_, query=PAGE | _FILTER | {"returnPartialSuccess": BOOL})},
    _OPERATION: {"GET": Method(operations.get)},
    f"{_OPERATION}:cancel": {"POST": Method(operations.cancel, EMPTY)},
}
"""The API: for each path its methods."""

_LACKING = {
    _DATASET: ("deidentify", "getIamPolicy", "setIamPolicy", "testIamPermissions"),
    _STORE: ("deidentify", "getIamPolicy", "setIamPolicy", "testIamPermissions", "setBlobStorageSettings"),
    _STUDY: ("setBlobStorageSettings",),
}
_OTHER_STORES = ("annotationStores", "consentStores", "dataMapperWorkspaces", "fhirStores", "hl7V2Stores")


class _Id(StringConvertor):
    """A part of a resource's name; after a colon a method's name begins."""

    regex = "[^/:]+"


register_url_convertor("id", _Id())


def routes(settings: Settings) -> list[BaseRoute]:
    """Give its routes."""
    paths = [*METHODS.items(), *_lacking()]
    return [Route(f"/{version}{path}", Resource(settings, methods)) for version in VERSIONS for path, methods in paths]


def _lacking() -> list[tuple[str, dict[str, Method]]]:
    """Give the paths of what Google has and dicombq lacks."""
    paths = [f"{resource}:{verb}" for resource, verbs in _LACKING.items() for verb in verbs]
    paths += [f"{_DATASET}/{kind}{rest}" for kind in _OTHER_STORES for rest in ("", "/{rest:path}")]
    return [(path, dict.fromkeys(("GET", "POST", "PATCH", "DELETE"), Method(_refuse))) for path in paths]


def _refuse(_call: Call) -> dict[str, str]:
    raise HTTPException(501, "dicombq does not have this method of the API. It has datasets, DICOM stores, operations.")
