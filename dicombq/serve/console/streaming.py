"""The pages that let tables follow a store, and no longer follow it."""

from __future__ import annotations

from starlette.responses import Response

from dicombq.errors import DicombqError, InvalidArgument
from dicombq.serve.console.destinations import choose
from dicombq.serve.console.pages import Visit, path_of
from dicombq.serve.problems import http_status, message_of
from dicombq.stores.registry import RegisteredStore, StoreRegistry
from dicombq.streaming.configs import StreamConfig, configs_of, prepare, with_configs
from dicombq.streaming.keeper import keepers
from dicombq.table.disposition import Disposition
from dicombq.warehouses.destination import BigQueryDestination
from dicombq.warehouses.registry import named_table


def show(visit: Visit) -> Response:
    """Show the form for a new table, and beside it the pane to find one, where it is asked for."""
    return _page(visit)


def _page(visit: Visit, status: int = 200, problem: str = "") -> Response:
    home = visit.settings.home
    store = StoreRegistry(home).get(visit.store)
    form = dict(visit.form)
    form["table"] = form.get("new", "").strip() or form.get("listed", "")
    choice = choose(home, form, store.name) if "browse" in form else None
    if choice and "select" in form:
        if choice.is_good:
            form["uri"], choice = str(choice.table), None
        elif not form["table"]:
            choice.refuse("table", "choose a table, or enter the name of a new one")
    return visit.page(
        "streaming.html", status, name=store.name, choice=choice, form=form, is_new=not visit.form, problem=problem
    )


def add(visit: Visit) -> Response:
    """Let another table follow the store."""
    home = visit.settings.home
    store = StoreRegistry(home).get(visit.store)
    try:
        new = _config(visit)
        prepare([*configs_of(store), new])
    except DicombqError as error:
        return _page(visit, http_status(error), message_of(error))
    StoreRegistry(home).update(store.name, lambda before: with_configs(before, [*configs_of(before), new]))
    keepers(home).get(store.name)  # from now on it follows
    return visit.go(f"{path_of(store.name)}#streaming")


def remove(visit: Visit) -> Response:
    """Let a table follow no longer; it stays as it is."""
    uri = visit.form.get("uri", "")

    def without(before: RegisteredStore) -> RegisteredStore:
        return with_configs(before, [config for config in configs_of(before) if str(config.table) != uri])

    store = StoreRegistry(visit.settings.home).update(visit.store, without)
    return visit.go(f"{path_of(store.name)}#streaming")


def _config(visit: Visit) -> StreamConfig:
    uri = visit.form.get("uri", "").strip()
    if not uri:
        raise InvalidArgument("no table is named", "Browse for one, or enter bq://PROJECT.DATASET.TABLE.")
    destination = BigQueryDestination(
        named_table(uri),
        Disposition.WRITE_APPEND,
        visit.form.get("schema") == "json",
        visit.form.get("source_store") == "yes",
    )
    return StreamConfig(destination, backfill=visit.form.get("backfill") == "yes")
