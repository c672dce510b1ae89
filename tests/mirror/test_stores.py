"""Stores: a folder and a bucket keep the same promises."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from crosprov.mirror.bucket import Bucket
from crosprov.mirror.folder import Folder
from crosprov.mirror.google_reach import HINT
from crosprov.mirror.model import Fault
from crosprov.mirror.stores import Altered, Exists, Missing, Store, Unavailable, open_store
from tests.mirror.syncing import archive_of, content
from tests.support.bucket import BucketServer, Rule, bucket_server

NAMES = ("foo-1.tar.xz", "a%2Fb @v1.mod", f"{'n' * 153}.tgz", "größe-1.tar", "#?&.tar")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BucketServer]:
    with bucket_server(tmp_path_factory.mktemp("gs")) as server:
        yield server


@pytest.fixture
def opened(server: BucketServer) -> Iterator[Callable[..., Bucket]]:
    """Open buckets with the owner's credentials, and close them at the end."""
    made: list[Bucket] = []

    def opened(name: str, *, token: str | None = None, **given: Any) -> Bucket:
        client = server.client(token or server.owner)
        given = {"patience": 5.0, **given}
        made.append(Bucket(f"gs://{name}/distfiles", client=client, **given))
        return made[-1]

    yield opened
    for bucket in made:
        bucket.close()


@pytest.fixture(params=["folder", "bucket"])
def store(
    request: pytest.FixtureRequest,
    tmp_path: Path,
    server: BucketServer,
    opened: Callable[..., Bucket],
) -> Store:
    """Give an empty store of each kind."""
    if request.param == "folder":
        return Folder(str(tmp_path / "mirror"))
    name = f"bucket-{abs(hash(request.node.name)) % 10**9}"
    server.bucket(name)
    return opened(name)


def _put(store: Store, folder: Path, name: str, data: bytes) -> Any:
    path = folder / "content"
    path.write_bytes(data)
    return store.create(name, path, archive_of(name, data))


@pytest.mark.parametrize("name", NAMES)
def test_a_file_is_created_found_listed_and_read(store: Store, tmp_path: Path, name: str) -> None:
    data = content(2_000_000)
    stored = _put(store, tmp_path, name, data)
    assert (stored.name, stored.size) == (name, len(data))
    assert store.find(name) == stored and store.list() == {name: stored}
    assert b"".join(store.read(name)) == data
    assert b"".join(store.read(name, 1_999_990)) == data[1_999_990:]
    assert (tmp_path / "content").read_bytes() == data


def test_an_empty_store_has_nothing(store: Store) -> None:
    assert store.list() == {} and store.find("foo-1.tar") is None
    with pytest.raises(Missing):
        list(store.read("foo-1.tar"))


def test_the_same_content_again_is_success(store: Store, tmp_path: Path) -> None:
    first = _put(store, tmp_path, "foo-1.tar", b"one")
    assert _put(store, tmp_path, "foo-1.tar", b"one") == first
    assert store.find("foo-1.tar") == first


@pytest.mark.parametrize("other", [b"two", b"longer than one"])
def test_another_content_is_refused(store: Store, tmp_path: Path, other: bytes) -> None:
    first = _put(store, tmp_path, "foo-1.tar", b"one")
    with pytest.raises(Exists, match="never changes") as caught:
        _put(store, tmp_path, "foo-1.tar", other)
    assert caught.value.stored == first and "foo-1_YYYYMMDD.tar" in str(caught.value.hint)
    assert b"".join(store.read("foo-1.tar")) == b"one"


def test_a_content_that_is_not_its_archive_is_not_published(store: Store, tmp_path: Path) -> None:
    path = tmp_path / "content"
    path.write_bytes(b"two")
    with pytest.raises(Altered, match="instead of"):
        store.create("foo-1.tar", path, archive_of("foo-1.tar", b"one"))
    assert store.find("foo-1.tar") is None


@pytest.mark.parametrize("name", ["../foo", "a/b", ".hidden", "", "layout.conf", "x\ny"])
def test_names_that_would_lead_elsewhere_are_refused(
    store: Store, tmp_path: Path, name: str
) -> None:
    with pytest.raises(Fault, match="cannot be the name"):
        _put(store, tmp_path, name, b"one")
    assert store.list() == {}


