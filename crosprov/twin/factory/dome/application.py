"""Dome itself: from a request to its answer, with the rules for who may ask what."""

from __future__ import annotations

import sys
import time
import traceback
from dataclasses import replace

from crosprov.twin.factory import faults, places
from crosprov.twin.factory.dome.answers import Refusal, page, refused, rendered
from crosprov.twin.factory.dome.context import Call, Dome, View
from crosprov.twin.factory.dome.routes import WITHOUT_ACCOUNT, route
from crosprov.twin.factory.exchange import Answer, Request

_LONGEST_HANG = 1800.0  # nginx gives up then


class Application:
    """Answers requests; whatever fails unexpectedly is a page with its trace and status 500."""

    def __init__(self, dome: Dome) -> None:
        self._dome = dome

    def __call__(self, request: Request) -> Answer:
        _hang(request)
        if code := faults.wanted().status.get(request.path):
            return page(code, "A fault that the test asked for", request.path)
        try:
            return self._answered(request)
        except Exception as error:
            sys.stderr.write(traceback.format_exc())
            sys.stderr.flush()
            title = f"{type(error).__name__} at {request.path}"
            return page(500, title, traceback.format_exc())

    def _answered(self, request: Request) -> Answer:
        found = route(request.path)
        if found is None:
            return _unknown(request)
        views, words = found
        if request.path == "/":
            return views["GET"](Call(self._dome, request, words))
        try:
            answer = self._allowed(request, views, words)
        except Refusal as refusal:
            answer = rendered(refusal.body, refusal.status, refusal.headers)
        return replace(answer, headers={**answer.headers, **_allow(views)})

    def _allowed(self, request: Request, views: dict[str, View], words: dict[str, str]) -> Answer:
        method = "GET" if request.method == "HEAD" else request.method
        view = views.get(method)
        self._admit(request, view or next(iter(views.values())))
        if method == "OPTIONS":
            return rendered({"name": "Dome", "renders": ["application/json"]})
        if view is None:
            raise refused(405, f'Method "{request.method}" not allowed.')
        return view(Call(self._dome, request, words))

    def _admit(self, request: Request, view: View) -> None:
        """Let in who has a token, who asks from the host itself, and everybody to some views.

        A token that is wrong is refused everywhere. Raises Refusal.
        """
        kind, _, key = (request.headers.get("Authorization") or "").partition(" ")
        has_token = kind.lower() == "token"
        challenge = {"WWW-Authenticate": "Token"}
        if has_token and not key.strip():
            sentence = "Invalid token header. No credentials provided."
            raise Refusal(401, {"detail": sentence}, challenge)
        if has_token and not self._dome.accounts.knows_token(key.strip()):
            raise Refusal(401, {"detail": "Invalid token."}, challenge)
        if has_token or view in WITHOUT_ACCOUNT:
            return
        if request.client not in ("127.0.0.1", places.gateway()):
            sentence = "Authentication credentials were not provided."
            raise Refusal(401, {"detail": sentence}, challenge)


def _unknown(request: Request) -> Answer:
    """Send a GET without the slash at its end to the right place; else there is no such page."""
    if not request.path.endswith("/") and route(f"{request.path}/"):
        if request.method in ("GET", "HEAD"):
            query = f"?{request.query}" if request.query else ""
            return Answer(301, headers={"Location": f"{request.path}/{query}"})
        return page(500, "RuntimeError", "The URL does not end in a slash.")
    return page(404, "Page not found", request.path)


def _allow(views: dict[str, View]) -> dict[str, str]:
    methods = [*views, *(["HEAD"] if "GET" in views else []), "OPTIONS"]
    return {"Allow": ", ".join(methods)}


def _hang(request: Request) -> None:
    """Give no answer while a test asks for that, or until the client goes away."""
    end = time.monotonic() + _LONGEST_HANG
    while request.path in faults.wanted().hang:
        if time.monotonic() > end or request.is_abandoned():
            raise TimeoutError(f"{request.path} was made to hang")
        time.sleep(0.1)
