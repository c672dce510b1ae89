"""Forgotten ACLs: what is found, what is repaired, and what has to be left to somebody else."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from crosprov.mirror.acl import Repair, repair_acls
from crosprov.mirror.mirrors import Mirror
from crosprov.mirror.model import Fault
from tests.mirror.publishing import CREATOR, NAME, VIEWER, bucket_mirror, store_of
from tests.support.bucket import BucketServer, Rule, bucket_server

OBJECT = f"distfiles/{NAME}"
PARTNER = "user-partner@example.com"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[BucketServer]:
    with bucket_server(tmp_path / "contents") as running:
        yield running


def _repair(
    server: BucketServer, mirror: Mirror, token: str | None = None, *, dry_run: bool = False
) -> Repair:
    with store_of(server, mirror, token or server.owner) as store:
        (found,) = repair_acls(mirror, store=store, dry_run=dry_run)
    return found


def _acl(server: BucketServer, mirror: Mirror) -> dict[str, str]:
    return server.store.bucket(mirror.bucket).version(OBJECT).acl


@pytest.mark.parametrize(
    ("public", "before", "state", "sentence"),
    [
        (True, "publicRead", "right", "allUsers READER"),
        (True, "projectPrivate", "repaired", "it was not public"),
        (True, "authenticatedRead", "repaired", "it was not public"),
        (False, "projectPrivate", "right", "project-viewers"),
        (False, "publicRead", "repaired", "everybody could read it"),
        (False, "authenticatedRead", "repaired", "everybody could read it"),
        (False, "private", "repaired", "the project could not read it"),
    ],
)
def test_an_acl_is_repaired_once(
    server: BucketServer, public: bool, before: str, state: str, sentence: str
) -> None:
    mirror = bucket_mirror(server, public=public)
    server.put(mirror.bucket, OBJECT, b"content", acl=before)
    looked = _repair(server, mirror, dry_run=True)
    assert looked.state == ("right" if state == "right" else "wrong")
    found = _repair(server, mirror)
    assert (found.name, found.state, found.good) == (NAME, state, True)
    assert sentence in found.sentence
    after = _acl(server, mirror)
    assert ("allUsers" in after) == public
    assert public or "allAuthenticatedUsers" not in after
    assert public or any(entity.startswith("project-viewers") for entity in after)
    assert _repair(server, mirror).state == "right"


@pytest.mark.parametrize("before", ["publicRead", "private"])
def test_what_a_partner_was_given_stays(server: BucketServer, before: str) -> None:
    mirror = bucket_mirror(server, public=False)
    version = server.put(mirror.bucket, OBJECT, b"content", acl=before)
    version.acl[PARTNER] = "READER"
    assert _repair(server, mirror).state == "repaired"
    assert _acl(server, mirror)[PARTNER] == "READER"


@pytest.mark.parametrize(
    ("public", "open_to_all", "state"),
    [(True, True, "right"), (True, False, "uniform"), (False, True, "uniform")],
)
def test_a_bucket_with_uniform_access_decides_itself(
    server: BucketServer, public: bool, open_to_all: bool, state: str
) -> None:
    mirror = bucket_mirror(server, public=public, uniform=True, open_to_all=open_to_all)
    server.put(mirror.bucket, OBJECT, b"content")
    found = _repair(server, mirror)
    assert found.state == state and "uniform" in found.sentence
    assert ("everybody reads" in found.sentence) == open_to_all


def test_whoever_may_not_see_an_acl_learns_what_strangers_get(server: BucketServer) -> None:
    mirror = bucket_mirror(server)
    server.put(mirror.bucket, OBJECT, b"content", acl="projectPrivate")
    token = server.token("dev@example.com")
    for role in (CREATOR, VIEWER):
        server.grant(mirror.bucket, role, "user:dev@example.com")
    found = _repair(server, mirror, token)
    assert (found.state, found.good) == ("unseen", False)
    assert "strangers do not get" in found.sentence and "uploaded it" in (found.hint or "")


def test_who_uploaded_a_file_repairs_it(server: BucketServer) -> None:
    mirror = bucket_mirror(server)
    version = server.put(mirror.bucket, OBJECT, b"content", acl="projectPrivate")
    version.acl["user-dev@example.com"] = "OWNER"
    with store_of(server, mirror) as store:
        (found,) = repair_acls(mirror, [NAME, NAME], store=store)
    assert found.state == "repaired"


def test_a_refused_change_is_told(server: BucketServer) -> None:
    mirror = bucket_mirror(server)
    server.put(mirror.bucket, OBJECT, b"content", acl="projectPrivate")
    server.fail(Rule(method="PATCH", status=403))
    found = _repair(server, mirror)
    assert found.state == "wrong" and "403" in found.sentence


def test_files_that_are_not_there_and_mirrors_without_acls(
    server: BucketServer, tmp_path: Path
) -> None:
    mirror = bucket_mirror(server)
    with store_of(server, mirror, server.owner) as store:
        (found,) = repair_acls(mirror, ["absent-1.tar.xz"], store=store)
    assert found.state == "missing"
    with pytest.raises(Fault, match="no ACLs"):
        repair_acls(Mirror("folder", str(tmp_path), True))


def test_without_credentials_nothing_is_to_be_renewed(server: BucketServer) -> None:
    mirror = bucket_mirror(server, public=False)
    server.put(mirror.bucket, OBJECT, b"content", acl="projectPrivate")
    with pytest.raises(Fault, match="answers 40[13]") as raised:
        repair_acls(mirror, [NAME])
    assert raised.value.hint == "it needs credentials, and none were given"
