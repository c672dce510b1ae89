"""Buckets, objects, generations and preconditions of the bucket server, with the real client."""

from __future__ import annotations

import io
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import requests
from google.api_core import exceptions
from google.cloud import storage

from tests.support.bucket import BucketServer

NAMES = ["a", "dir/", "dir/one", "dir/sub/two", "dir/sub/zwei", "dir2/three", "z ü%2F+?#&.txt"]


@pytest.fixture
def listed(server: BucketServer) -> BucketServer:
    for name in reversed(NAMES):
        server.put("b", name, name.encode())
    return server


@pytest.mark.parametrize(
    ("asked", "names", "prefixes"),
    [
        ({}, NAMES, set()),
        ({"prefix": "dir"}, NAMES[1:6], set()),
        ({"prefix": "dir/", "delimiter": "/"}, ["dir/", "dir/one"], {"dir/sub/"}),
        ({"delimiter": "/"}, ["a", "z ü%2F+?#&.txt"], {"dir/", "dir2/"}),
        (
            {"delimiter": "/", "include_trailing_delimiter": True},
            ["a", "dir/", "z ü%2F+?#&.txt"],
            {"dir/", "dir2/"},
        ),
        ({"start_offset": "dir/one", "end_offset": "dir2"}, NAMES[2:5], set()),
        ({"max_results": 2}, NAMES[:2], set()),
        ({"prefix": "none"}, [], set()),
    ],
)
@pytest.mark.parametrize("page", [None, 1, 2, 3])
def test_listing(
    listed: BucketServer,
    anonymous: Any,
    asked: dict[str, Any],
    names: list[str],
    prefixes: set[str],
    page: int | None,
) -> None:
    found = anonymous.list_blobs("b", page_size=page, **asked)
    assert [blob.name for blob in found] == names
    assert found.prefixes == prefixes


def test_a_listing_has_pages_of_a_thousand(server: BucketServer, anonymous: Any) -> None:
    names = [f"{number:05}" for number in range(2001)]
    for name in names:
        server.put("b", name, b"")
    assert [blob.name for blob in anonymous.list_blobs("b")] == names
    assert len(server.requests) == 3


@pytest.mark.parametrize("name", [*NAMES[3:], "/", "//a", "a//b", "o/x/copyTo/b/c", "ä" * 512])
def test_a_name_is_one_name_everywhere(server: BucketServer, owner: Any, name: str) -> None:
    server.bucket("b")
    blob = owner.bucket("b").blob(name)
    blob.upload_from_string(b"content", if_generation_match=0)
    blob.reload()
    assert server.names("b") == [name]
    assert owner.bucket("b").blob(name).download_as_bytes() == b"content"
    blob.delete()
    assert server.names("b") == []


@pytest.mark.parametrize("name", ["ä" * 513, "a\nb", ".", ".."])
def test_names_that_the_service_refuses(server: BucketServer, owner: Any, name: str) -> None:
    server.bucket("b")
    with pytest.raises(exceptions.BadRequest):
        owner.bucket("b").blob(name).upload_from_string(b"x", retry=None)


def test_metadata_counts_its_changes(server: BucketServer, owner: Any) -> None:
    server.put("b", "o", b"abc", metadata={"kept": "1", "gone": "2"}, contentType="text/plain")
    blob = owner.bucket("b").get_blob("o")
    generation = blob.generation
    blob.metadata = {"kept": "1", "gone": None, "new": "3"}
    blob.cache_control = "no-store"
    blob.patch(if_metageneration_match=1)
    again = owner.bucket("b").get_blob("o")
    assert (again.generation, again.metageneration) == (generation, 2)
    assert again.metadata == {"kept": "1", "new": "3"}
    assert (again.cache_control, again.content_type) == ("no-store", "text/plain")
    with pytest.raises(exceptions.PreconditionFailed):
        blob.patch(if_metageneration_match=1)
    assert (again.md5_hash, again.crc32c, again.size) == (
        "kAFQmDzST7DWlj99KOF/cg==",
        "Nks/tw==",
        3,
    )


Action = Callable[[Any, dict[str, Any]], Any]
ACTIONS: dict[str, Action] = {
    "upload": lambda blob, when: blob.upload_from_string(b"new", retry=None, **when),
    "resumable": lambda blob, when: _resumable(blob, when),
    "reload": lambda blob, when: blob.reload(retry=None, **when),
    "download": lambda blob, when: blob.download_as_bytes(retry=None, **when),
    "patch": lambda blob, when: _patch(blob, when),
    "update": lambda blob, when: blob.update(retry=None, **when),
    "delete": lambda blob, when: blob.delete(retry=None, **when),
    "copy": lambda blob, when: blob.bucket.copy_blob(
        blob.bucket.blob("source"), blob.bucket, blob.name, retry=None, **when
    ),
    "rewrite": lambda blob, when: blob.rewrite(blob.bucket.blob("source"), retry=None, **when),
    "compose": lambda blob, when: blob.compose([blob.bucket.blob("source")], retry=None, **when),
}


