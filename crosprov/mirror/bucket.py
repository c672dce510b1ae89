"""A mirror in Google Storage: objects are made with a precondition that nothing has the name."""

from __future__ import annotations

import base64
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import google_crc32c
from google.api_core import exceptions as answers

from crosprov.mirror.digests import computable
from crosprov.mirror.google_client import make_client, short, worded
from crosprov.mirror.google_reach import retry_of
from crosprov.mirror.hashing import Sum, digesting, digests_of
from crosprov.mirror.layouts import NAME
from crosprov.mirror.manifests import problem_of_name
from crosprov.mirror.model import Archive, Fault
from crosprov.mirror.stores import PIECE, Altered, Exists, Missing, Stored

_FIELDS = "items(name,size,crc32c,md5Hash,generation),nextPageToken"
_LIMITS = (10.0, 60.0)  # seconds: to connect, and of silence
_AHEAD = 4 << 20  # bytes that one request reads
_CHUNK = 8 << 20  # bytes that one request writes
_ACLS = {"public-read": "publicRead", "project-private": "projectPrivate", "private": "private"}


class Bucket:
    """A folder of a bucket; objects below further folders of it are not listed."""

    def __init__(
        self,
        place: str,
        *,
        credentials: Path | None = None,
        endpoint: str | None = None,
        acl: str | None = None,
        patience: float = 120.0,
        client: Any = None,
    ) -> None:
        """Name it as `gs://bucket/prefix`; what fails is tried again for `patience` seconds.

        A server that was never reached is not waited for.
        """
        self.place = place.rstrip("/")
        name, _, path = self.place.removeprefix("gs://").partition("/")
        self._prefix = f"{path}/" if path else ""
        if acl is not None and acl not in _ACLS:
            raise Fault(f"{acl!r} is no ACL of a mirror", hint=f"known are {', '.join(_ACLS)}")
        self.acl = acl
        self._anonymous = credentials is None and client is None
        self.client = client or make_client(credentials, endpoint)
        self._bucket = self.client.bucket(name)
        self._patience = patience
        self._reached = threading.Event()
        self._uniform = threading.Event()

    @property
    def is_uniform(self) -> bool:
        """Tell whether an upload found out that access to the bucket is uniform."""
        return self._uniform.is_set()

    @property
    def is_anonymous(self) -> bool:
        """Tell whether no credentials were given."""
        return self._anonymous

    def may_create(self) -> bool:
        """Ask Google whether these credentials may upload."""
        wanted = ["storage.objects.create"]
        with self._worded("ask for the rights in", self.place):
            held = self._bucket.test_iam_permissions(wanted, timeout=_LIMITS, retry=self._retry)
        return bool(held)

    def close(self) -> None:
        """Close the connections."""
        self.client.close()

    def list(self) -> Mapping[str, Stored]:
        """List the objects, page after page."""
        with self._worded("list", self.place):
            blobs = self.client.list_blobs(
                self._bucket,
                prefix=self._prefix,
                delimiter="/",
                fields=_FIELDS,
                timeout=_LIMITS,
                retry=self._retry,
            )
            found = [self._described(blob) for blob in blobs]
        return {stored.name: stored for stored in found if stored.name not in ("", NAME)}

    def find(self, name: str) -> Stored | None:
        """Ask for one object; that needs no right to list the bucket."""
        with self._worded("look up", self._shown(name)):
            try:
                blob = self._bucket.get_blob(
                    self._prefix + name, timeout=_LIMITS, retry=self._retry
                )
            except answers.NotFound:
                return None
        return None if blob is None else self._described(blob)

    def read(self, name: str, offset: int = 0) -> Iterator[bytes]:
        """Yield an object's bytes as they are stored, all of one generation."""
        stored = self.find(name)
        if stored is None:
            raise Missing(self.place, name)
        blob = self._bucket.blob(self._prefix + name, generation=int(stored.mark))
        at = offset
        while at < stored.size:
            end = min(at + _AHEAD, stored.size) - 1
            with self._worded("download", self._shown(name)):
                piece: bytes = blob.download_as_bytes(
                    client=self.client,
                    start=at,
                    end=end,
                    raw_download=True,
                    checksum=None,  # the whole is proven, not each part of it
                    timeout=_LIMITS,
                    retry=self._retry,
                )
            if not piece:
                raise Fault(f"{name} ends before its {stored.size} bytes", where=self.place)
            at += len(piece)
            yield piece

    def create(self, name: str, content: Path, archive: Archive) -> Stored:
        """Upload a file, only if nothing has the name.

        The service compares what arrives with the MD5 and the CRC32C of what was proven here,
        so that a content that changes while it is sent is refused there.
        """
        problem = problem_of_name(name)
        if problem:
            raise Fault(f"{name!r} cannot be the name of a file: {problem}", where=self.place)
        vouched = self._proven(content, archive)
        uniform = self.acl is None or self._uniform.is_set()
        try:
            return self._upload(name, content, vouched, None if uniform else self.acl)
        except _Uniform:
            self._uniform.set()
            return self._upload(name, content, vouched, None)

    def _upload(
        self, name: str, content: Path, vouched: Mapping[str, str], acl: str | None
    ) -> Stored:
        # The client's own check would delete what it finds damaged: checksum=None keeps it off.
        blob = self._bucket.blob(self._prefix + name, chunk_size=_CHUNK)
        blob.md5_hash, blob.crc32c = (_base64(vouched[one]) for one in ("MD5", "CRC32C"))
        size = content.stat().st_size
        with self._worded("upload", self._shown(name)), open(content, "rb") as file:
            try:
                blob.upload_from_file(
                    file,
                    size=size,
                    content_type="application/octet-stream",
                    client=self.client,
                    predefined_acl=None if acl is None else _ACLS[acl],
                    if_generation_match=0,
                    checksum=None,
                    timeout=_LIMITS,
                    retry=self._retry,
                )
            except answers.PreconditionFailed:
                return self._compared(name, size, vouched)
            except answers.BadRequest as error:
                raise _reason(self.place, name, error) from None
            except ValueError:
                if content.stat().st_size == size:
                    raise
                raise _changed(self.place, name) from None
        return replace(self._described(blob), is_new=True)

    def _compared(self, name: str, size: int, vouched: Mapping[str, str]) -> Stored:
        """Describe what has the name when it has the same content; else raise Exists.

        It may be our own: a lost answer makes the client ask again.
        """
        stored = self.find(name)
        if stored is None:
            raise Fault(f"{name} came and went while it was uploaded", where=self.place)
        there = stored.hashes
        if stored.size == size and "MD5" not in there:  # a composed object has none
            there = digests_of(self.read(name), ["MD5"], size).hashes
        if stored.size != size or there["MD5"] != vouched["MD5"]:
            raise Exists(self.place, name, stored)
        return stored

    def _proven(self, content: Path, archive: Archive) -> Mapping[str, str]:
        """Compare a file with its archive, and give the hashes that the service knows."""
        make: Any = google_crc32c.Checksum
        crc = make()
        size = 0
        algorithms = {*computable(archive.hashes), "MD5"}
        try:
            with open(content, "rb", buffering=0) as file:
                with digesting(algorithms, archive.size) as digests:
                    while piece := file.read(PIECE):
                        size += len(piece)
                        crc.update(piece)
                        digests.update(piece)
                    found = digests.digests()
        except OSError as error:
            raise Fault(f"it cannot be read: {error.strerror}", where=str(content)) from None
        difference = Sum(size, found).difference(archive)
        if difference:
            raise Altered(f"the content has {difference}", where=str(content))
        return {"MD5": found["MD5"], "CRC32C": crc.digest().hex()}

    def _described(self, blob: Any) -> Stored:
        pairs = (("MD5", blob.md5_hash), ("CRC32C", blob.crc32c))
        hashes = {one: base64.b64decode(value).hex() for one, value in pairs if value}
        name = blob.name.removeprefix(self._prefix)
        return Stored(name, int(blob.size), str(blob.generation), hashes)

    @property
    def _retry(self) -> Any:
        return retry_of(self._patience, reached=self._reached.is_set())

    @contextmanager
    def _worded(self, verb: str, what: str) -> Iterator[None]:
        with worded(verb, what, anonymous=self._anonymous):
            yield
        self._reached.set()

    def _shown(self, name: str) -> str:
        return f"{self.place}/{name}"


class _Uniform(Exception):
    """The bucket takes no ACLs."""


def _reason(place: str, name: str, error: answers.BadRequest) -> Exception:
    """Tell apart why an upload was a bad request."""
    message = str(error).lower()
    if "uniform" in message and "acl" in message:
        return _Uniform()
    if "md5" in message or "crc32c" in message:
        return _changed(place, name)
    return Fault(f"{name} cannot be published: Google Storage says {short(error)}", where=place)


def _changed(place: str, name: str) -> Altered:
    return Altered(f"{name} changed while it was uploaded; nothing was published", where=place)


def _base64(digest: str) -> str:
    return base64.b64encode(bytes.fromhex(digest)).decode()
