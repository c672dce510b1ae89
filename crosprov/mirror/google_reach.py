"""Why Google Storage is not reached: read out of what its client raises."""

from __future__ import annotations

import errno
import socket
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import requests
from google.api_core import exceptions as answers
from google.cloud.storage.retry import DEFAULT_RETRY

HINT = (
    "is this machine online? A proxy is named by https_proxy, another address of the service "
    "by --storage-endpoint"
)
_NO_WAY = frozenset({errno.ECONNREFUSED, errno.ENETUNREACH, errno.EHOSTUNREACH, errno.ENETDOWN})


def retry_of(patience: float, *, reached: bool) -> Any:
    """Give how often something is tried again; None for never.

    As long as nothing was ever `reached`, a server that is not there is no passing fault.
    """
    if not patience:
        return None
    retry: Any = DEFAULT_RETRY.with_timeout(patience)
    if reached:
        return retry
    passing = retry._predicate
    return retry.with_predicate(lambda error: unreached(error) is None and passing(error))


def unreached(error: BaseException) -> str | None:
    """Say why no server was reached; None when one was, or when that is not known."""
    chain = list(_chain(error))
    where = next((found for one in chain if (found := _server(one))), "Google Storage")
    if any(isinstance(one, socket.gaierror) for one in chain):
        return f"the name {where.partition(':')[0]} is not known here"
    for one in chain:
        if isinstance(one, OSError) and one.errno in _NO_WAY:
            return f"{where} cannot be reached ({(one.strerror or '').lower()})"
    if any(isinstance(one, requests.ConnectTimeout) for one in chain):
        return f"{where} takes no connection"
    return None


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """Go from an error to what it came from."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        given_up = error.cause if isinstance(error, answers.RetryError) else None
        error = given_up or error.__cause__ or error.__context__


def _server(error: BaseException) -> str:
    request = getattr(error, "request", None)
    return urlsplit(getattr(request, "url", None) or "").netloc.rpartition("@")[2]
