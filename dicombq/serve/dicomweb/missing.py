"""What DICOMweb has and this server has not."""

from __future__ import annotations

from starlette.exceptions import HTTPException
from starlette.responses import Response

from dicombq.serve.dicomweb.request import DicomwebRequest

_MISSING = {
    "frames": "Single frames are not given; retrieve the instance, which has them.",
    "rendered": "Images are not rendered; retrieve the instance.",
    "thumbnail": "Images are not rendered; retrieve the instance.",
    "bulkdata": "Bulk data is not given by itself; retrieve the instance, which has it.",
    "workitems": "There are no worklists here.",
}


def missing(request: DicomwebRequest) -> Response:
    """Say so.

    Raises
    ------
    HTTPException
        In any case.
    """
    parts = request.http.path_params["rest"].split("/")
    for part in parts:
        if part in _MISSING:
            raise HTTPException(501, _MISSING[part])
    if "" in parts or parts[0] not in ("studies", "series", "instances"):
        raise HTTPException(404, "There is nothing here; DICOMweb begins with studies, series or instances.")
    raise HTTPException(405, "That cannot be done here.")
