"""Which web servers builds may be fetched from: those that were named at the start, no others.

Whoever can reach the dev server names the address that it fetches from. Without a limit its
clients could make it ask whatever it reaches and they do not: its own loopback, a router's pages,
the metadata of a cloud.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from urllib.parse import unquote

from crosprov.devserver.failures import Refused

Place = tuple[str, str, int, tuple[str, ...]]  # scheme, host, port, parts of the path

# Narrower than RFC 3986, so that no two programs can read different hosts out of one address.
_ADDRESS = re.compile(
    r"(?P<scheme>https?)://(?P<host>\[[0-9a-f:.]+\]|[a-z0-9._-]+)(:(?P<port>[0-9]{1,5}))?"
    r"(?P<path>/[^?#\\\x00-\x1f\x7f]*)?([?#].*)?",
    re.IGNORECASE,
)
_PORTS = {"http": 80, "https": 443}


class WebSources:
    """Know the prefixes of addresses that may be fetched from; without any, none may."""

    def __init__(self, prefixes: Iterable[str] = ()) -> None:
        """Take prefixes such as https://builds.example.com/lab; Refused(500) for what is none."""
        self._places = tuple(map(_prefix, prefixes))

    def check(self, address: str, *, after: str | None = None) -> None:
        """Raise Refused(403) unless an address is one of the prefixes or lies below one.

        `after` is the address that led there.
        """
        place = _place(address)
        if place is not None and any(
            place[:3] == known[:3] and place[3][: len(known[3])] == known[3]
            for known in self._places
        ):
            return
        led = f"{without_query(after)} leads to " if after else ""
        raise Refused(
            403,
            f"{led}{without_query(address)}, which is not among the web servers that builds may be "
            "fetched from; --web_source allows one (web_sources in crosprov's inventory)",
        )


def without_query(address: str) -> str:
    """Give an address without what may be a signature."""
    return address.partition("?")[0].partition("#")[0]


def _prefix(written: str) -> Place:
    place = _place(written)
    if place is None or "?" in written or "#" in written:
        raise Refused(
            500, f"{written} is no folder of a web server, such as https://builds.example.com/lab"
        )
    return place


def _place(address: str) -> Place | None:
    """Take an address apart; None for one that is none or that leads upwards."""
    found = _ADDRESS.fullmatch(address)
    if found is None:
        return None
    parts = tuple(unquote(part) for part in (found["path"] or "").rstrip("/").split("/")[1:])
    if any(part in (".", "..") or "/" in part or "\\" in part for part in parts):
        return None
    scheme = found["scheme"].lower()
    return scheme, found["host"].lower(), int(found["port"] or _PORTS[scheme]), parts
