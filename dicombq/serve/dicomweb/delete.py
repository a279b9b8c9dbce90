"""Delete a study, a series or an instance (``rest_api.md``, dicomStores.studies.delete)."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path

from starlette.responses import JSONResponse, Response

from dicombq.errors import FailedPrecondition
from dicombq.serve.dicomweb.request import PATIENCE, DicomwebRequest
from dicombq.serve.dicomweb.retrieve import nothing_there
from dicombq.stores.filing import remove
from dicombq.streaming.search import copies_of


def delete(request: DicomwebRequest) -> Response:
    """Delete it, with all copies of its instances; the tables are told."""
    folder, keeper = request.folder, request.keeper
    keeper.look(_below(folder, _files(request)), lambda _inventory: True, 0.0)  # what lies there by now
    files = _files(request)
    if not files:
        raise nothing_there(request)
    remove(folder, files)
    keeper.look(_below(folder, files), lambda inventory: not copies_of(inventory, request.uids), PATIENCE)
    return JSONResponse({})


def _files(request: DicomwebRequest) -> list[Path]:
    with request.keeper.inventory() as inventory:
        refs = [json.loads(ref) for ref in copies_of(inventory, request.uids)]
    if any(len(ref) > 1 for ref in refs):
        raise FailedPrecondition("an instance of it lies in an archive, which is not changed")
    return [Path(ref[0]) for ref in refs]


def _below(folder: Path, files: Sequence[Path]) -> list[str]:
    return [os.path.relpath(file, folder) for file in files]
