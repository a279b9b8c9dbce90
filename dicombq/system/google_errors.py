"""What Google's clients raise, as errors for a user; importing this takes as long as importing a client."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import google.auth.exceptions
import requests.exceptions
from google.api_core import exceptions as api
from google.api_core.exceptions import GoogleAPICallError, RetryError

from dicombq.errors import Failed, NotAuthenticated, NotFound, NotPermitted, Temporary

NETWORK = (requests.exceptions.RequestException, ConnectionError, google.auth.exceptions.TransportError)
"""What is raised where there is no connection, or none any more."""

TEMPORARY_REASONS = frozenset(
    {
        "backendError",
        "internalError",
        "jobBackendError",
        "jobInternalError",
        "jobRateLimitExceeded",
        "quotaExceeded",
        "rateLimitExceeded",
        "tableUnavailable",
        "timeout",
    }
)
"""By which an error names what may be better later."""


@contextlib.contextmanager
def google_errors(service: str, what: str, roles: str) -> Iterator[None]:
    """Turn a client's errors into ours; their messages may hold values, so only their kind is told.

    Parameters
    ----------
    service
        As Google calls it.
    what
        Is used.
    roles
        A sentence about what to grant.
    """
    try:
        yield
    except NETWORK as error:
        raise temporary(service, what, f"no connection ({type(error).__name__})") from None
    except (google.auth.exceptions.GoogleAuthError, api.Unauthorized):
        raise not_authenticated(roles) from None
    except api.Forbidden as error:
        if _first_reason(error) in TEMPORARY_REASONS:
            raise temporary(service, what, "a quota is used up") from None
        raise NotPermitted(f"{service} does not permit to use {what}", roles) from None
    except RetryError:
        raise temporary(service, what, "it still fails after retries") from None
    except (api.TooManyRequests, api.ServerError) as error:
        raise temporary(service, what, f"the server answered {error.code}") from None
    except api.NotFound:
        raise NotFound(f"{service} does not find {what}") from None
    except GoogleAPICallError as error:
        raise Failed(f"{service} refuses {what}: {_first_reason(error) or error.code}") from None


def temporary(service: str, what: str, why: str) -> Temporary:
    """Say that a service may be used later."""
    return Temporary(f"{service} could not be used for {what}: {why}", "Run the command again later.")


def not_authenticated(roles: str) -> NotAuthenticated:
    """Say how to get credentials."""
    return NotAuthenticated(
        "there are no usable Google Cloud credentials",
        f"Run `gcloud auth application-default login`, or set GOOGLE_APPLICATION_CREDENTIALS. {roles}",
    )


def _first_reason(error: GoogleAPICallError) -> str:
    return next((str(detail.get("reason", "")) for detail in error.errors if isinstance(detail, dict)), "")
