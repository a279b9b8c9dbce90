"""Properties (flag, then environment, then file, then default) and the folders that dicombq writes to."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from dicombq.errors import HomeUnusable, InvalidArgument
from dicombq.names import DuckdbFile, Parent, WarehouseUri, parse_warehouse_uri
from dicombq.system.files import storage_errors, write_atomic

if TYPE_CHECKING:
    import configparser

ENGINES = ("local", "spark")
"""Who reads headers: processes of this machine, or a cluster."""

_SECTION = "dicombq"
_FILE = "config.ini"
_EMBEDDED = "warehouse.duckdb"


@dataclass(frozen=True)
class Property:
    """A setting that holds where no flag says otherwise.

    Parameters
    ----------
    environment
        Variables that hold it; the first that is not empty is taken.
    check
        Gives a value as it is to be noted, or refuses it.
    default
        What holds where nothing is said.
    """

    environment: tuple[str, ...]
    check: Callable[[str], str]
    default: str = ""


@dataclass(frozen=True)
class Setting:
    """What holds for a property, and who said so: a variable, ``file``, ``default``; empty where nobody did."""

    value: str
    source: str


def _part(part: str) -> Callable[[str], str]:
    def check(value: str) -> str:
        Parent(**{part: value})
        return value

    return check


def _bytes(value: str) -> str:
    if not (value.isascii() and value.isdigit() and int(value)):
        raise InvalidArgument(f"[{value}] is not a number of bytes", "Give digits alone: 1000000000.")
    return value


def _engine(value: str) -> str:
    if value not in ENGINES:
        raise InvalidArgument(f"[{value}] is no engine", f"There are {' and '.join(ENGINES)}.")
    return value


PROPERTIES = {
    "project": Property(("DICOMBQ_PROJECT", "GOOGLE_CLOUD_PROJECT"), _part("project"), Parent.project),
    "location": Property(("DICOMBQ_LOCATION",), _part("location"), Parent.location),
    "dataset": Property(("DICOMBQ_DATASET",), _part("dataset"), Parent.dataset),
    "warehouse": Property(("DICOMBQ_WAREHOUSE",), lambda uri: str(parse_warehouse_uri(uri))),
    "staging": Property(("DICOMBQ_STAGING",), str),
    "engine": Property(("DICOMBQ_ENGINE",), _engine, "local"),
    "maximum_bytes_billed": Property(("DICOMBQ_MAXIMUM_BYTES_BILLED",), _bytes),
}


def setting(name: str) -> Setting:
    """Tell what holds for a property.

    Raises
    ------
    InvalidArgument
        Where the file of properties cannot be read.
    """
    known = PROPERTIES[name]
    for variable in known.environment:
        if value := os.environ.get(variable):
            return Setting(value, variable)
    file = home_folder() / _FILE
    if os.path.lexists(file) and (value := _read(file).get(_SECTION, name, fallback="")):
        return Setting(value, "file")
    return Setting(known.default, "default" if known.default else "")


def change(name: str, value: str | None) -> None:
    """Note a property in the file, or forget it.

    Raises
    ------
    InvalidArgument
        Where the property cannot have the value, or the file cannot be read.
    """
    noted = PROPERTIES[name].check(value) if value is not None else None
    file = home() / _FILE
    parser = _read(file)
    if not parser.has_section(_SECTION):
        parser.add_section(_SECTION)
    if noted is None:
        parser.remove_option(_SECTION, name)
    else:
        parser.set(_SECTION, name, noted)
    lines = [f"{key} = {text}\n" for key, text in parser.items(_SECTION)]
    with storage_errors(file.parent):
        write_atomic(file, "".join([f"[{_SECTION}]\n", *lines]).encode())


def _read(file: Path) -> configparser.RawConfigParser:
    import configparser  # noqa: PLC0415 - few have a file of properties

    parser = configparser.RawConfigParser()
    try:
        parser.read_string(file.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):  # what is wrong with the folder, `home` says
        pass
    except (OSError, UnicodeDecodeError, configparser.Error) as error:
        raise InvalidArgument(
            f"the properties in [{file}] cannot be read ({type(error).__name__})",
            "Correct the file, or delete it and set them anew.",
        ) from None
    return parser


def parent(project: str | None = None, location: str | None = None, dataset: str | None = None) -> Parent:
    """Resolve the healthcare dataset that a command works in (``cli.md``, Names)."""
    return Parent(**named(project, location, dataset))


def named(project: str | None, location: str | None, dataset: str | None) -> dict[str, str]:
    """Give the parts of a healthcare dataset's name that somebody names; the others have a default."""
    flags = {"project": project, "location": location, "dataset": dataset}
    settings = {part: Setting(flag, "flag") if flag else setting(part) for part, flag in flags.items()}
    return {part: said.value for part, said in settings.items() if said.source != "default"}


def warehouse(flag: str | None = None) -> WarehouseUri:
    """Give the warehouse where tables are when nothing names another: the embedded one, unless a property says which.

    Raises
    ------
    InvalidArgument
        Where it is no warehouse.
    """
    uri = flag or setting("warehouse").value
    return parse_warehouse_uri(uri) if uri else embedded_warehouse()


def embedded_warehouse() -> DuckdbFile:
    """Give the DuckDB file in the home folder."""
    return DuckdbFile(home() / _EMBEDDED)


def maximum_bytes_billed(flag: int | None = None) -> int | None:
    """Give the limit of bytes that a query on BigQuery may be billed for; None for none.

    Raises
    ------
    InvalidArgument
        Where it is no number.
    """
    limit = setting("maximum_bytes_billed").value
    return flag or (int(_bytes(limit)) if limit else None)


def engine(flag: str | None = None) -> str:
    """Give the name of the engine that reads headers.

    Raises
    ------
    InvalidArgument
        Where there is none of that name.
    """
    return _engine(flag or setting("engine").value)


def staging() -> str:
    """Give the place in a bucket where rows for BigQuery are staged; empty for none."""
    return setting("staging").value


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
    folder = Path(os.environ.get("DICOMBQ_HOME") or _user_data())
    try:
        return folder.expanduser().absolute()
    except RuntimeError:  # no HOME, and a user that the system does not know
        raise _unusable(folder, "there is no home directory") from None


def _user_data() -> Path:
    import platformdirs  # noqa: PLC0415 - `--help` must not pay for it

    return platformdirs.user_data_path("dicombq", appauthor=False)


def _unusable(folder: Path, why: str) -> HomeUnusable:
    return HomeUnusable(
        f"the folder [{folder}] cannot be used: {why}", "Set DICOMBQ_HOME to a folder that you can write to."
    )
