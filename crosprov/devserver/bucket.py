"""A folder in Google Storage, read with Google's own client."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import requests
import urllib3
from google.api_core import exceptions as answers
from google.auth import exceptions as auth
from google.cloud import storage
from google.cloud.storage import exceptions as broken

from crosprov.devserver.credentials import anonymous, read_credentials
from crosprov.devserver.failures import Refused
from crosprov.devserver.stores import (
    CONNECT_WITHIN,
    READ_WITHIN,
    Entry,
    Interrupted,
    Write,
    fate,
    replaced,
)

# The client would ask for each bucket's location in a thread of its own, for traces.
os.environ.setdefault("DISABLE_GCS_PYTHON_CLIENT_OTEL_BUCKET_METADATA", "true")

PUBLIC = "https://storage.googleapis.com"
LIMITS = (CONNECT_WITHIN, READ_WITHIN)
FIELDS = "items(name,size,crc32c,md5Hash,generation,contentEncoding),nextPageToken"


class Bucket:
    """A folder of a bucket; objects below further folders of it are not seen."""

    def __init__(self, source: str, credentials: str | Path | None, endpoint: str | None) -> None:
        self.source = source
        self._is_anonymous = credentials is None
        self._server = endpoint or PUBLIC
        bucket, _, path = source.removeprefix("gs://").partition("/")
        self._prefix = f"{path}/" if path else ""
        self._client = _client(credentials, endpoint)
        self._bucket = self._client.bucket(bucket)

    def list(self) -> tuple[Entry, ...]:
        """List the objects, page after page."""
        with self._worded("list", self.source):
            blobs = self._client.list_blobs(
                self._bucket,
                prefix=self._prefix,
                delimiter="/",
                fields=FIELDS,
                timeout=LIMITS,
                retry=None,
            )
            found = [self._entry(blob) for blob in blobs]
        return tuple(entry for entry in found if entry.name)

    def folders(self) -> tuple[str, ...]:
        """List the names of the folders in it, page after page."""
        with self._worded("list", self.source):
            blobs = self._client.list_blobs(
                self._bucket,
                prefix=self._prefix,
                delimiter="/",
                fields="prefixes,nextPageToken",
                timeout=LIMITS,
                retry=None,
            )
            for _ in blobs.pages:
                pass  # the prefixes of a page are added to the iterator's
            found = sorted(blobs.prefixes)
        return tuple(name.removeprefix(self._prefix).rstrip("/") for name in found)

    def find(self, name: str) -> Entry | None:
        """Ask for one object; that needs no right to list the bucket."""
        with self._worded("look up", f"{self.source}/{name}"):
            try:
                blob = self._bucket.get_blob(self._prefix + name, timeout=LIMITS, retry=None)
            except answers.NotFound:
                return None
        return None if blob is None else self._entry(blob)

    def read(self, entry: Entry, write: Write, offset: int = 0) -> None:
        """Download from an offset on, as it is stored, and no other generation than this."""
        blob = self._bucket.blob(self._prefix + entry.name, generation=entry.generation)
        with self._worded("download", f"{self.source}/{entry.name}"):
            try:
                blob.download_to_file(
                    _Sink(write),
                    client=self._client,
                    start=offset or None,
                    raw_download=True,  # as the digests describe it
                    checksum=None,  # the whole is checked, not each part of it
                    timeout=LIMITS,
                    retry=None,
                )
            except (answers.NotFound, answers.PreconditionFailed):
                raise replaced(self.source, entry.name) from None

    def _entry(self, blob: Any) -> Entry:
        return Entry(
            name=blob.name.removeprefix(self._prefix),
            size=blob.size,
            crc32c=blob.crc32c,
            md5=blob.md5_hash,
            generation=str(blob.generation),
            is_gzipped=blob.content_encoding == "gzip",
        )

    @contextmanager
    def _worded(self, verb: str, what: str) -> Iterator[None]:
        """Turn whatever the client raises into a sentence."""
        try:
            yield
        except (answers.Unauthorized, answers.Forbidden) as error:
            raise self._forbidden(verb, what, int(error.code or 403)) from None
        except answers.NotFound:
            raise Refused(404, f"there is no {what}: Google Storage answers 404") from None
        except answers.GoogleAPICallError as error:
            raise _answered(verb, what, error) from None
        except auth.TransportError:
            raise Interrupted(
                504, f"could not {verb} {what}: the server of Google's tokens does not answer"
            ) from None
        except auth.InvalidOperation:  # the anonymous have nothing that could be renewed
            raise self._forbidden(verb, what, 401) from None
        except auth.GoogleAuthError as error:
            raise Refused(
                502, f"could not {verb} {what}: Google refuses the credentials ({_short(error)})"
            ) from None
        except (requests.Timeout, urllib3.exceptions.TimeoutError):
            raise Interrupted(
                504, f"could not {verb} {what}: Google Storage was silent for too long"
            ) from None
        except (requests.ConnectionError, urllib3.exceptions.HTTPError, ConnectionError) as error:
            raise Interrupted(
                502, f"could not {verb} {what}: {fate(error)} ({self._server})"
            ) from None
        except (ValueError, KeyError, TypeError) as error:
            raise Refused(
                502,
                f"could not {verb} {what}: what answers is not Google Storage ({_short(error)})",
            ) from None
        except (requests.RequestException, broken.InvalidResponse, broken.DataCorruption) as error:
            raise Interrupted(
                502, f"could not {verb} {what}: the answer is broken ({_short(error)})"
            ) from None

    def _forbidden(self, verb: str, what: str, status: int) -> Refused:
        if self._is_anonymous:
            hint = "it may not be read without credentials; give the dev server --credentials"
        elif status == 401:
            hint = "the credentials are not valid any more; renew them"
        else:
            hint = (
                "its credentials lack storage.objects.get or storage.objects.list here, or there "
                "is no such object and they may not know it"
            )
        return Refused(502, f"could not {verb} {what}: Google Storage answers {status}; {hint}")


class _Sink:
    """What the client takes for a file."""

    def __init__(self, write: Write) -> None:
        self.write = write


def _answered(verb: str, what: str, error: answers.GoogleAPICallError) -> Exception:
    status = int(error.code or 0)
    sentence = f"could not {verb} {what}: Google Storage answers {status}"
    if status in (408, 429) or status >= 500:
        return Interrupted(502, f"{sentence} ({_short(error)})")
    return Refused(502, f"{sentence} ({_short(error)})")


def _short(error: BaseException) -> str:
    """Give the first words of an error; addresses and what follows them are left out."""
    message = str(getattr(error, "message", "") or error)
    if isinstance(error, auth.GoogleAuthError) and error.args:
        message = str(error.args[0])  # what follows is the answer as a whole
    words = message.split("http", 1)[0].splitlines()
    return (words[0].strip(" :,(") if words else "")[:120] or type(error).__name__


_clients: dict[tuple[Path | None, str | None], tuple[int | None, Any]] = {}
_clients_lock = threading.Lock()


def _client(credentials: str | Path | None, endpoint: str | None) -> Any:
    """Give the client for these credentials as they are now; it keeps its connections."""
    path = None if credentials is None else Path(credentials)
    stamp = _stamp(path)
    with _clients_lock:
        made_of, client = _clients.get((path, endpoint), (None, None))
        if client is None or made_of != stamp:
            who = anonymous() if path is None else read_credentials(path)
            options = {"api_endpoint": endpoint} if endpoint else None
            client = storage.Client(project="<none>", credentials=who, client_options=options)
            _clients[path, endpoint] = (stamp, client)
        return client


def close_clients() -> None:
    """Close the connections that are kept for the next downloads."""
    with _clients_lock:
        for _, client in _clients.values():
            client.close()
        _clients.clear()


def _stamp(path: Path | None) -> int | None:
    try:
        return None if path is None else path.stat().st_mtime_ns
    except OSError:
        return None
