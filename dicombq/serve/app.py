"""The application: the guard, and the routes of each face."""

from __future__ import annotations

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from dicombq.errors import DicombqError
from dicombq.serve import console, dicomweb, rest
from dicombq.serve.problems import answer
from dicombq.serve.security import Guard
from dicombq.serve.settings import Settings


def build(settings: Settings) -> Starlette:
    """Make the application; a person is told of an error by a page, a program as the API does."""

    def tell(request: Request, error: Exception) -> Response:
        return console.problem(settings, request, error) if console.wants_page(request) else answer(request, error)

    app = Starlette(
        routes=[
            Route("/healthz", _healthz),
            *rest.routes(settings),
            *dicomweb.routes(settings),
            *console.routes(settings),
        ],
        middleware=[Middleware(Guard, settings=settings, tell=tell)],
        exception_handlers={DicombqError: tell, HTTPException: tell},
    )
    app.router.redirect_slashes = False  # a name with a slash at its end is none
    return app


async def _healthz(_request: Request) -> PlainTextResponse:
    return PlainTextResponse("ok\n")