def _patch(blob: Any, when: dict[str, Any]) -> None:
    blob.cache_control = "no-store"
    blob.patch(retry=None, **when)


def _resumable(blob: Any, when: dict[str, Any]) -> None:
    blob.chunk_size = 256 * 1024
    blob.upload_from_file(io.BytesIO(b"new"), retry=None, **when)


@pytest.mark.parametrize("action", ACTIONS)
@pytest.mark.parametrize(
    ("key", "holds"),
    [
        ("if_generation_match", True),
        ("if_generation_match", False),
        ("if_metageneration_match", True),
        ("if_metageneration_match", False),
    ],
)
def test_preconditions_of_every_verb(
    server: BucketServer, owner: Any, action: str, key: str, holds: bool
) -> None:
    server.put("b", "source", b"source")
    there = server.put("b", "o", b"old")
    value = there.generation if "meta" not in key else there.metageneration
    when = {key: value if holds else value + 7}
    if holds:
        ACTIONS[action](owner.bucket("b").blob("o"), when)
        return
    with pytest.raises(exceptions.PreconditionFailed):
        ACTIONS[action](owner.bucket("b").blob("o"), when)
    assert server.read("b", "o") == b"old"


@pytest.mark.parametrize("action", ["upload", "resumable", "copy", "rewrite", "compose"])
def test_create_only(server: BucketServer, owner: Any, action: str) -> None:
    server.put("b", "source", b"source")
    blob = owner.bucket("b").blob("o")
    ACTIONS[action](blob, {"if_generation_match": 0})
    made = server.read("b", "o")
    assert made is not None
    with pytest.raises(exceptions.PreconditionFailed):
        ACTIONS[action](owner.bucket("b").blob("o"), {"if_generation_match": 0})
    assert server.read("b", "o") == made


def test_what_did_not_change_is_not_read_again(server: BucketServer, owner: Any) -> None:
    version = server.put("b", "o", b"old")
    blob = owner.bucket("b").blob("o")
    with pytest.raises(exceptions.NotModified):
        blob.reload(if_generation_not_match=version.generation, retry=None)
    with pytest.raises(exceptions.NotModified):
        blob.reload(if_etag_not_match=version.etag, retry=None)


@pytest.mark.parametrize("resumable", [False, True])
def test_one_of_fifty_creators_wins(server: BucketServer, owner: Any, resumable: bool) -> None:
    server.bucket("b")

    def create(number: int) -> bool:
        blob = owner.bucket("b").blob("o", chunk_size=256 * 1024)
        data, size = b"%d" % number, None if resumable else 2
        try:
            blob.upload_from_file(io.BytesIO(data), size=size, if_generation_match=0, retry=None)
        except exceptions.PreconditionFailed:
            return False
        return True

    with ThreadPoolExecutor(50) as pool:
        won = list(pool.map(create, range(10, 60)))
    assert won.count(True) == 1
    assert server.read("b", "o") == b"%d" % (10 + won.index(True))


def test_replaced_and_deleted_generations_are_kept(server: BucketServer, owner: Any) -> None:
    server.bucket("b", versioned=True)
    blob = owner.bucket("b").blob("o")
    for data in (b"one", b"two"):
        blob.upload_from_string(data)
    blob = owner.bucket("b").blob("o")
    blob.delete()
    assert not blob.exists()
    kept = list(owner.list_blobs("b", versions=True, page_size=1))
    assert [one.download_as_bytes() for one in kept] == [b"one", b"two"]
    assert all(one.time_deleted for one in kept)
    assert list(owner.list_blobs("b")) == []
    old = owner.bucket("b").blob("o", generation=kept[0].generation)
    owner.bucket("b").copy_blob(
        old, owner.bucket("b"), "o", source_generation=old.generation, if_generation_match=0
    )
    assert server.read("b", "o") == b"one"
    old.delete()
    assert len(list(owner.list_blobs("b", versions=True))) == 2


def test_a_replaced_generation_is_gone_without_versioning(server: BucketServer, owner: Any) -> None:
    first = server.put("b", "o", b"one")
    server.put("b", "o", b"two")
    assert not owner.bucket("b").blob("o", generation=first.generation).exists()
    assert not first.content.path.exists()


def test_compose_joins_in_order(server: BucketServer, owner: Any) -> None:
    parts = [server.put("b", name, name.encode() * 3) for name in ("one", "two")]
    blob = owner.bucket("b").blob("whole")
    blob.content_type = "text/plain"
    blob.compose([owner.bucket("b").blob(part.name) for part in parts])
    blob.reload()
    assert blob.download_as_bytes() == b"oneoneonetwotwotwo"
    assert (blob.md5_hash, blob.component_count, blob.content_type) == (None, 2, "text/plain")
    with pytest.raises(exceptions.PreconditionFailed):
        blob.compose([owner.bucket("b").blob("one")], if_source_generation_match=[7], retry=None)


