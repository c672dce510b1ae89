"""Faults that a test orders: which requests are hit, and what happens to them."""

from __future__ import annotations

import itertools
import json
import re
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from .call import Reply, Span
from .failures import ApiError

_SLICE = 64 * 1024
_PAGE = b"<!DOCTYPE html><html><body><h1>Sign in</h1></body></html>\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """Choose requests, and say what goes wrong with them.

    A request matches by `method` (any when empty) and by regular expressions that are searched
    for in the decoded path and in the raw query. Of those that match, the `nth` (from 1) is
    hit, and as many as `times` in all from it on (None: all of them).

    What happens, one or several of: `status` (with `reason`, the API's word, and `retry_after`,
    seconds) instead of an answer; `html`, a page with 200 instead; `reset`, the connection is
    reset, before an answer or with `cut` after so many bytes of it; `cut`, it is closed after so
    many bytes of the body; `cut_request`, it is reset after so many bytes of the request's body;
    `stall`, after so many bytes of the body nothing more comes until the test releases it;
    `rate`, bytes per second; `corrupt`, the byte at this place of the body is wrong;
    `wrong_hash`, the sums in the headers and the resource are others'; `shift`, the part of a 206
    begins so many bytes too late, as its Content-Range says; `ignore_range`, all comes with 200.
    """

    method: str = ""
    path: str = ""
    query: str = ""
    nth: int = 1
    times: int | None = 1
    status: int | None = None
    reason: str = ""
    retry_after: int | None = None
    html: bool = False
    reset: bool = False
    cut: int | None = None
    cut_request: int | None = None
    stall: int | None = None
    rate: int | None = None
    corrupt: int | None = None
    wrong_hash: bool = False
    shift: int | None = None
    ignore_range: bool = False

    def __post_init__(self) -> None:
        """Raise ValueError for a value of another type, and for a bad pattern."""
        kinds = {"str": (str,), "int": (int,), "bool": (bool,), "int | None": (int, type(None))}
        for one in fields(self):
            value = getattr(self, one.name)
            right = type(value) in kinds[str(one.type)]
            if not right or (type(value) is int and value < 0):
                hint = "a number from 0" if "int" in str(one.type) else one.type
                raise ValueError(f"{one.name} is {value!r}; it must be {hint}")
        for pattern in (self.path, self.query):
            try:
                re.compile(pattern)
            except re.error as error:
                raise ValueError(f"the pattern {pattern!r} is bad: {error}") from None

    def matches(self, method: str, path: str, query: str) -> bool:
        """Return whether a request is one of those that are counted."""
        return (
            self.method in ("", method)
            and re.search(self.path, unquote(path)) is not None
            and re.search(self.query, query) is not None
        )


@dataclass(slots=True)
class Armed:
    """Watch and end a fault that was ordered."""

    rule: Rule
    seen: int = 0
    hit: int = 0
    _changed: threading.Condition = field(default_factory=threading.Condition)
    _released: threading.Event = field(default_factory=threading.Event)

    def wait(self, hits: int = 1, timeout: float = 20.0) -> None:
        """Wait until so many requests were hit; raise TimeoutError after `timeout` seconds."""
        with self._changed:
            if not self._changed.wait_for(lambda: self.hit >= hits, timeout):
                raise TimeoutError(f"{self.hit} of {hits} requests were hit by {self.rule}")

    def release(self) -> None:
        """Let stalled requests go on, and hit no more."""
        self._released.set()

    def takes(self, method: str, path: str, query: str) -> bool:
        """Count a request, and return whether it is hit."""
        if self._released.is_set() or not self.rule.matches(method, path, query):
            return False
        with self._changed:
            self.seen += 1
            if self.seen < self.rule.nth:
                return False
            if self.rule.times is not None and self.hit >= self.rule.times:
                return False
            self.hit += 1
            self._changed.notify_all()
            return True

    def pause(self, seconds: float | None = None) -> None:
        """Block until the fault is released, or for so many seconds."""
        self._released.wait(seconds)


class Faults:
    """Hold the faults that are ordered; a request is hit by the first that takes it."""

    def __init__(self) -> None:
        self._armed: list[Armed] = []
        self._lock = threading.Lock()

    def order(self, rule: Rule) -> Armed:
        """Arm a fault."""
        armed = Armed(rule)
        with self._lock:
            self._armed.append(armed)
        return armed

    def of(self, method: str, path: str, query: str) -> Armed | None:
        """Return the fault that hits a request, or None."""
        with self._lock:
            return next((one for one in self._armed if one.takes(method, path, query)), None)

    def clear(self) -> None:
        """Forget all faults; what is stalled goes on."""
        with self._lock:
            for armed in self._armed:
                armed.release()
            self._armed.clear()


def read_rules(path: Path) -> list[Rule]:
    """Return the rules in a JSON file: a list of objects with the fields of Rule.

    Raises ValueError with a sentence for a file of another form.
    """
    known = {one.name for one in fields(Rule)}
    written = json.loads(path.read_text())
    if not isinstance(written, list):
        raise ValueError(f"{path}: faults are a list of objects")
    for number, entry in enumerate(written, 1):
        if not isinstance(entry, dict) or (unknown := sorted(set(entry) - known)):
            what = f"knows no {unknown[0]}" if isinstance(entry, dict) else "is no object"
            raise ValueError(f"{path}: fault {number} {what}; known are {', '.join(sorted(known))}")
    try:
        return [Rule(**entry) for entry in written]
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None


def instead(rule: Rule) -> Reply | None:
    """Return what is answered without carrying the request out, or None; raise ApiError."""
    if rule.status is not None:
        headers = {} if rule.retry_after is None else {"Retry-After": str(rule.retry_after)}
        raise ApiError(rule.status, "A fault that the test ordered.", rule.reason, headers)
    if rule.html:
        return Reply(200, [("Content-Type", "text/html; charset=utf-8")], _PAGE)
    return None


def spoiled(rule: Rule, reply: Reply) -> Reply:
    """Return a reply with what the rule makes wrong in headers and range."""
    if rule.wrong_hash:
        reply = replace(reply, headers=[_other_sums(*header) for header in reply.headers])
        if isinstance(reply.body, bytes):
            reply.body = _OWN_SUMS.sub(rb'\1: "AAAAAA=="', reply.body)
    if rule.shift is not None and reply.status == 206 and isinstance(reply.body, Span):
        reply = _shifted(reply, reply.body, rule.shift)
    return reply


_OWN_SUMS = re.compile(rb'("(?:crc32c|md5Hash)"): "[^"]*"')


def _other_sums(name: str, value: str) -> tuple[str, str]:
    if name != "X-Goog-Hash":
        return name, value
    return name, ",".join(f"{word.partition('=')[0]}=AAAAAA==" for word in value.split(","))


def _shifted(reply: Reply, span: Span, shift: int) -> Reply:
    headers: dict[str, Any] = dict(reply.headers)
    size = int(headers["Content-Range"].rpartition("/")[2])
    start = min(span.start + shift, size - 1)
    length = min(span.length, size - start)
    headers["Content-Range"] = f"bytes {start}-{start + length - 1}/{size}"
    return Reply(206, list(headers.items()), Span(span.file, start, length))


class Cut(Exception):
    """Say that the connection ends here, with a reset or quietly."""

    def __init__(self, *, reset: bool) -> None:
        super().__init__("A fault that the test ordered.")
        self.reset = reset


def sent_with(armed: Armed, blocks: Iterator[bytes]) -> Iterator[bytes]:
    """Yield a body as the rule lets it through; raise Cut where it ends early."""
    rule = armed.rule
    marks = sorted({at for at in (rule.cut, rule.stall) if at is not None})
    begun = time.monotonic()
    at = 0
    for piece in itertools.chain(_pieces(blocks, marks), (b"",)):
        if rule.stall == at:
            armed.pause()
        if rule.cut == at:
            raise Cut(reset=rule.reset)
        if rule.corrupt is not None and at <= rule.corrupt < at + len(piece):
            place = rule.corrupt - at
            piece = piece[:place] + bytes([piece[place] ^ 0xFF]) + piece[place + 1 :]
        at += len(piece)
        if rule.rate:
            armed.pause(max(0.0, begun + at / rule.rate - time.monotonic()))
        if piece:
            yield piece


def _pieces(blocks: Iterator[bytes], marks: list[int]) -> Iterator[bytes]:
    """Yield bytes in small pieces, with an edge at each mark."""
    at = 0
    for block in blocks:
        while block:
            edge = next((mark - at for mark in marks if mark > at), _SLICE)
            piece, block = block[: min(edge, _SLICE)], block[min(edge, _SLICE) :]
            at += len(piece)
            yield piece
