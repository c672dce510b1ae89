"""Read the Omaha requests of update_engine, protocols 2.0 and 3.0.

The document comes from anybody who reaches the port. It is read by expat with limits of its
own: no document type, so no entities, and bounds for size, depth and the number of elements.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal
from xml.parsers import expat

from crosprov.devserver.failures import Refused

MAX_BYTES = 256 * 1024
_MAX_DEPTH = 16
_MAX_ELEMENTS = 2_000
_MAX_APPS = 100

Protocol = Literal["2.0", "3.0"]

_ROOTS: dict[tuple[str, str], Protocol] = {
    ("gupdate", "2.0"): "2.0",
    ("request", "3.0"): "3.0",
}


@dataclass(frozen=True, slots=True)
class App:
    """Say what a client tells about one of its apps, and what it asks.

    `version` is that of the running image, or a word such as `ForcedUpdate`; `events` counts
    the reports that want an answer. `target_prefix` is empty when any version will do.
    """

    appid: str
    version: str = ""
    track: str = ""
    board: str = ""
    delta_okay: bool = False
    ping: bool = False
    checks: bool = False
    target_prefix: str = ""
    events: tuple[Event, ...] = ()


@dataclass(frozen=True, slots=True)
class Event:
    """Say what a client reports: numbers as update_engine gives them, empty when it gives none."""

    type: str
    result: str
    error: str


@dataclass(frozen=True, slots=True)
class Request:
    """Hold a request; there is at least one app."""

    protocol: Protocol
    apps: tuple[App, ...]


def parse(body: bytes) -> Request:
    """Read the body of an update request.

    Raises Refused: 413 for a body that is too large, 400 for one that is not a request.
    """
    if len(body) > MAX_BYTES:
        raise Refused(413, f"the update request is larger than {MAX_BYTES} bytes")
    if not body.strip():
        raise Refused(400, "the update request has no body; send an Omaha request by POST")
    root = _tree(body)
    protocol = _ROOTS.get((root.name, root.get("protocol")))
    if protocol is None:
        raise Refused(
            400,
            "this is no Omaha request: the root must be request with protocol 3.0 or gupdate "
            "with protocol 2.0",
        )
    apps = tuple(_app(element) for element in root.all("app"))
    if not apps:
        raise Refused(400, "the update request names no app")
    if len(apps) > _MAX_APPS:
        raise Refused(400, f"the update request names more than {_MAX_APPS} apps")
    return Request(protocol, apps)


def _app(element: _Element) -> App:
    appid = element.get("appid")
    if not appid:
        raise Refused(400, "the update request has an app without an appid")
    check = next(iter(element.all("updatecheck")), None)
    return App(
        appid=appid,
        version=element.get("version"),
        track=element.get("track"),
        board=element.get("board"),
        delta_okay=element.get("delta_okay").lower() == "true",
        ping=bool(element.all("ping")),
        checks=check is not None,
        target_prefix=check.get("targetversionprefix") if check else "",
        events=tuple(
            Event(event.get("eventtype"), event.get("eventresult"), event.get("errorcode"))
            for event in element.all("event")
        ),
    )


@dataclass(slots=True)
class _Element:
    """An element without its namespace: clients of protocol 2.0 write `o:app` for `app`."""

    name: str
    attributes: dict[str, str]
    children: list[_Element] = field(default_factory=list)

    def get(self, name: str) -> str:
        return self.attributes.get(name, "").strip(" \t\r\n")

    def all(self, name: str) -> list[_Element]:
        return [child for child in self.children if child.name == name]


class _Builder:
    """Build the tree while expat reads, and stop it at the first excess."""

    def __init__(self) -> None:
        self.root: _Element | None = None
        self._open: list[_Element] = []
        self._count = 0

    def start(self, name: str, attributes: dict[str, str]) -> None:
        self._count += 1
        if self._count > _MAX_ELEMENTS or len(self._open) >= _MAX_DEPTH:
            raise Refused(400, "the update request has too many elements or is nested too deeply")
        element = _Element(name.rpartition(":")[2], attributes)
        if self._open:
            self._open[-1].children.append(element)
        else:
            self.root = element
        self._open.append(element)

    def end(self, _: str) -> None:
        self._open.pop()

    def doctype(self, *_: object) -> None:
        raise Refused(400, "an update request may not have a document type")


def _tree(body: bytes) -> _Element:
    builder = _Builder()
    parser = expat.ParserCreate()
    parser.StartElementHandler = builder.start
    parser.EndElementHandler = builder.end
    parser.StartDoctypeDeclHandler = builder.doctype
    try:
        parser.Parse(body, True)
    except expat.ExpatError as error:
        why = expat.ErrorString(error.code)
        raise Refused(
            400,
            f"the update request is no XML: {why} in line {error.lineno}, column {error.offset}",
        ) from None
    except (ValueError, LookupError):  # an encoding that Python knows and expat cannot use
        raise Refused(400, "the update request has an encoding that is not supported") from None
    if builder.root is None:
        raise Refused(400, "the update request is no XML: it has no element")
    return builder.root
