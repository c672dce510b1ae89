"""The server as a test holds it: start it, fill it, make it fail, look at what was asked."""

from __future__ import annotations

import contextlib
import os
import secrets
import threading
from collections.abc import Container, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from . import acls, resources
from .access import Identity, Tokens
from .checksums import Sums
from .failures import ApiError
from .faults import Armed, Faults, Rule
from .listener import Listener, Request
from .model import Bucket, Content, Store, Version, default_policy
from .uploads import Sessions

PROJECT_ID = "test-project"
OWNER = Identity("owner@example.com", "owner")
_VIEWER = "roles/storage.objectViewer"
# Else the client asks for each bucket's settings once more, in a thread, for traces.
_NO_BACKGROUND = "DISABLE_GCS_PYTHON_CLIENT_OTEL_BUCKET_METADATA"


class BucketServer:
    """Serve buckets on an address until `close`.

    `requests` records what was asked. `write_interval` is the number of seconds in which an
    object may be written once; a second write in it gets 429. `owner` is a token that may do
    everything. `broken` holds errors of the server itself.
    """

    def __init__(self, folder: Path, host: str = "127.0.0.1", port: int = 0) -> None:
        self.store = Store(folder)
        self.sessions = Sessions()
        self.tokens = Tokens()
        self.faults = Faults()
        self.requests: list[Request] = []
        self.broken: list[str] = []
        self.write_interval = 0.0
        self.owner = self.token(OWNER.email, project=OWNER.project)
        self._listener = Listener((host, port), self)
        self._thread = threading.Thread(
            target=self._listener.serve_forever, kwargs={"poll_interval": 0.02}
        )
        self._thread.start()

    @property
    def port(self) -> int:
        """Return the port that the server listens on."""
        return self._listener.server_port

    @property
    def address(self) -> str:
        """Return HOST:PORT."""
        return f"{self._listener.server_name}:{self.port}"

    @property
    def endpoint(self) -> str:
        """Return the URL for STORAGE_EMULATOR_HOST, and for http downloads."""
        return f"http://{self.address}"

    def close(self) -> None:
        """End all connections; what is stalled ends too."""
        self._listener.hang_up()  # first, or what is stalled would go on to its end
        self.faults.clear()
        self._listener.close()
        self._thread.join()

    def token(
        self,
        email: str,
        *,
        project: str = "",
        groups: Iterable[str] = (),
        roles: Mapping[str, str] | None = None,
        token: str | None = None,
    ) -> str:
        """Return a bearer token of somebody: a basic role in the project, roles in buckets.

        `roles` maps names of buckets to a role such as roles/storage.objectCreator.
        """
        token = token or secrets.token_urlsafe(12)
        self.tokens.known[token] = Identity(email, project, frozenset(groups))
        for bucket, role in (roles or {}).items():
            self.grant(bucket, role, f"user:{email}")
        return token

    def grant(self, bucket: str, role: str, member: str) -> None:
        """Give a member (user:…, allUsers, …) a role in a bucket."""
        with self.store.lock:
            self.store.bucket(bucket).policy.setdefault(role, set()).add(member)

    def bucket(
        self,
        name: str,
        *,
        public: bool = True,
        uniform: bool = False,
        versioned: bool = False,
        grants: Mapping[str, str] | None = None,
        **fields: Any,
    ) -> Bucket:
        """Return the bucket of this name, made when it is not there.

        In a `public` one anybody may read and list. `grants` maps members to roles; `fields`
        are further settings as the JSON API names them.
        """
        with self.store.lock:
            if name in self.store.buckets:
                return self.store.buckets[name]
            fields = {"versioning": {"enabled": versioned}, **fields}
            settings = {"uniformBucketLevelAccess": {"enabled": uniform}}
            fields["iamConfiguration"] = {**settings, **fields.get("iamConfiguration", {})}
            bucket = self.store.create(
                name, fields, default_policy(uniform=uniform), dict(acls.DEFAULT_OBJECT_ACL)
            )
            for member, role in (grants or {}).items():
                self.grant(name, role, member)
            if public:
                self.grant(name, _VIEWER, "allUsers")
            return bucket

    def put(
        self, bucket: str, name: str, data: bytes | Path, *, acl: str | None = None, **fields: Any
    ) -> Version:
        """Return a new generation of an object; the bucket is made when it is not there.

        A file stays where it is and must not change. `acl` is a predefined ACL's name; `fields`
        are an object's as the JSON API names them. No precondition or limit is looked at.
        """
        if isinstance(data, Path):
            content = self.store.adopt(data)
        else:
            content = self._written(data)
        with self.store.lock:
            held = self.bucket(bucket)
            version = Version(
                bucket,
                name,
                content,
                self.store.next_generation(),
                resources.object_fields(fields),
                acls.for_new_object(held, OWNER, acl, None),
                OWNER.email,
            )
            held.add(version)
        return version

    def _written(self, data: bytes) -> Content:
        sums, path = Sums(), self.store.scratch()
        sums.update(data)
        path.write_bytes(data)
        return self.store.keep(path, sums)

    def read(self, bucket: str, name: str, generation: int | None = None) -> bytes | None:
        """Return an object's bytes as they are stored, or None when it is not there."""
        with self.store.lock:
            version = self.store.bucket(bucket).find(name, generation)
            return version.content.path.read_bytes() if version else None

    def names(self, bucket: str) -> list[str]:
        """Return the names of a bucket's current objects, sorted."""
        with self.store.lock:
            found = self.store.bucket(bucket)
            return [name for name in found.names if found.live(name)]

    def delete(self, bucket: str, name: str) -> None:
        """Delete an object behind the clients' back; raise ApiError when it is not there."""
        with self.store.lock:
            found = self.store.bucket(bucket)
            found.delete(found.version(name), for_good=False)

    def fail(self, rule: Rule) -> Armed:
        """Order a fault, and return what watches and ends it."""
        return self.faults.order(rule)

    def downloads(self, bucket: str, name: str) -> list[Request]:
        """Return the requests for an object's bytes so far."""
        paths = {f"/download/storage/v1/b/{bucket}/o/{name}", f"/storage/v1/b/{bucket}/o/{name}"}
        paths.add(f"/{bucket}/{name}")
        return [one for one in list(self.requests) if one.is_download and one.path in paths]

    def client(self, token: str | None = None) -> Any:
        """Return a google.cloud.storage.Client: anonymous, or with a bearer token."""
        from google.auth.credentials import AnonymousCredentials
        from google.cloud.storage import Client
        from google.oauth2.credentials import Credentials

        os.environ.setdefault(_NO_BACKGROUND, "true")
        credentials: Any = (
            AnonymousCredentials()  # type: ignore[no-untyped-call]
            if token is None
            else Credentials(token)  # type: ignore[no-untyped-call]
        )
        return Client(
            project=PROJECT_ID,
            credentials=credentials,
            client_options={"api_endpoint": self.endpoint},
        )


@contextlib.contextmanager
def bucket_server(
    folder: Path, *, host: str = "127.0.0.1", port: int = 0
) -> Iterator[BucketServer]:
    """Run a server whose contents lie in a folder; raise RuntimeError if it broke itself."""
    server = BucketServer(folder, host, port)
    try:
        yield server
    finally:
        server.close()
    if server.broken:
        raise RuntimeError(f"The bucket server itself failed: {server.broken}")


def seed(server: BucketServer, folder: Path, private: Container[str] = ()) -> None:
    """Serve the folders in a folder as buckets, public unless `private`; files stay where they are.

    Raises ValueError for a name that no bucket can have.
    """
    for bucket in sorted(path for path in folder.iterdir() if path.is_dir()):
        server.bucket(bucket.name, public=bucket.name not in private)
        for path in sorted(bucket.rglob("*")):
            if path.is_file():
                server.put(bucket.name, path.relative_to(bucket).as_posix(), path)


__all__ = ["ApiError", "BucketServer", "bucket_server", "seed"]
