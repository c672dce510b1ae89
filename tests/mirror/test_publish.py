"""Publishing: what is checked, what is on the mirror afterwards, and who can read it."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from google.cloud.storage.blob import Blob

from crosprov.mirror.config import of_place
from crosprov.mirror.digests import hasher
from crosprov.mirror.mirrors import Mirror
from crosprov.mirror.model import Archive, Fault, Need, Needs, Owner, Place, Uri
from crosprov.mirror.publish import Objections, Published, Taken, publish
from crosprov.mirror.stores import Store, Stored
from tests.mirror.publishing import CREATOR, NAME, archive, bucket_mirror, store_of
from tests.support.bucket import BucketServer, Rule, bucket_server

OBJECT = f"distfiles/{NAME}"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[BucketServer]:
    with bucket_server(tmp_path / "contents") as running:
        yield running


def _send(server: BucketServer, mirror: Mirror, file: Path, **options: object) -> Published:
    with store_of(server, mirror) as store:
        return publish(file, mirror, store=store, waits=(), **options)  # type: ignore[arg-type]


def _acl(server: BucketServer, mirror: Mirror, name: str = OBJECT) -> dict[str, str]:
    version = server.store.bucket(mirror.bucket).version(name)
    return version.acl


@pytest.mark.parametrize("uniform", [False, True])
@pytest.mark.parametrize("public", [True, False])
def test_what_is_published_is_there_for_those_who_may_read(
    server: BucketServer, tmp_path: Path, public: bool, uniform: bool
) -> None:
    mirror = bucket_mirror(server, public=public, uniform=uniform, open_to_all=public and uniform)
    file = archive(tmp_path)
    found = _send(server, mirror, file)
    assert server.read(mirror.bucket, OBJECT) == file.read_bytes()
    assert not found.was_there and not found.remarks
    assert found.access.startswith("uniform") == uniform
    assert ("allUsers" in _acl(server, mirror)) == (public and not uniform)
    assert found.address == f"{server.endpoint}/{mirror.bucket}/{OBJECT}"
    assert any("without credentials" in proof for proof in found.proofs)
    again = _send(server, mirror, file)
    assert again.was_there and len(server.names(mirror.bucket)) == 1


def test_another_content_is_refused_with_both_digests_and_a_free_name(
    server: BucketServer, tmp_path: Path
) -> None:
    mirror = bucket_mirror(server)
    first, second = archive(tmp_path), archive(_folder(tmp_path, "b"), content=b"other\n")
    _send(server, mirror, first)
    server.put(mirror.bucket, "distfiles/some-project-0.0.1_p1.tar.xz", b"taken as well")
    with pytest.raises(Taken) as raised:
        _send(server, mirror, second)
    assert _md5(first) in str(raised.value) and _md5(second) in str(raised.value)
    assert raised.value.free == "some-project-0.0.1_p2.tar.xz"
    assert raised.value.free in (raised.value.hint or "")
    assert server.read(mirror.bucket, OBJECT) == first.read_bytes()


class Late:
    """A store whose first look at a name is over only when everybody has looked."""

    def __init__(self, store: Store, looked: threading.Barrier) -> None:
        self.place, self.list, self.read, self.create = (
            store.place, store.list, store.read, store.create,
        )  # fmt: skip
        self._store, self._looked = store, looked
        self._first = True

    def find(self, name: str) -> Stored | None:
        found = self._store.find(name)
        if self._first:
            self._first = False
            self._looked.wait(120)
        return found


def test_fifty_race_for_one_name(server: BucketServer, tmp_path: Path) -> None:
    mirror = bucket_mirror(server)
    files = [archive(_folder(tmp_path, str(n)), content=b"%d" % n) for n in range(2)]
    looked = threading.Barrier(50)  # all have seen that the name is free, then all upload
    found: list[tuple[int, Published | Fault]] = []

    def run(number: int) -> None:
        with store_of(server, mirror, server.owner) as store:
            late = Late(store, looked)
            try:
                outcome: Published | Fault = publish(
                    files[number % 2], mirror, store=late, waits=()
                )
            except Fault as fault:
                outcome = fault
            found.append((number % 2, outcome))

    threads = [threading.Thread(target=run, args=(number,)) for number in range(50)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    kept = server.read(mirror.bucket, OBJECT)
    winner = [file.read_bytes() for file in files].index(kept or b"")
    assert len(found) == 50
    assert {which for which, outcome in found if isinstance(outcome, Published)} == {winner}
    assert sum(isinstance(outcome, Published) for _, outcome in found) == 25
    assert all(isinstance(one, Taken) for which, one in found if which != winner)
    assert len(server.store.bucket(mirror.bucket).objects[OBJECT]) == 1
    assert sum(r.method == "POST" and r.path.startswith("/upload/") for r in server.requests) == 50


def test_a_lost_answer_is_no_failure(server: BucketServer, tmp_path: Path) -> None:
    mirror = bucket_mirror(server)
    file = archive(tmp_path)
    armed = server.fail(Rule(method="POST", path="^/upload/", cut=0, reset=True))
    found = _send(server, mirror, file)
    assert armed.hit == 1
    assert found.archive.size == len(server.read(mirror.bucket, OBJECT) or b"")


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        (Rule(method="POST", path="^/upload/", status=403), "403"),
        (Rule(method="POST", path="^/upload/", status=401, times=None), "credentials"),
    ],
)
def test_a_refused_upload_leaves_nothing(
    server: BucketServer, tmp_path: Path, rule: Rule, expected: str
) -> None:
    mirror = bucket_mirror(server)
    server.fail(rule)
    with pytest.raises(Fault, match=expected):
        _send(server, mirror, archive(tmp_path))
    assert server.names(mirror.bucket) == []


def test_roles_that_may_not_create(server: BucketServer, tmp_path: Path) -> None:
    mirror = bucket_mirror(server)
    token = server.token("reader@example.com", roles={mirror.bucket: "roles/storage.objectViewer"})
    with store_of(server, mirror, token) as store, pytest.raises(Fault, match="403"):
        publish(archive(tmp_path), mirror, store=store, waits=())
    with (
        store_of(server, mirror, "no such token") as store,
        pytest.raises(Fault, match="redential"),
    ):
        publish(archive(_folder(tmp_path, "b")), mirror, store=store, waits=())
    assert server.names(mirror.bucket) == []


def test_a_private_file_never_gets_where_everybody_reads(
    server: BucketServer, tmp_path: Path
) -> None:
    mirror = bucket_mirror(server, public=False, uniform=True, open_to_all=True)
    with pytest.raises(Fault, match="everybody can read"):
        _send(server, mirror, archive(tmp_path))
    assert server.names(mirror.bucket) == []


def test_a_public_acl_on_a_private_mirror_is_a_mistake() -> None:
    with pytest.raises(Fault, match="private.*public-read"):
        Mirror("m", "gs://m/distfiles", False, acl="public-read")


def test_a_leak_that_is_there_already_is_found(server: BucketServer, tmp_path: Path) -> None:
    mirror = bucket_mirror(server, public=False)
    file = archive(tmp_path)
    server.put(mirror.bucket, OBJECT, file.read_bytes(), acl="publicRead")
    with pytest.raises(Fault, match="everybody can read it") as raised:
        _send(server, mirror, file)
    assert "mirror acl" in (raised.value.hint or "")


def test_a_file_that_the_public_does_not_get_is_no_success(
    server: BucketServer, tmp_path: Path
) -> None:
    mirror = bucket_mirror(server)
    file = archive(tmp_path)
    server.put(mirror.bucket, OBJECT, file.read_bytes(), acl="projectPrivate")
    with pytest.raises(Fault, match="users do not get it") as raised:
        _send(server, mirror, file)
    assert "mirror acl" in (raised.value.hint or "")


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        (Rule(method="GET", path=f"^/local-public/{OBJECT}$", html=True), "sign in"),
        (Rule(method="GET", path=f"^/local-public/{OBJECT}$", corrupt=3), "another content"),
        (Rule(method="GET", path=f"^/local-public/{OBJECT}$", cut=9), "does not answer"),
        (Rule(method="GET", path=f"^/local-public/{OBJECT}$", status=404), "404"),
    ],
)
def test_reading_back_sees_what_users_see(
    server: BucketServer, tmp_path: Path, rule: Rule, expected: str
) -> None:
    mirror = bucket_mirror(server)
    server.fail(rule)
    with pytest.raises(Fault) as raised:
        _send(server, mirror, archive(tmp_path))
    assert expected in f"{raised.value} {raised.value.hint}"


_MEDIA = f"/local-private/o/{OBJECT}$"


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        (Rule(path=_MEDIA, query="alt=media", corrupt=3, times=None), "gives another content"),
        (Rule(path=_MEDIA, query="alt=media", status=404, times=None), "download"),
    ],
)
def test_a_private_file_is_read_back_with_credentials(
    server: BucketServer, tmp_path: Path, rule: Rule, expected: str
) -> None:
    mirror = bucket_mirror(server, public=False)
    file = archive(tmp_path)
    armed = server.fail(rule)
    with pytest.raises(Fault) as raised:
        _send(server, mirror, file)
    assert expected in str(raised.value) and armed.hit
    armed.release()
    assert server.read(mirror.bucket, OBJECT) == file.read_bytes(), "it is there, as it was sent"
    found = _send(server, mirror, file)
    assert found.was_there and "gives the file to those who may read it" in found.proofs[0]
    media = [one for one in server.downloads(mirror.bucket, OBJECT) if "alt" in one.query]
    assert {one.identity.email for one in media} == {"dev@example.com"} and len(media) > armed.hit


def test_an_address_that_is_busy_is_asked_again(server: BucketServer, tmp_path: Path) -> None:
    mirror = bucket_mirror(server)
    armed = server.fail(Rule(method="GET", path=f"^/local-public/{OBJECT}$", status=503))
    with store_of(server, mirror) as store:
        found = publish(archive(tmp_path), mirror, store=store, waits=(0.01,))
    assert armed.hit == 1 and found.proofs


def test_a_file_that_changes_is_not_published(
    server: BucketServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mirror = bucket_mirror(server)
    file = archive(tmp_path)
    with store_of(server, mirror) as store:
        really = store.create

        def late(name: str, content: Path, described: Archive) -> object:
            content.write_bytes(b"another content by now")
            return really(name, content, described)

        monkeypatch.setattr(store, "create", late)
        with pytest.raises(Fault):
            publish(file, mirror, store=store, waits=())
    assert server.names(mirror.bucket) == []


@pytest.mark.parametrize("size", [100, 20 << 20])
def test_a_file_that_changes_while_it_is_uploaded(
    server: BucketServer, tmp_path: Path, size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    mirror = bucket_mirror(server)
    file = tmp_path / "some-blob-1.0.bin"
    file.write_bytes(b"\0" * size)
    really = Blob.upload_from_file

    def late(blob: Blob, stream: Any, **options: Any) -> Any:
        with file.open("r+b") as other:
            other.seek(-1, os.SEEK_END)
            other.write(b"1")
        return really(blob, stream, **options)

    monkeypatch.setattr(Blob, "upload_from_file", late)
    with pytest.raises(Fault, match="changed while it was uploaded"):
        _send(server, mirror, file, own=False)
    assert server.names(mirror.bucket) == []


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("files.tar.xz", None, "name-generic"),
        ("some-project.tar.xz", None, "name-version"),
        (NAME, b"this is no tarball", "not packed as its name says"),
        ("some-project-0.0.1.zip", b"PK", "own-format"),
        (NAME, "some-other-1/", "own-layout"),
        ("../x-1.tar.xz", None, "cannot be the name"),
        ("layout.conf", None, "cannot be the name"),
        (NAME, b"", "empty"),
    ],
)
def test_what_the_policy_is_against(
    server: BucketServer, tmp_path: Path, name: str, content: bytes | str | None, expected: str
) -> None:
    mirror = bucket_mirror(server)
    file = archive(tmp_path, "some-other-1.tar.xz") if isinstance(content, str) else None
    if file is None and content is None:
        file = archive(tmp_path)
    elif file is None:
        file = tmp_path / "file"
        file.write_bytes(content if isinstance(content, bytes) else b"")
    with pytest.raises(Fault, match=expected):
        _send(server, mirror, file, name=name)
    assert server.names(mirror.bucket) == []


def test_a_rule_may_be_set_aside_and_upstream_s_archives_keep_their_form(
    server: BucketServer, tmp_path: Path
) -> None:
    mirror = bucket_mirror(server)
    file = tmp_path / "upstream-1.0.zip"
    file.write_bytes(b"PK of upstream")
    with pytest.raises(Objections) as raised:
        _send(server, mirror, file)
    rules = [finding.rule for finding in raised.value.findings]
    assert _send(server, mirror, file, allowed=rules).proofs
    assert _send(server, mirror, file, own=False).was_there


@pytest.mark.parametrize("own", [None, True, False])
def test_an_archive_that_is_cut_short_is_refused_whoever_made_it(
    server: BucketServer, tmp_path: Path, own: bool | None
) -> None:
    mirror = bucket_mirror(server)
    file = archive(tmp_path)
    file.write_bytes(file.read_bytes()[:-20])
    with pytest.raises(Fault, match="it ends before its content does") as caught:
        _send(server, mirror, file, own=own, allowed=["own-layout"])
    assert "--foreign" not in str(caught.value.hint)
    assert server.names(mirror.bucket) == []


@pytest.mark.parametrize("name", ["chromeos-mirror/gentoo", "chromeos-binaries"])
def test_mirrors_that_nobody_fills_by_hand(tmp_path: Path, name: str) -> None:
    mirror = of_place(name).mirror()
    with pytest.raises(Fault, match="is filled by"):
        publish(archive(tmp_path), mirror)


def _need(file: Path, *, public: bool = True, wrong: bool = False, weak: bool = False) -> Needs:
    content = file.read_bytes() + (b"x" if wrong else b"")
    hashes = {}
    for algorithm in ("SHA1",) if weak else ("BLAKE2B", "SHA512"):
        one = hasher(algorithm)
        one.update(content)
        hashes[algorithm] = one.hexdigest()
    uri = Uri(f"gs://chromeos-localmirror/distfiles/{file.name}", False)
    owner = Owner(
        "overlay", "app-misc/some-project", "/t/a.ebuild", "0.0.1", Place("/t/Manifest", 3),
        (uri,), public,
    )  # fmt: skip
    described = Archive(file.name, len(content), hashes)
    return Needs({file.name: Need(described, (owner,))})


@pytest.mark.parametrize(
    ("public", "options", "expected"),
    [
        (True, {"wrong": True}, "is not the file that app-misc/some-project needs"),
        (True, {"weak": True}, "proves nothing"),
        (False, {"public": True}, "is private"),
    ],
)
def test_what_trees_say_of_a_file_counts(
    server: BucketServer, tmp_path: Path, public: bool, options: dict[str, bool], expected: str
) -> None:
    mirror = bucket_mirror(server, public=public)
    file = archive(tmp_path)
    with pytest.raises(Fault, match=expected) as raised:
        _send(server, mirror, file, needs=_need(file, **options))
    assert raised.value.where
    assert server.names(mirror.bucket) == []
    assert _send(server, mirror, file, needs=_need(file, public=public)).proofs


def test_a_folder_is_a_mirror_too(tmp_path: Path) -> None:
    mirror = Mirror("local", str(tmp_path / "store"), True)
    file = archive(tmp_path)
    found = publish(file, mirror)
    kept = tmp_path / "store" / NAME
    assert kept.read_bytes() == file.read_bytes() and kept.stat().st_mode & 0o222 == 0
    assert found.address is None and found.remarks and found.proofs
    assert publish(file, mirror).was_there
    with pytest.raises(Taken, match="BLAKE2B"):
        publish(archive(_folder(tmp_path, "b"), content=b"other"), mirror)
    assert kept.read_bytes() == file.read_bytes()


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    mirror = Mirror("local", str(tmp_path / "store"), True)
    for path in (tmp_path / "missing-1.tar.xz", tmp_path):
        with pytest.raises(Fault, match="cannot be read"):
            publish(path, mirror, name=NAME)


def _folder(parent: Path, name: str) -> Path:
    folder = parent / name
    folder.mkdir()
    return folder


def _md5(path: Path) -> str:
    one = hasher("MD5")
    one.update(path.read_bytes())
    return one.hexdigest()


def test_the_creator_s_role_alone_is_said_to_be_too_little(
    server: BucketServer, tmp_path: Path
) -> None:
    mirror = bucket_mirror(server)
    with store_of(server, mirror, roles=(CREATOR,)) as store, pytest.raises(Fault, match="403"):
        publish(archive(tmp_path), mirror, store=store, waits=())


def test_a_dry_run_checks_all_and_uploads_nothing(server: BucketServer, tmp_path: Path) -> None:
    mirror = bucket_mirror(server)
    first, second = archive(tmp_path), archive(_folder(tmp_path, "b"), content=b"other\n")
    planned = _send(server, mirror, first, dry_run=True)
    assert (planned.was_there, planned.proofs, planned.remarks) == (False, (), ())
    assert planned.where == f"{mirror.store}/{NAME}" and planned.access == "public-read"
    with pytest.raises(Objections):
        _send(server, mirror, first, name="files.tar.xz", dry_run=True)
    assert server.names(mirror.bucket) == []
    _send(server, mirror, first)
    found = _send(server, mirror, first, dry_run=True)
    assert found.was_there and found.proofs
    with pytest.raises(Taken):
        _send(server, mirror, second, dry_run=True)
    assert server.read(mirror.bucket, OBJECT) == first.read_bytes()


def test_a_dry_run_tells_who_may_not_upload(server: BucketServer, tmp_path: Path) -> None:
    mirror = bucket_mirror(server)
    file = archive(tmp_path)
    with store_of(server, mirror, roles=("roles/storage.objectViewer",)) as store:
        found = publish(file, mirror, store=store, waits=(), dry_run=True)
    assert "may not create files in gs://local-public/distfiles" in found.remarks[0]
    folder = Mirror("local", str(_folder(tmp_path, "store")), True)
    assert publish(file, folder, dry_run=True).remarks == ()
    assert not list((tmp_path / "store").iterdir())


@pytest.mark.parametrize(("own", "told"), [(None, True), (True, False)])
def test_whose_archive_it_is_can_be_said(
    server: BucketServer, tmp_path: Path, own: bool | None, told: bool
) -> None:
    file = tmp_path / "upstream-1.0.zip"
    file.write_bytes(b"PK of upstream")
    with pytest.raises(Objections) as raised:
        _send(server, bucket_mirror(server), file, own=own)
    assert ("--foreign" in (raised.value.hint or "")) == told


def test_a_private_folder_is_read_by_its_own_host(server: BucketServer, tmp_path: Path) -> None:
    file = archive(tmp_path)
    web = bucket_mirror(server)
    server.put(web.bucket, OBJECT, file.read_bytes(), acl="publicRead")
    store = str(_folder(tmp_path, "store"))
    reading = f"{server.endpoint}/{web.bucket}/distfiles"
    found = publish(file, Mirror("local", store, False, reading=reading), waits=())
    assert "to this machine; to whom else" in found.remarks[0] and found.proofs