def test_of_many_publishers_of_one_name_one_wins(store: Store, tmp_path: Path) -> None:
    contents, ends = [b"one", b"two"], dict[int, str]()

    def publish(number: int) -> None:
        data = contents[number % 2]
        path = tmp_path / f"content-{number}"
        path.write_bytes(data)
        try:
            store.create("foo-1.tar", path, archive_of("foo-1.tar", data))
            ends[number] = "published"
        except Exists:
            ends[number] = "exists"

    threads = [threading.Thread(target=publish, args=(number,)) for number in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    winner = contents.index(b"".join(store.read("foo-1.tar")))
    assert ends == {n: "published" if n % 2 == winner else "exists" for n in range(10)}


def test_folders_and_links_to_nothing_are_no_files(tmp_path: Path) -> None:
    folder = Folder(str(tmp_path / "mirror"))
    _put(folder, tmp_path, "foo-1.tar", b"one")
    (tmp_path / "mirror" / "f8").mkdir()
    (tmp_path / "mirror" / "dangling").symlink_to("nowhere")
    (tmp_path / "mirror" / "link").symlink_to("foo-1.tar")
    assert sorted(folder.list()) == ["foo-1.tar", "link"]
    for name in ("f8", "dangling"):
        with pytest.raises(Exists, match="is no file"):
            _put(folder, tmp_path, name, b"one")
    assert not [path for path in folder.incoming.iterdir() if path.name.startswith("copy-")]


def test_a_mark_changes_with_the_content_however_it_is_hidden(tmp_path: Path) -> None:
    folder = Folder(str(tmp_path / "mirror"))
    first = _put(folder, tmp_path, "foo-1.tar", b"one")
    path = tmp_path / "mirror" / "foo-1.tar"
    before = path.stat()
    path.chmod(0o644)
    path.write_bytes(b"two")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    second = folder.find("foo-1.tar")
    assert second is not None and second.mark != first.mark


@pytest.mark.parametrize(
    ("field", "value"), [("st_ino", 12), ("st_mtime_ns", 34), ("st_ctime_ns", 56), (None, 0)]
)
def test_a_mark_is_of_inode_and_both_times(tmp_path: Path, field: str | None, value: int) -> None:
    folder = Folder(str(tmp_path))
    (tmp_path / "foo-1.tar").write_bytes(b"one")
    status = (tmp_path / "foo-1.tar").stat()
    fields = {name: getattr(status, name) for name in dir(status) if name.startswith("st_")}
    other = SimpleNamespace(**{**fields, **({field: value} if field else {})})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "stat", lambda *_: other)
        found = folder.find("foo-1.tar")
    same = folder.find("foo-1.tar")
    assert found is not None and same is not None
    assert (found.mark == same.mark) == (field is None) and found.size == 3


def test_who_published_a_file_is_told_so_and_who_came_later_is_not(
    store: Store, tmp_path: Path
) -> None:
    assert _put(store, tmp_path, "foo-1.tar", b"one").is_new
    assert not _put(store, tmp_path, "foo-1.tar", b"one").is_new
    found = store.find("foo-1.tar")
    assert found is not None and not found.is_new


def test_a_place_must_be_a_folder_or_a_bucket(tmp_path: Path) -> None:
    with pytest.raises(Fault, match="is no store"):
        open_store("distfiles")
    assert isinstance(open_store(str(tmp_path)), Folder)


@pytest.mark.parametrize(
    ("uniform", "acl", "expected"),
    [
        (False, "public-read", {"allUsers"}),
        (False, "project-private", set()),
        (True, "public-read", None),
        (False, None, set()),
    ],
)
def test_acls_are_given_where_access_is_not_uniform(
    server: BucketServer,
    opened: Callable[..., Bucket],
    tmp_path: Path,
    uniform: bool,
    acl: str | None,
    expected: set[str] | None,
) -> None:
    name = f"acl-{uniform}-{acl}".lower()
    server.bucket(name, public=False, uniform=uniform)
    store = opened(name, acl=acl)
    _put(store, tmp_path, "foo-1.tar", b"one")
    _put(store, tmp_path, "foo-2.tar", b"two")
    assert store.is_uniform is uniform and sorted(store.list()) == ["foo-1.tar", "foo-2.tar"]
    if expected is not None:
        blob = store.client.bucket(name).blob("distfiles/foo-1.tar")
        blob.acl.reload()
        assert {entity["entity"] for entity in blob.acl} & {"allUsers"} == expected


def test_a_lost_answer_is_no_conflict(
    server: BucketServer, opened: Callable[..., Bucket], tmp_path: Path
) -> None:
    server.bucket("lost-answer")
    store = opened("lost-answer")
    armed = server.fail(Rule(method="POST", path="lost-answer", cut=0))
    stored = _put(store, tmp_path, "foo-1.tar", b"one")
    assert armed.hit == 1 and store.find("foo-1.tar") == stored


