"""What the tests of publishing share: mirrors in the bucket server, and archives."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from crosprov.mirror.bucket import Bucket
from crosprov.mirror.mirrors import PUBLIC_ACL, Mirror
from tests.support.bucket import BucketServer

NAME = "some-project-0.0.1.tar.xz"
CREATOR = "roles/storage.objectCreator"
VIEWER = "roles/storage.objectViewer"


def archive(folder: Path, name: str = NAME, content: bytes = b"content\n") -> Path:
    """Write an archive of one's own that keeps to the policy, and give its path."""
    top = name.removesuffix(".tar.xz")
    path = folder / name
    with tarfile.open(path, "w:xz") as tar:
        member = tarfile.TarInfo(f"{top}/file")
        member.size = len(content)
        tar.addfile(member, io.BytesIO(content))
    return path


def bucket_mirror(
    server: BucketServer, *, public: bool = True, uniform: bool = False, open_to_all: bool = False
) -> Mirror:
    """Make a bucket, and describe the mirror in it; its files get ACLs, or `open_to_all`."""
    name = "local-public" if public else "local-private"
    server.bucket(name, public=open_to_all, uniform=uniform, versioned=True)
    return Mirror(name, f"gs://{name}/distfiles", public, endpoint=server.endpoint)


@contextmanager
def store_of(
    server: BucketServer,
    mirror: Mirror,
    token: str | None = None,
    *,
    roles: tuple[str, ...] = (CREATOR, VIEWER),
    patience: float = 15.0,
    email: str = "dev@example.com",
) -> Iterator[Bucket]:
    """Open a mirror's store as somebody who may create and view, or with a token."""
    if token is None:
        token = server.token(email)
        for role in roles:
            server.grant(mirror.bucket, role, f"user:{email}")
    acl = mirror.acl or (PUBLIC_ACL if mirror.public else "project-private")
    client = server.client(token)
    try:
        yield Bucket(mirror.store, client=client, acl=acl, patience=patience)
    finally:
        client.close()
