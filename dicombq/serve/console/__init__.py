"""Pages for people."""

from __future__ import annotations

from starlette.routing import BaseRoute

from dicombq.serve.settings import Settings


def routes(settings: Settings) -> list[BaseRoute]:
    """Give its routes."""
    del settings
    return []
