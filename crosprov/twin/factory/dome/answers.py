"""Answers in the REST framework's shapes, and the refusals that end a request."""

from __future__ import annotations

import json
from collections.abc import Mapping

from crosprov.twin.factory.dome.camel import camelized
from crosprov.twin.factory.exchange import Answer

JSON = "application/json"


class Refusal(Exception):
    """A request that ends with a status and a body of JSON."""

    def __init__(self, status: int, body: object, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(status, body)
        self.status = status
        self.body = body
        self.headers = dict(headers or {})


def refused(status: int, sentence: str) -> Refusal:
    return Refusal(status, {"detail": sentence})


def bad_field(name: str, sentence: str) -> Refusal:
    return Refusal(400, {name: [sentence]})


def rendered(body: object, status: int = 200, headers: Mapping[str, str] | None = None) -> Answer:
    """Return an answer whose keys are in camelCase and whose text is ASCII."""
    return plain(camelized(body), status, headers)


def plain(body: object, status: int = 200, headers: Mapping[str, str] | None = None) -> Answer:
    """Return an answer whose keys stay as they are."""
    data = json.dumps(body, separators=(",", ":")).encode()
    return Answer(status, data, JSON, headers or {})


def page(status: int, title: str, text: str = "") -> Answer:
    """Return a page of HTML, as the original's failures and its front page are."""
    body = (
        f"<!doctype html>\n<title>{title}</title>\n<h1>{title}</h1>\n<pre>{_escaped(text)}</pre>\n"
    )
    return Answer(status, body.encode(), "text/html")


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
