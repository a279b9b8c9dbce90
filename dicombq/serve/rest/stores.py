"""``projects.locations.datasets.dicomStores``: the stores themselves."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from dicombq.names import StoreName
from dicombq.operations.terms import parse_terms
from dicombq.serve.problems import BadField
from dicombq.serve.rest.calls import Call, masked, page
from dicombq.stores.base import StoreOptions
from dicombq.stores.registry import RegisteredStore, StoreRegistry, absolute_source
from dicombq.streaming.configs import create_store, prepare, requested_configs, with_configs
from dicombq.streaming.stream import delete_store

MASKS = ("streamConfigs", "labels", "dicombq", "notificationConfig", "notificationConfigs")


def create(call: Call) -> dict[str, Any]:
    """Create a store: a folder in HOME, or a name for the source that ``dicombq.source`` tells."""
    identity = call.query.get("dicomStoreId", "")
    if not identity:
        raise BadField("dicom_store_id", "Invalid value at 'dicom_store_id' (TYPE_STRING): it is empty.")
    _check(call)
    source, options = _place(call)
    labels = call.message.get("labels", {})
    store = RegisteredStore(StoreName(call.parent, identity), source, options, labels=labels)
    configs = requested_configs(call.message.get("streamConfigs", []))
    return create_store(call.settings.home, store, configs).to_api()


def get(call: Call) -> dict[str, Any]:
    """Give a store."""
    return StoreRegistry(call.settings.home).get(call.store).to_api()


def list_(call: Call) -> dict[str, Any]:
    """List the stores of a dataset."""
    text = call.query.get("filter", "")
    terms = parse_terms(text) if text else ()
    found = (store.to_api() for store in StoreRegistry(call.settings.home).list(vars(call.parent)))
    wanted = (store for store in found if all(term.holds(store) for term in terms))
    stores, more = page(call, ((store["name"], store) for store in wanted))
    return {"dicomStores": stores, **more}


def patch(call: Call) -> dict[str, Any]:
    """Change what the mask names: the tables that follow a store, its labels, its source."""
    mask = masked(call, MASKS)
    _check(call)
    registry = StoreRegistry(call.settings.home)
    registry.get(call.store)
    configs = requested_configs(call.message.get("streamConfigs", []))
    if "streamConfigs" in mask:
        prepare(configs)
    source, options = _place(call)

    def change(store: RegisteredStore) -> RegisteredStore:
        if "streamConfigs" in mask:
            store = with_configs(store, configs)
        if "labels" in mask:
            store = replace(store, labels=call.message.get("labels", {}))
        if "dicombq" in mask:
            store = replace(store, source=source, options=options)
        return store

    return registry.update(call.store, change).to_api()


def delete(call: Call) -> dict[str, Any]:
    """Delete a store; its instances go with it where it has no source of its own."""
    delete_store(call.settings.home, call.store)
    return {}


def _check(call: Call) -> None:
    topics = [call.message.get("notificationConfig", {}), *call.message.get("notificationConfigs", [])]
    if any(topic.get("pubsubTopic") for topic in topics):
        raise BadField("dicom_store.notification_config", "Notifications to Pub/Sub are not supported: pubsub_topic.")


def _place(call: Call) -> tuple[str, StoreOptions]:
    own = call.message.get("dicombq", {})
    options = StoreOptions(own.get("archives", False), own.get("anonymous", False), own.get("billingProject", ""))
    source = own.get("source", "")
    return (absolute_source(source, call.parent, options) if source else ""), options
