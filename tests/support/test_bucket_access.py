"""Who may do what in the bucket server: roles, ACLs, uniform access, public access."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import requests
from google.api_core import exceptions
from google.auth.exceptions import GoogleAuthError, RefreshError

from tests.support.bucket import BucketServer

EMAIL = "someone@example.com"
_VIEWER = "roles/storage.objectViewer"
REFUSED = (exceptions.Forbidden, exceptions.Unauthorized, GoogleAuthError)

Action = Callable[[Any], Any]
ACTIONS: dict[str, Action] = {
    "read": lambda bucket: bucket.blob("o").download_as_bytes(retry=None),
    "list": lambda bucket: list(bucket.client.list_blobs(bucket.name, retry=None)),
    "create": lambda bucket: bucket.blob("new").upload_from_string(b"new", retry=None),
    "replace": lambda bucket: bucket.blob("o").upload_from_string(b"new", retry=None),
    "delete": lambda bucket: bucket.blob("o").delete(retry=None),
    "settings": lambda bucket: bucket.reload(retry=None),
    "change": lambda bucket: bucket.patch(retry=None),
    "policy": lambda bucket: bucket.get_iam_policy(retry=None),
}
EVERYTHING = set(ACTIONS)


def _allowed(bucket: Any) -> set[str]:
    """Return which actions succeed; those that destroy come last."""
    found = set()
    for name in ("read", "list", "settings", "change", "policy", "create", "replace", "delete"):
        with contextlib.suppress(*REFUSED):
            ACTIONS[name](bucket)
            found.add(name)
    return found


@contextlib.contextmanager
def _someone(server: BucketServer, **how: Any) -> Iterator[Any]:
    with server.client(server.token(EMAIL, **how)) as client:
        yield client


@pytest.mark.parametrize("uniform", [True, False])
@pytest.mark.parametrize(
    ("role", "allowed"),
    [
        ("roles/storage.objectViewer", {"read", "list"}),
        ("roles/storage.objectCreator", {"create"}),
        ("roles/storage.objectUser", {"read", "list", "create", "replace", "delete"}),
        ("roles/storage.objectAdmin", {"read", "list", "create", "replace", "delete"}),
        ("roles/storage.admin", EVERYTHING),
        ("roles/storage.legacyBucketReader", {"list", "settings"}),
        ("roles/storage.legacyObjectReader", {"read"}),
        ("roles/storage.bucketViewer", {"settings"}),
    ],
)
def test_roles(server: BucketServer, uniform: bool, role: str, allowed: set[str]) -> None:
    server.bucket("b", public=False, uniform=uniform)
    server.put("b", "o", b"old")
    with _someone(server, roles={"b": role}) as client:
        assert _allowed(client.bucket("b")) == allowed


@pytest.mark.parametrize("uniform", [True, False])
@pytest.mark.parametrize(
    ("project", "allowed"),
    [
        ("owner", EVERYTHING),
        ("editor", EVERYTHING),
        ("viewer", {"read", "list", "settings"}),
        ("", set()),
    ],
)
def test_basic_roles_in_the_project(
    server: BucketServer, uniform: bool, project: str, allowed: set[str]
) -> None:
    server.bucket("b", public=False, uniform=uniform)
    server.put("b", "o", b"old")
    with _someone(server, project=project) as client:
        assert _allowed(client.bucket("b")) == allowed


@pytest.mark.parametrize(
    ("acl", "public", "signed_in", "viewer"),
    [
        (None, False, False, True),
        ("projectPrivate", False, False, True),
        ("publicRead", True, True, True),
        ("authenticatedRead", False, True, True),
        ("private", False, False, False),
    ],
)
def test_predefined_acls_decide_who_reads(
    server: BucketServer,
    owner: Any,
    anonymous: Any,
    acl: str | None,
    public: bool,
    signed_in: bool,
    viewer: bool,
) -> None:
    server.bucket("b", public=False)
    owner.bucket("b").blob("o").upload_from_string(b"data", predefined_acl=acl)
    with (
        _someone(server) as someone,
        server.client(server.token("viewer@example.com", project="viewer")) as looker,
    ):
        for client, reads in ((anonymous, public), (someone, signed_in), (looker, viewer)):
            assert ("read" in _allowed(client.bucket("b"))) == reads


def test_the_public_form_reads_what_is_public(server: BucketServer, owner: Any) -> None:
    server.bucket("b", public=False)
    blob = owner.bucket("b").blob("o")
    blob.upload_from_string(b"data")
    url = f"{server.endpoint}/b/o"
    assert requests.get(url, timeout=20).status_code == 403
    blob.make_public()
    assert requests.get(url, timeout=20).content == b"data"
    blob.make_private()
    assert requests.get(url, timeout=20).status_code == 403
    headers = {"Authorization": f"Bearer {server.owner}"}
    assert requests.get(url, headers=headers, timeout=20).content == b"data"


def test_entries_of_acls(server: BucketServer, owner: Any) -> None:
    server.bucket("b", public=False)
    server.put("b", "o", b"")
    bucket = owner.bucket("b")
    for acl in (bucket.blob("o").acl, bucket.acl, bucket.default_object_acl):
        acl.reload()
        before = len(list(acl))
        acl.user(EMAIL).grant_read()
        acl.save()
        acl.reload()
        assert {"entity": f"user-{EMAIL}", "role": "READER"} in list(acl)
        assert len(list(acl)) == before + 1
    later = bucket.blob("later")
    later.upload_from_string(b"")
    with _someone(server) as client:
        assert client.bucket("b").blob("o").download_as_bytes() == b""
        assert [blob.name for blob in client.list_blobs("b")] == ["later", "o"]
        assert client.bucket("b").blob("later").download_as_bytes() == b""


def test_one_entry_of_an_acl(server: BucketServer) -> None:
    server.put("b", "o", b"")
    url = f"{server.endpoint}/storage/v1/b/b/o/o/acl"
    headers = {"Authorization": f"Bearer {server.owner}"}
    steps: list[tuple[str, str, dict[str, str] | None, int]] = [
        ("GET", "/allUsers", None, 404),
        ("POST", "", {"entity": "allUsers", "role": "READER"}, 200),
        ("GET", "/allUsers", None, 200),
        ("PUT", "/allUsers", {"role": "OWNER"}, 200),
        ("POST", "", {"entity": "nobody", "role": "READER"}, 400),
        ("POST", "", {"entity": "allUsers", "role": "WRITER"}, 400),
        ("DELETE", "/allUsers", None, 204),
        ("DELETE", "/allUsers", None, 404),
    ]
    for method, path, body, status in steps:
        answer = requests.request(method, url + path, json=body, headers=headers, timeout=20)
        assert answer.status_code == status, (method, path, answer.text)


def _make_public(bucket: Any) -> None:
    bucket.blob("o").make_public()


def _upload_public(bucket: Any) -> None:
    bucket.blob("p").upload_from_string(b"", predefined_acl="publicRead", retry=None)


def _grant_public(bucket: Any) -> None:
    policy = bucket.get_iam_policy()
    policy["roles/storage.objectViewer"] = {"allUsers"}
    bucket.set_iam_policy(policy, retry=None)


@pytest.mark.parametrize("action", [_make_public, _upload_public])
def test_uniform_access_knows_no_acls(server: BucketServer, owner: Any, action: Action) -> None:
    server.bucket("b", public=False, uniform=True)
    server.put("b", "o", b"")
    with pytest.raises(exceptions.BadRequest, match="uniform bucket-level access"):
        action(owner.bucket("b"))
    assert server.names("b") == ["o"]


def test_uniform_access_turns_acls_off(server: BucketServer, owner: Any, anonymous: Any) -> None:
    server.bucket("b", public=False)
    server.put("b", "o", b"data", acl="publicRead")
    assert anonymous.bucket("b").blob("o").download_as_bytes() == b"data"
    bucket = owner.get_bucket("b")
    bucket.iam_configuration.uniform_bucket_level_access_enabled = True
    bucket.patch()
    with pytest.raises(GoogleAuthError):
        anonymous.bucket("b").blob("o").download_as_bytes(retry=None)


@pytest.mark.parametrize("action", [_make_public, _upload_public, _grant_public])
def test_public_access_can_be_prevented(
    server: BucketServer, owner: Any, anonymous: Any, action: Action
) -> None:
    server.bucket("b", public=True)
    server.put("b", "o", b"data")
    bucket = owner.get_bucket("b")
    bucket.iam_configuration.public_access_prevention = "enforced"
    bucket.patch()
    assert owner.get_bucket("b").iam_configuration.public_access_prevention == "enforced"
    with pytest.raises(exceptions.PreconditionFailed):
        action(owner.bucket("b"))
    with pytest.raises(GoogleAuthError):
        anonymous.bucket("b").blob("o").download_as_bytes(retry=None)


def test_a_policy_is_changed_once(server: BucketServer, owner: Any, anonymous: Any) -> None:
    server.bucket("b", public=False, uniform=True)
    server.put("b", "o", b"data")
    bucket = owner.bucket("b")
    policy, stale = bucket.get_iam_policy(), bucket.get_iam_policy()
    policy["roles/storage.objectViewer"] = {"allUsers"}
    bucket.set_iam_policy(policy)
    assert anonymous.bucket("b").blob("o").download_as_bytes() == b"data"
    with pytest.raises(exceptions.PreconditionFailed):
        bucket.set_iam_policy(stale, retry=None)
    policy = bucket.get_iam_policy()
    policy["roles/of.nothing"] = {"allUsers"}
    with pytest.raises(exceptions.BadRequest):
        bucket.set_iam_policy(policy, retry=None)


def test_permissions_can_be_asked_for(server: BucketServer) -> None:
    server.bucket("b", public=False)
    asked = ["storage.objects.create", "storage.objects.delete", "storage.objects.get"]
    with _someone(server, roles={"b": "roles/storage.objectCreator"}) as client:
        assert client.bucket("b").test_iam_permissions(asked) == asked[:1]


def test_errors_tell_who_and_what(server: BucketServer) -> None:
    server.bucket("b", public=False)
    url = f"{server.endpoint}/storage/v1/b/b/o/none"
    token = server.token(EMAIL)
    for headers, status, reason in (
        ({}, 401, "required"),
        ({"Authorization": f"Bearer {token}"}, 403, "forbidden"),
        ({"Authorization": "Bearer unknown"}, 401, "authError"),
        ({"Authorization": "Basic abc"}, 401, "authError"),
    ):
        answer = requests.get(url, headers=headers, timeout=20)
        error = answer.json()["error"]
        assert (answer.status_code, error["errors"][0]["reason"]) == (status, reason)
        assert server.requests[-1].identity.email == (EMAIL if status == 403 else "")


def test_a_wrong_token_is_refused(server: BucketServer) -> None:
    server.put("b", "o", b"")
    with server.client("wrong") as client, pytest.raises(RefreshError):
        client.bucket("b").blob("o").download_as_bytes(retry=None)


def test_groups_and_domains_are_members(server: BucketServer) -> None:
    server.bucket("group", public=False, grants={"group:lab@example.com": _VIEWER})
    server.bucket("domain", public=False, grants={"domain:example.com": _VIEWER})
    server.bucket("signed-in", public=False, grants={"allAuthenticatedUsers": _VIEWER})
    for bucket in ("group", "domain", "signed-in"):
        server.put(bucket, "o", b"old")
    with _someone(server, groups=["lab@example.com"]) as client:
        for bucket in ("group", "domain", "signed-in"):
            assert _allowed(client.bucket(bucket)) == {"read", "list"}
    outsider = server.token("someone@example.net")
    with server.client(outsider) as client:
        assert [b for b in ("group", "domain", "signed-in") if _allowed(client.bucket(b))] == [
            "signed-in"
        ]
