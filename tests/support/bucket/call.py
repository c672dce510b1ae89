"""A request as operations see it, and their reply."""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from email.message import Message
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from .access import Identity, Tokens, demand
from .bodies import Body
from .failures import ApiError
from .model import Bucket, Store, Version

if TYPE_CHECKING:
    from .uploads import Sessions

_LONGEST_JSON = 8 * 1024 * 1024
_BLOCK = 256 * 1024


@dataclass(frozen=True, slots=True)
class Span:
    """Stand for bytes of an open file: `length` of them from `start`, decompressed or not."""

    file: BinaryIO
    start: int
    length: int
    gunzip: bool = False

    def blocks(self) -> Iterator[bytes]:
        """Yield the bytes."""
        if not self.gunzip:
            yield from self._stored()
            return
        inflate = zlib.decompressobj(wbits=31)
        for block in self._stored():
            if data := inflate.decompress(block):
                yield data
        if data := inflate.flush():
            yield data

    def _stored(self) -> Iterator[bytes]:
        left = self.length
        self.file.seek(self.start)
        while left and (block := self.file.read(min(_BLOCK, left))):
            left -= len(block)
            yield block


@dataclass(slots=True)
class Reply:
    """Answer a request."""

    status: int = 200
    headers: list[tuple[str, str]] = field(default_factory=list)
    body: bytes | Span = b""

    @staticmethod
    def of_json(value: Mapping[str, Any], status: int = 200) -> Reply:
        """Return a reply with a JSON document."""
        headers = [("Content-Type", "application/json; charset=UTF-8")]
        if "etag" in value:
            headers.append(("ETag", str(value["etag"])))
        return Reply(status, headers, json.dumps(value).encode())

    @property
    def length(self) -> int | None:
        """Return how many bytes the body has, or None when that is not known before."""
        if isinstance(self.body, bytes):
            return len(self.body)
        return None if self.body.gunzip else self.body.length

    def blocks(self) -> Iterator[bytes]:
        """Yield the body."""
        if isinstance(self.body, bytes):
            yield self.body
        else:
            yield from self.body.blocks()

    def close(self) -> None:
        """Close the file that the body comes from."""
        if isinstance(self.body, Span):
            self.body.file.close()


@dataclass(slots=True)
class Call:
    """Hold one request: who asks, for what, and with which words and bytes."""

    store: Store
    sessions: Sessions
    tokens: Tokens
    identity: Identity
    method: str
    names: Mapping[str, str]
    query: Mapping[str, list[str]]
    headers: Message
    body: Body
    base_url: str
    write_interval: float = 0.0

    def word(self, key: str) -> str | None:
        """Return a parameter of the query, or None."""
        values = self.query.get(key)
        return values[-1] if values else None

    def number(self, key: str) -> int | None:
        """Return a number of the query, or None; raise ApiError 400 for another word."""
        value = self.word(key)
        if value is None:
            return None
        try:
            return int(value)
        except ValueError:
            raise ApiError(400, f"Invalid long value: '{value}' of {key}.") from None

    def flag(self, key: str) -> bool:
        """Return whether a parameter of the query is `true`, in any case."""
        return (self.word(key) or "").lower() == "true"

    def json(self) -> dict[str, Any]:
        """Return the JSON object in the body, {} without one; raise ApiError 400 for others."""
        data = self.body.whole(_LONGEST_JSON)
        return parsed(data) if data.strip() else {}

    def demand(
        self, permission: str, bucket: Bucket | None, version: Version | None = None
    ) -> None:
        """Raise ApiError 401 or 403 unless the caller may do a thing."""
        demand(self.identity, permission, bucket, version)

    @property
    def full(self) -> bool:
        """Return whether ACLs are asked for."""
        return self.word("projection") == "full"

    def bucket(self) -> Bucket:
        """Return the bucket of the path; raise ApiError 404."""
        return self.store.bucket(self.names["bucket"])

    def scratch(self) -> Path:
        """Return the path of a file that is not there yet."""
        return self.store.scratch()


def parsed(data: bytes) -> dict[str, Any]:
    """Return the JSON object in some bytes; raise ApiError 400 for anything else."""
    try:
        value = json.loads(data)
    except ValueError:
        raise ApiError(400, "Parse Error", "parseError") from None
    if not isinstance(value, dict):
        raise ApiError(400, "Parse Error: not an object", "parseError")
    return value
