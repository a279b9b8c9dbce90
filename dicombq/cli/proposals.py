"""What a shell proposes for arguments and values."""

from __future__ import annotations

import itertools

import click
from click.shell_completion import CompletionItem

from dicombq.cli.choices import FORMATS

_MOST = 20


def files(_ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Propose folders and files, as for a STORE."""
    return [CompletionItem(incomplete, type="file")]


def formats(_ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Propose formats."""
    return [CompletionItem(name) for name in FORMATS if name.startswith(incomplete)]


def operations(_ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Propose the newest operations, with what they are."""
    from dicombq import config
    from dicombq.errors import DicombqError
    from dicombq.operations.store import OperationStore

    try:
        found, _damaged = OperationStore(config.home_folder()).list()
    except (DicombqError, OSError):  # a shell has no place to say so
        return []
    matching = (operation for operation in found if operation.id.startswith(incomplete))
    return [
        CompletionItem(operation.id, help=f"{operation.state.value} {operation.store_id}")
        for operation in itertools.islice(matching, _MOST)
    ]