def test_large_files_go_up_in_pieces(
    server: BucketServer, opened: Callable[..., Bucket], tmp_path: Path
) -> None:
    server.bucket("large-files")
    store = opened("large-files")
    data = content(20_000_000)
    server.fail(Rule(method="PUT", path="/upload/", nth=2, status=503))
    stored = _put(store, tmp_path, "foo-1.tar", data)
    assert stored.hashes["MD5"] == archive_of("foo-1.tar", data, ["MD5"]).hashes["MD5"]
    assert server.read("large-files", "distfiles/foo-1.tar") == data


def test_a_content_that_changes_while_it_is_sent_is_not_published(
    server: BucketServer,
    opened: Callable[..., Bucket],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    server.bucket("changing")
    store = opened("changing")
    path = tmp_path / "content"
    path.write_bytes(b"two")
    archive = archive_of("foo-1.tar", b"one")
    vouched = {**archive_of("", b"one", ["MD5"]).hashes, "CRC32C": "00000000"}
    monkeypatch.setattr(store, "_proven", lambda *_: vouched)
    with pytest.raises(Altered, match="changed while it was uploaded"):
        store.create("foo-1.tar", path, archive)
    assert store.find("foo-1.tar") is None


@pytest.mark.parametrize(
    ("roles", "kind", "said"),
    [
        ({}, Fault, "403"),
        ({"guarded": "roles/storage.objectViewer"}, Fault, "403"),
    ],
)
def test_without_the_right_a_sentence_says_so(
    server: BucketServer,
    opened: Callable[..., Bucket],
    tmp_path: Path,
    roles: dict[str, str],
    kind: type[Fault],
    said: str,
) -> None:
    server.bucket("guarded", public=False)
    store = opened("guarded", token=server.token(f"{len(roles)}@example.com", roles=roles))
    with pytest.raises(kind, match=said):
        _put(store, tmp_path, "foo-1.tar", b"one")


def test_creators_need_no_right_to_replace(
    server: BucketServer, opened: Callable[..., Bucket], tmp_path: Path
) -> None:
    server.bucket("created", public=True)
    token = server.token("c@example.com", roles={"created": "roles/storage.objectCreator"})
    store = opened("created", token=token)
    first = _put(store, tmp_path, "foo-1.tar", b"one")
    assert _put(store, tmp_path, "foo-1.tar", b"one") == first
    with pytest.raises(Exists):
        _put(store, tmp_path, "foo-1.tar", b"two")


def test_an_anonymous_client_is_told_that_it_needs_credentials(
    server: BucketServer, tmp_path: Path
) -> None:
    server.bucket("closed", public=False)
    store = Bucket("gs://closed", endpoint=server.endpoint, patience=1.0)
    try:
        with pytest.raises(Fault) as caught:
            store.list()
        assert "credentials" in str(caught.value.hint)
    finally:
        store.close()


def test_a_service_that_stays_ill_is_unavailable(
    server: BucketServer, opened: Callable[..., Bucket]
) -> None:
    server.bucket("ill")
    armed = server.fail(Rule(path="/b/ill", status=503, times=None))
    try:
        with pytest.raises(Unavailable):
            opened("ill", patience=0).list()
    finally:
        armed.release()


@pytest.mark.parametrize(
    ("endpoint", "reason"),
    [
        ("http://127.0.0.1:1", "127.0.0.1:1 cannot be reached (connection refused)"),
        ("http://nowhere.invalid", "the name nowhere.invalid is not known here"),
    ],
)
def test_a_service_that_is_not_there_is_not_waited_for(endpoint: str, reason: str) -> None:
    store = Bucket("gs://lost", endpoint=endpoint, patience=3600.0)
    try:
        for ask in (store.list, lambda: store.find("foo-1.tar")):
            with pytest.raises(Unavailable) as caught:
                ask()
            assert str(caught.value).endswith(f": {reason}")
            assert caught.value.hint == HINT
    finally:
        store.close()


def test_a_service_that_went_away_is_waited_for(
    server: BucketServer, opened: Callable[..., Bucket]
) -> None:
    server.bucket("ill")
    store = opened("ill", patience=1.0)
    store.list()
    armed = server.fail(Rule(path="/b/ill", status=503, times=None))
    try:
        with pytest.raises(Unavailable, match="answers 503 again and again"):
            store.list()
    finally:
        armed.release()


def test_listings_come_in_pages(server: BucketServer, opened: Callable[..., Bucket]) -> None:
    for number in range(1100):
        server.put("paged", f"distfiles/foo-{number}", b"x")
    server.put("paged", "distfiles/deeper/foo", b"x")
    assert len(opened("paged").list()) == 1100
