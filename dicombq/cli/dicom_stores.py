"""``dicom-stores``: gcloud's spelling of the same commands."""

from __future__ import annotations

from dicombq.cli.groups import Group

group = Group(
    "dicom-stores",
    {"export": "dicombq.cli.export:group"},
    help="Work with stores, in gcloud's spelling.",
    epilog="Example: dicombq dicom-stores export bq ./scans",
)
