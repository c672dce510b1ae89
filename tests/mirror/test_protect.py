"""What keeps a mirror immutable: seen, set, and said where it cannot be seen."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from crosprov.mirror.bucket_roles import CREATOR, VIEWER
from crosprov.mirror.mirrors import Mirror
from crosprov.mirror.model import Fault
from crosprov.mirror.protect import Protection, protect
from tests.mirror.publishing import bucket_mirror, store_of
from tests.support.bucket import BucketServer, Rule, bucket_server

DEV = "user:dev@example.com"
ADMINS = ("projectOwner:test-project", "projectEditor:test-project")


@pytest.fixture
def server(tmp_path: Path) -> Iterator[BucketServer]:
    with bucket_server(tmp_path / "contents") as running:
        yield running


def _protect(
    server: BucketServer, mirror: Mirror, token: str | None = None, **options: Any
) -> Protection:
    with store_of(server, mirror, token or server.owner) as store:
        return protect(mirror, store=store, **options)


def _states(found: Protection) -> dict[str, str]:
    """Give each subject's state, the weakest where it has several."""
    order = ("good", "told", "set", "unseen", "weak")
    states: dict[str, str] = {}
    for measure in found.measures:
        before = states.get(measure.subject, "good")
        states[measure.subject] = max(before, measure.state, key=order.index)
    return states


def _mirror(server: BucketServer, *, public: bool = True, **fields: Any) -> Mirror:
    name = "m-public" if public else "m-private"
    server.bucket(name, public=False, **fields)
    return Mirror(name, f"gs://{name}/distfiles", public, endpoint=server.endpoint)


@pytest.mark.parametrize("public", [True, False])
def test_what_is_weak_is_set_once_and_stays(server: BucketServer, public: bool) -> None:
    mirror = _mirror(server, public=public)
    server.grant(mirror.bucket, "roles/storage.objectAdmin", DEV)
    looked = _protect(server, mirror, administrators=ADMINS)
    weak = {"object versioning", "soft deletion", "roles"} | (
        set() if public else {"public access"}
    )
    assert {key for key, state in _states(looked).items() if state == "weak"} == weak
    assert not looked.good and all(one.hint for one in looked.measures if one.state == "weak")
    assert not server.store.bucket(mirror.bucket).versioned
    changed = _protect(server, mirror, administrators=ADMINS, change=True)
    assert changed.good
    assert {key for key, state in _states(changed).items() if state in ("set", "unseen")} >= weak
    bucket = server.store.bucket(mirror.bucket)
    assert bucket.versioned and bucket.public_access_prevented == (not public)
    assert bucket.policy[CREATOR] == {DEV} and DEV in bucket.policy[VIEWER]
    assert "roles/storage.objectAdmin" not in bucket.policy
    before = (bucket.metageneration, bucket.policy_version)
    again = _protect(server, mirror, administrators=ADMINS, change=True)
    assert again.good and "set" not in _states(again).values()
    assert (bucket.metageneration, bucket.policy_version) == before


@pytest.mark.parametrize(
    ("public", "role", "member", "after"),
    [
        (True, "roles/storage.objectUser", DEV, {CREATOR, VIEWER}),
        (True, "roles/storage.legacyBucketWriter", DEV, {CREATOR, VIEWER}),
        (True, "roles/storage.objectAdmin", "allUsers", {VIEWER}),
        (True, "roles/storage.objectViewer", "allUsers", {VIEWER}),
        (False, "roles/storage.objectViewer", "allUsers", set()),
        (False, "roles/storage.objectCreator", "allAuthenticatedUsers", set()),
        (False, "roles/storage.objectViewer", DEV, {VIEWER}),
        (True, "roles/storage.admin", DEV, {"roles/storage.admin"}),
    ],
)
def test_who_gets_which_role_instead(
    server: BucketServer, public: bool, role: str, member: str, after: set[str]
) -> None:
    mirror = _mirror(server, public=public)
    server.grant(mirror.bucket, role, member)
    found = _protect(server, mirror, change=True, administrators=ADMINS)
    policy = server.store.bucket(mirror.bucket).policy
    assert {one for one, members in policy.items() if member in members} == after
    assert found.good == (role != "roles/storage.admin")


def test_everybody_goes_and_the_others_stay(server: BucketServer) -> None:
    mirror = _mirror(server, public=False)
    for member in ("allUsers", DEV):
        server.grant(mirror.bucket, VIEWER, member)
    assert _protect(server, mirror, change=True, administrators=ADMINS).good
    assert server.store.bucket(mirror.bucket).policy[VIEWER] == {DEV}


def test_administrators_are_named_or_weak(server: BucketServer) -> None:
    mirror = _mirror(server)
    found = [one for one in _protect(server, mirror, change=True).measures if one.state == "weak"]
    assert len(found) == 1 and ADMINS[0] in found[0].sentence and "by hand" in (found[0].hint or "")
    kept = server.store.bucket(mirror.bucket).policy["roles/storage.legacyBucketOwner"]
    assert kept == set(ADMINS)


