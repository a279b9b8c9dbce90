"""Tag to keyword, VR and VM: public, private and repeating groups (PS3.6, PS3.7 E).

The tables are pydicom's; what is added here is how dicombq asks them.
"""

from __future__ import annotations

from functools import cache
from importlib import import_module
from importlib.machinery import PathFinder
from importlib.util import find_spec, module_from_spec
from types import ModuleType
from typing import NamedTuple

from dicombq.dicom.values import KNOWN_VRS

AMBIGUOUS_SIGN = "US or SS"
"""VR of elements whose sign follows Pixel Representation (0028,0103)."""


class Entry(NamedTuple):
    """What the dictionary knows of a standard element."""

    keyword: str
    vr: str
    vm: str


def _table(name: str) -> ModuleType:
    """Import a table of pydicom's without pydicom itself, which takes 0.2 s and which few processes need."""
    package = find_spec("pydicom")
    spec = PathFinder.find_spec(name, package.submodule_search_locations) if package else None
    if spec is None or spec.loader is None:
        return import_module(f"pydicom.{name}")
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


_public = _table("_dicom_dict")


@cache
def _private() -> dict[str, dict[str, tuple[str, str, str, str]]]:
    dictionaries: dict[str, dict[str, tuple[str, str, str, str]]] = _table("_private_dict").private_dictionaries
    return dictionaries


_REPEATING = {
    int(mask.replace("xx", "00"), 16): Entry(keyword, vr, vm)
    for mask, (vr, vm, _, _, keyword) in _public.RepeatersDictionary.items()
    if mask[:4] in ("50xx", "60xx")
}


@cache
def _tags() -> dict[str, int]:
    repeating = {entry.keyword: tag for tag, entry in _REPEATING.items()}
    return repeating | {entry.keyword: tag for tag in _public.DicomDictionary if (entry := lookup(tag))}


def is_private(tag: int) -> bool:
    """Tell whether a tag has an odd group (PS3.5 7.8)."""
    return bool(tag >> 16 & 1)


def is_private_creator(tag: int) -> bool:
    """Tell whether a tag reserves a block of private elements (PS3.5 7.8.1)."""
    return is_private(tag) and 0x10 <= tag & 0xFFFF <= 0xFF


def private_block(creator: int) -> int:
    """Give what the tags that a private creator reserves have in common: all but their last byte (PS3.5 7.8.1)."""
    return creator >> 16 << 8 | creator & 0xFF


def repeating_base(tag: int) -> int | None:
    """Give the tag in group 5000 or 6000 that stands for an element of a repeating group, or None.

    Source: PS3.5 7.6, with all even groups from 5000 to 50FE and from 6000 to 60FE, as PS3.6 has 50xx and 60xx.
    """
    group = tag >> 16
    if group & 0xFF01 in (0x5000, 0x6000):
        return tag & 0xFF00FFFF
    return None


def lookup(tag: int) -> Entry | None:
    """Find a standard element, those of repeating groups included; None where it is unknown or private."""
    if found := _public.DicomDictionary.get(tag):
        vr, vm, _, _, keyword = found
        return Entry(keyword, vr, vm) if keyword and vr != "NONE" else None
    base = repeating_base(tag)
    return None if base is None else _REPEATING.get(base)


def tag_of(keyword: str) -> int | None:
    """Give a keyword's tag (the one in group 5000 or 6000 for a repeating group), or None."""
    return _tags().get(keyword)


def name_of(tag: int) -> str:
    """Give a standard element's name, as PS3.6 has it; empty where it is unknown or private."""
    if entry := _public.DicomDictionary.get(tag):
        return str(entry[2])
    repeating = _public.RepeatersDictionary.get(f"{tag >> 24:02X}xx{tag & 0xFFFF:04X}")
    return str(repeating[2]) if repeating else ""


def is_known_creator(creator: str) -> bool:
    """Tell whether a private dictionary has elements of a private creator."""
    return creator in _private()


def private_vr(tag: int, creator: str) -> str | None:
    """Give the VR that a private dictionary knows for an element of a private creator's block, or None."""
    entry = _private_entry(tag, creator)
    return entry[0].replace("OB_OW", "OB or OW") if entry else None


def private_name(tag: int, creator: str) -> str:
    """Give the name that a private dictionary knows for an element of a private creator's block; empty for none."""
    entry = _private_entry(tag, creator)
    return entry[2].strip("? ") if entry else ""


def _private_entry(tag: int, creator: str) -> tuple[str, str, str, str] | None:
    block = _private().get(creator)
    if block is None:
        return None
    number = f"{tag:08X}"
    spellings = (number, f"{number[:4]}xx{number[6:]}", f"{number[:2]}xxxx{number[6:]}")  # the closest first
    return next((block[spelling] for spelling in spellings if spelling in block), None)


def effective_vr(tag: int, vr: str | None, creator: str, signed: bool) -> str:
    """Decide by which VR an element's bytes are read.

    Parameters
    ----------
    vr
        The VR in the file, None under Implicit VR.
    creator
        The private creator of the element's block, empty where there is none.
    signed
        Whether Pixel Representation (0028,0103) is 1.

    Returns
    -------
    str
        A VR of PS3.5 6.2; UN where nothing is known. "US or SS" follows `signed`; the other ambiguous ones
        are OW, as Implicit VR has them (PS3.5 A.1).
    """
    if vr is None or vr not in KNOWN_VRS:
        known = _dictionary_vr(tag, creator)
    elif vr == "UN":
        known = _dictionary_vr(tag, "")  # PS3.5 6.2.2, note 2: only what the public dictionary knows
    else:
        return vr
    if known == AMBIGUOUS_SIGN:
        return "SS" if signed else "US"
    return "OW" if " or " in known else known


def _dictionary_vr(tag: int, creator: str) -> str:
    if tag & 0xFFFF == 0:
        return "UL"
    if is_private_creator(tag):
        return "LO"
    if is_private(tag):
        return private_vr(tag, creator) or "UN"
    entry = lookup(tag)
    return entry.vr if entry else "UN"