def test_the_client_finds_the_server_by_the_environment(
    server: BucketServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.bucket("b", grants={"allUsers": "roles/storage.objectAdmin"})
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", server.endpoint)
    monkeypatch.setenv("DISABLE_GCS_PYTHON_CLIENT_OTEL_BUCKET_METADATA", "true")
    with storage.Client() as client:
        client.bucket("b").blob("o").upload_from_string(b"data")
        assert client.bucket("b").blob("o").download_as_bytes() == b"data"


def test_a_copy_has_the_metadata_of_its_source(server: BucketServer, owner: Any) -> None:
    server.put("b", "o", b"data", contentType="text/x", metadata={"a": "b"})
    server.bucket("other")
    copied = owner.bucket("b").copy_blob(owner.bucket("b").blob("o"), owner.bucket("other"))
    assert (copied.content_type, copied.metadata) == ("text/x", {"a": "b"})
    server.delete("b", "o")
    assert copied.download_as_bytes() == b"data"


def test_buckets_come_change_and_go(server: BucketServer, owner: Any) -> None:
    bucket = owner.create_bucket("first-bucket")
    owner.create_bucket("other")
    assert [one.name for one in owner.list_buckets(page_size=1)] == ["first-bucket", "other"]
    with pytest.raises(exceptions.Conflict):
        owner.create_bucket("other", retry=None)
    with pytest.raises(exceptions.BadRequest):
        owner.create_bucket("Bad_Name", retry=None)
    bucket.versioning_enabled = True
    bucket.iam_configuration.uniform_bucket_level_access_enabled = True
    bucket.labels = {"team": "lab"}
    bucket.patch()
    again = owner.get_bucket("first-bucket")
    assert again.versioning_enabled and again.labels == {"team": "lab"}
    assert again.iam_configuration.uniform_bucket_level_access_enabled
    assert again.metageneration == 2
    server.put("other", "o", b"")
    with pytest.raises(exceptions.Conflict):
        owner.bucket("other").delete(retry=None)
    owner.bucket("other").delete(force=True)
    assert owner.lookup_bucket("other") is None


@pytest.mark.parametrize("key", ["temporary_hold", "event_based_hold"])
def test_a_hold_protects(server: BucketServer, owner: Any, key: str) -> None:
    server.put("b", "o", b"old")
    blob = owner.bucket("b").get_blob("o")
    setattr(blob, key, True)
    blob.patch()
    blob = owner.bucket("b").blob("o")
    for action in ("upload", "delete"):
        with pytest.raises(exceptions.Forbidden):
            ACTIONS[action](blob, {})
    assert server.read("b", "o") == b"old"


def test_a_retention_policy_protects(server: BucketServer, owner: Any) -> None:
    server.put("b", "o", b"old")
    bucket = owner.get_bucket("b")
    bucket.retention_period = 3600
    bucket.patch()
    with pytest.raises(exceptions.Forbidden, match="retention"):
        bucket.blob("o").delete(retry=None)


def test_writes_of_one_object_can_be_limited(server: BucketServer, owner: Any) -> None:
    server.bucket("b")
    server.write_interval = 3600.0
    blob = owner.bucket("b").blob("o")
    blob.upload_from_string(b"one", retry=None)
    owner.bucket("b").blob("p").upload_from_string(b"other", retry=None)
    with pytest.raises(exceptions.TooManyRequests):
        blob.upload_from_string(b"two", retry=None)
    assert server.read("b", "o") == b"one"


@pytest.mark.parametrize(
    ("path", "status", "reason"),
    [
        ("/storage/v1/b/none", 404, "notFound"),
        ("/storage/v1/b/b/o/none", 404, "notFound"),
        ("/storage/v1/b/b/o?maxResults=ten", 400, "invalid"),
        ("/storage/v1/b/b/o?pageToken=%2f%2f%2f", 400, "invalid"),
        ("/storage/v1/b/b/o/o?ifGenerationMatch=1", 412, "conditionNotMet"),
        ("/storage/v1/b/b/nothing", 404, "notFound"),
        ("/storage/v1/b/b/o?matchGlob=*", 400, "invalid"),
        ("/storage/v1/b/b/o?softDeleted=true", 400, "invalid"),
        ("/batch/storage/v1", 404, "notFound"),
    ],
)
def test_errors_have_the_form_of_the_api(
    server: BucketServer, owner: Any, path: str, status: int, reason: str
) -> None:
    server.put("b", "o", b"")
    headers = {"Authorization": f"Bearer {server.owner}"}
    answer = requests.get(server.endpoint + path, headers=headers, timeout=20)
    error = answer.json()["error"]
    assert (answer.status_code, error["code"]) == (status, status)
    assert error["errors"][0]["reason"] == reason
    assert error["message"] == error["errors"][0]["message"] != ""
