"""Properties (flag, then environment, then default) and the folders that dicombq writes to."""

from __future__ import annotations

import os
from pathlib import Path

from dicombq.errors import HomeUnusable
from dicombq.names import Parent

_ENVIRONMENT = {
    "project": ("DICOMBQ_PROJECT", "GOOGLE_CLOUD_PROJECT"),
    "location": ("DICOMBQ_LOCATION",),
    "dataset": ("DICOMBQ_DATASET",),
}


def parent(project: str | None = None, location: str | None = None, dataset: str | None = None) -> Parent:
    """Resolve the healthcare dataset that a command works in (``cli.md``, Names)."""
    return Parent(**named(project, location, dataset))


def named(project: str | None, location: str | None, dataset: str | None) -> dict[str, str]:
    """Give the parts of a healthcare dataset's name that a flag or the environment names; the others have a default."""
    flags = {"project": project, "location": location, "dataset": dataset}
    found = {part: flag or _environment(part) for part, flag in flags.items()}
    return {part: name for part, name in found.items() if name}


def _environment(part: str) -> str | None:
    return next(filter(None, map(os.environ.get, _ENVIRONMENT[part])), None)


def staging() -> str:
    """Give the place in a bucket where rows for BigQuery are staged; empty for none."""
    return os.environ.get("DICOMBQ_STAGING", "")


def home() -> Path:
    """Give the folder of operations, logs and the embedded warehouse, made with mode 0700 where missing.

    Raises
    ------
    HomeUnusable
        Where it cannot be made or written to.
    """
    folder = home_folder()
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise _unusable(folder, str(error.strerror)) from None
    if not os.access(folder, os.R_OK | os.W_OK | os.X_OK):
        raise _unusable(folder, "Permission denied")
    return folder


def home_folder() -> Path:
    """Name that folder; it may be missing.

    Raises
    ------
    HomeUnusable
        Where it would be in a home directory that nobody has.
    """
    import platformdirs  # noqa: PLC0415 - `--help` must not pay for it

    folder = Path(os.environ.get("DICOMBQ_HOME") or platformdirs.user_data_path("dicombq", appauthor=False))
    try:
        return folder.expanduser().absolute()
    except RuntimeError:  # no HOME, and a user that the system does not know
        raise _unusable(folder, "there is no home directory") from None


def _unusable(folder: Path, why: str) -> HomeUnusable:
    return HomeUnusable(
        f"the folder [{folder}] cannot be used: {why}", "Set DICOMBQ_HOME to a folder that you can write to."
    )