@pytest.mark.parametrize(
    ("fields", "subject", "state", "sentence"),
    [
        ({"versioned": True}, "object versioning", "good", "older version"),
        ({"softDeletePolicy": {"retentionDurationSeconds": "864000"}}, "soft deletion", "good",
         "10 days"),
        ({"softDeletePolicy": {"retentionDurationSeconds": "0"}}, "soft deletion", "weak", "off"),
        ({"retentionPolicy": {"retentionPeriod": "86400"}}, "retention policy", "good",
         "1 day (not locked)"),
        ({}, "retention policy", "told", "none"),
        ({"lifecycle": {"rule": [{"action": {"type": "Delete"}, "condition": {"age": 30}}]}},
         "lifecycle", "weak", "age 30"),
    ],
)  # fmt: skip
def test_each_setting_is_judged(
    server: BucketServer, fields: dict[str, Any], subject: str, state: str, sentence: str
) -> None:
    found = _protect(server, _mirror(server, **fields))
    (measure,) = [one for one in found.measures if one.subject == subject]
    assert measure.state == state and sentence in measure.sentence


@pytest.mark.parametrize(
    "rule",
    [
        {"action": {"type": "Delete"}, "condition": {"numNewerVersions": 3, "isLive": False}},
        {"action": {"type": "Delete"}, "condition": {"daysSinceNoncurrentTime": 90}},
        {
            "action": {"type": "SetStorageClass", "storageClass": "NEARLINE"},
            "condition": {"age": 9},
        },
    ],
)
def test_rules_that_only_touch_older_versions_are_no_danger(
    server: BucketServer, rule: dict[str, Any]
) -> None:
    found = _protect(server, _mirror(server, lifecycle={"rule": [rule]}))
    assert "lifecycle" not in _states(found)


def test_what_cannot_be_seen_is_said(server: BucketServer) -> None:
    mirror = bucket_mirror(server)
    token = server.token("dev@example.com", roles={mirror.bucket: CREATOR})
    for change in (False, True):
        found = _protect(server, mirror, token, change=change)
        states = _states(found)
        assert (states["settings"], states["roles"], states["inherited roles"]) == ("unseen",) * 3
        assert any("may create files" in one.sentence for one in found.measures)
    assert server.store.bucket(mirror.bucket).metageneration == 1


def test_credentials_that_may_delete_are_told(server: BucketServer) -> None:
    found = _protect(server, bucket_mirror(server))
    (own,) = [one for one in found.measures if one.subject == "own rights"]
    assert "delete" in own.sentence and own.hint


def test_what_google_refuses_is_told_and_the_rest_is_set(server: BucketServer) -> None:
    mirror = _mirror(server)
    server.fail(Rule(method="PATCH", status=400))
    found = _protect(server, mirror, change=True, administrators=ADMINS)
    states = _states(found)
    assert (states["object versioning"], states["soft deletion"]) == ("weak", "set")
    (refused,) = [one for one in found.measures if one.subject == "object versioning"]
    assert "400" in refused.sentence


def test_roles_that_somebody_else_changes_meanwhile(server: BucketServer) -> None:
    mirror = _mirror(server)
    server.grant(mirror.bucket, "roles/storage.objectAdmin", DEV)
    server.fail(Rule(method="PUT", path="/iam$", status=412))
    with pytest.raises(Fault, match="412"):
        _protect(server, mirror, change=True)
    assert DEV in server.store.bucket(mirror.bucket).policy["roles/storage.objectAdmin"]


def test_a_folder_s_files_lose_the_right_to_be_written_to(tmp_path: Path) -> None:
    folder = tmp_path / "store"
    folder.mkdir()
    folder.chmod(0o775)
    (folder / "a-1.tar.xz").write_bytes(b"a")
    (folder / "a-1.tar.xz").chmod(0o664)
    (folder / "link").symlink_to("/etc/hostname")
    mirror = Mirror("folder", str(folder), True)
    looked = protect(mirror)
    assert not looked.good and _states(looked)["files"] == _states(looked)["folder"] == "weak"
    found = protect(mirror, change=True)
    assert found.good and _states(found)["files"] == _states(found)["folder"] == "set"
    assert (folder / "a-1.tar.xz").stat().st_mode & 0o777 == 0o444
    assert folder.stat().st_mode & 0o777 == 0o755
    assert protect(mirror).good
    with pytest.raises(Fault, match="cannot be listed"):
        protect(Mirror("none", str(tmp_path / "none"), True))


def test_without_credentials_nothing_is_to_be_renewed(server: BucketServer) -> None:
    mirror = bucket_mirror(server, public=False)
    server.fail(Rule(method="GET", path="/b/local-private", status=401, times=None))
    with pytest.raises(Fault, match="answers 401") as raised:
        protect(mirror)
    assert raised.value.hint == "it needs credentials, and none were given"
