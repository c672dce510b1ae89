"""Ways to web servers: proxy, trust and password of the environment, looked up once a server.

The requests library looks all of that up for each request, which for small files costs more than
the files themselves.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

import requests
from requests.adapters import HTTPAdapter
from requests.utils import requote_uri
from urllib3 import BaseHTTPResponse, Timeout
from urllib3.connectionpool import HTTPConnectionPool

_SERVERS = 20  # whose connections are kept
_CONNECTIONS = 64  # to one server: more than workers ask it at once


@dataclass(frozen=True, slots=True)
class _Route:
    """How one server is asked; a proxy of plain HTTP wants whole addresses."""

    pool: HTTPConnectionPool
    headers: Mapping[str, str]
    whole: bool


class Routes:
    """Ask web servers as requests would; safe for threads."""

    def __init__(self) -> None:
        self._adapter = HTTPAdapter(pool_connections=_SERVERS, pool_maxsize=_CONNECTIONS)
        self._session = requests.Session()
        self._routes: dict[tuple[str, str], _Route] = {}
        self._lock = threading.Lock()

    def close(self) -> None:
        """Close all connections."""
        self._adapter.close()
        self._session.close()

    def get(self, url: str, headers: Mapping[str, str], timeout: Timeout) -> BaseHTTPResponse:
        """Send a GET, and give its answer with the body unread; redirections are not followed.

        Raises the errors of urllib3, and requests.RequestException for what is no address.
        """
        parts = urlsplit(url)
        server = (parts.scheme, parts.netloc)
        route = self._routes.get(server) or self._found(server, url)
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        if route.whole:
            target = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{target}"
        return route.pool.urlopen(
            "GET", requote_uri(target), headers={**route.headers, **headers}, timeout=timeout,
            redirect=False, retries=False, assert_same_host=False, preload_content=False,
        )  # fmt: skip

    def _found(self, server: tuple[str, str], url: str) -> _Route:
        with self._lock:
            if server not in self._routes:
                self._routes[server] = self._look_up(url)
            return self._routes[server]

    def _look_up(self, url: str) -> _Route:
        request = self._session.prepare_request(requests.Request("GET", url))
        address = request.url or url
        settings = self._session.merge_environment_settings(address, {}, True, None, None)
        pool = self._adapter.get_connection_with_tls_context(
            request, settings["verify"], settings["proxies"], settings["cert"]
        )
        if not isinstance(pool, HTTPConnectionPool):
            raise requests.exceptions.InvalidURL(url)
        whole = self._adapter.request_url(request, settings["proxies"]).startswith("http")
        said = {name: text for name, text in request.headers.items() if name == "Authorization"}
        return _Route(pool, said, whole)
