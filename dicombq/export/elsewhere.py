"""What shards read and write on machines that need not be this one, looked at before there are any."""

from __future__ import annotations

import os

from dicombq.errors import InvalidArgument, NotFound, NotPermitted
from dicombq.export.request import ExportRequest
from dicombq.names import DuckdbTable, is_object_uri, parse_object_uri
from dicombq.system.files import printable


def check_places(request: ExportRequest) -> None:
    """Refuse a staging place that is not there, and places that the engine's machines cannot see.

    Raises
    ------
    InvalidArgument
        Where a folder of this machine is no folder of theirs, or a bucket is of no use.
    NotFound, NotPermitted
        Where the place is not there, or may not be used.
    """
    staging, engine = request.staging, request.engine
    _check_seen(request)
    if is_object_uri(staging):
        if isinstance(request.destination.table, DuckdbTable) and not engine.distributes:
            raise InvalidArgument(
                "--staging is for tables in BigQuery, which loads from a bucket; a DuckDB file is loaded from here",
                "Leave --staging out.",
            )
        from dicombq.stores.objects import check_bucket  # noqa: PLC0415 - half a second of imports

        check_bucket(parse_object_uri(staging))
    elif "://" in staging:
        parse_object_uri(staging)
        raise InvalidArgument(f"[{staging}] is neither a bucket nor a folder", "Give gs://BUCKET/FOLDER.")
    elif staging and not os.path.isdir(staging):
        raise NotFound(f"there is no folder [{printable(staging)}] to stage rows in", "Make it, or name another.")
    elif staging and not os.access(staging, os.W_OK | os.X_OK):
        raise NotPermitted(f"the folder [{printable(staging)}] cannot be written to", "Check its permissions.")


def _check_seen(request: ExportRequest) -> None:
    engine = request.engine
    if engine.is_here:
        return
    where = (
        f"the machines of [{engine.master}]" if engine.master else "the machines of Spark, whose master is not named,"
    )
    source = request.store.source
    if "://" not in source and not engine.shared_folders:
        raise InvalidArgument(
            f"{where} may not have the folder [{printable(source)}] of this one",
            "Where all have it at the same path, add --shared-folders; else export a bucket, or take "
            "--engine-master=local[*].",
        )
    if not request.staging:
        raise InvalidArgument(
            f"{where} have nowhere to write rows to",
            "Name a bucket: --staging=gs://BUCKET/FOLDER; or --staging=FOLDER --shared-folders, where all have it.",
        )
    if "://" not in request.staging and not engine.shared_folders:
        raise InvalidArgument(
            f"{where} may not have the folder [{printable(request.staging)}] of this one",
            "Where all have it at the same path, add --shared-folders; else stage in a bucket: "
            "--staging=gs://BUCKET/FOLDER.",
        )
