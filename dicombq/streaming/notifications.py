"""What Pub/Sub tells of a bucket (``storage/docs/pubsub-notifications``).

A message only names an object: what is there now is what counts, so messages may come late, twice and in any order. One
is acknowledged when what it told of is noted in the inventory.
"""

from __future__ import annotations

import contextlib
import importlib.util
import queue
import re
import threading
import time
from collections.abc import Generator, Sequence
from functools import partial
from typing import Any

from dicombq.errors import FailedPrecondition, InvalidArgument
from dicombq.names import is_object_uri, parse_object_uri
from dicombq.stores.registry import RegisteredStore
from dicombq.streaming.watch import News

_NAME = re.compile(r"projects/[^/\s]+/subscriptions/[A-Za-z][A-Za-z0-9._~%+-]{2,254}")
_MOST = 1000
"""Messages that wait for their acknowledgement; Pub/Sub sends more when some are."""

_AGAIN = 10.0
"""Seconds until it is told again what could not be noted."""

_GOODBYE = 1.0
_LOOK = 0.25
_ROLE = "Grant roles/pubsub.subscriber on it."


def check_subscription(name: str, stores: Sequence[RegisteredStore]) -> None:
    """Refuse a subscription that cannot be used; the server is not asked.

    Raises
    ------
    InvalidArgument
        Where its name is none, or it is not for a single bucket.
    FailedPrecondition
        Where the client is not installed, which is an extra.
    """
    if not _NAME.fullmatch(name):
        raise InvalidArgument(
            "that is not the name of a Pub/Sub subscription", "Give it as projects/PROJECT/subscriptions/NAME."
        )
    if len(stores) > 1:
        raise InvalidArgument("--subscription is for one STORE", "Run a stream for each bucket that has one.")
    source = stores[0].source
    if not is_object_uri(source) or parse_object_uri(source).scheme != "gs":
        raise InvalidArgument(
            f"Pub/Sub tells of buckets of Google Cloud Storage only; [{stores[0].name.store}] is none"
        )
    if not _is_installed():
        raise FailedPrecondition("google-cloud-pubsub is not installed", "Install it: pip install 'dicombq[pubsub]'")


def _is_installed() -> bool:
    try:
        return importlib.util.find_spec("google.cloud.pubsub_v1") is not None
    except ModuleNotFoundError:  # of google.cloud
        return False


def notices(subscription: str, bucket: str, stop: threading.Event, interval: float) -> Generator[News | None]:
    """Stream the keys of objects that messages name; None when it is time for a sweep.

    Raises
    ------
    NotFound, NotPermitted, NotAuthenticated, Failed
        Where the subscription gives nothing.
    """
    import google.cloud.pubsub_v1 as pubsub  # type: ignore[import-untyped]  # noqa: PLC0415 - an extra, and slow

    from dicombq.system.google_errors import google_errors  # noqa: PLC0415 - as slow

    waiting: queue.SimpleQueue[Any] = queue.SimpleQueue()
    told: list[Any] = []
    with google_errors("Pub/Sub", f"the subscription [{subscription}]", _ROLE), pubsub.SubscriberClient() as client:
        pull = client.subscribe(subscription, waiting.put, pubsub.types.FlowControl(max_messages=_MOST))
        try:
            sweep = time.monotonic() + interval
            while not stop.is_set():
                told += _take(waiting)
                if told:
                    yield News(_keys(told, bucket), partial(_acknowledge, told))
                    if told:  # it could not be noted
                        stop.wait(_AGAIN)
                if pull.done():
                    pull.result()
                if time.monotonic() >= sweep:
                    yield None
                    sweep = time.monotonic() + interval
        finally:
            pull.cancel()
            with contextlib.suppress(Exception):  # it was raised before
                pull.result(_GOODBYE)


def _take(waiting: queue.SimpleQueue[Any]) -> list[Any]:
    """Wait a moment for messages; give those that came."""
    messages: list[Any] = []
    deadline = time.monotonic() + _LOOK
    with contextlib.suppress(queue.Empty):
        while len(messages) < _MOST:
            messages.append(waiting.get(timeout=max(0.0, deadline - time.monotonic())))
    return messages


def _keys(messages: Sequence[Any], bucket: str) -> list[str]:
    attributes = (message.attributes for message in messages)
    return list(dict.fromkeys(each["objectId"] for each in attributes if each.get("bucketId") == bucket))


def _acknowledge(messages: list[Any]) -> None:
    for message in messages:
        message.ack()
    messages.clear()
