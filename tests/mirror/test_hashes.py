"""Every hash of an entry counts: one wrong digit in any of them keeps a file away, or tells."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from crosprov.mirror import hashing
from crosprov.mirror.bucket import Bucket
from crosprov.mirror.digests import LENGTHS, is_computable
from crosprov.mirror.folder import Folder
from crosprov.mirror.ledger import line_of
from crosprov.mirror.model import Archive
from crosprov.mirror.report import Kind
from crosprov.mirror.stores import Altered, Store
from tests.mirror.syncing import World, archive_of, content, need_of, only, world

__all__ = ["world"]

ALGORITHMS = tuple(one for one in LENGTHS if is_computable(one))
DATA = content(3000)


@pytest.fixture(params=[False, True], ids=["one thread", "threads"])
def threads(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Digest as small files are, and as large ones: in a thread for each algorithm."""
    monkeypatch.setattr(hashing, "LARGE", 1 if request.param else 1 << 30)


def test_there_is_something_to_flip() -> None:
    assert {"BLAKE2B", "MD5", "SHA1", "SHA256", "SHA512"} <= {*ALGORITHMS}


def _flipped(archive: Archive, algorithm: str) -> Archive:
    """Change the last digit of one of the hashes."""
    digest = archive.hashes[algorithm]
    other = f"{digest[:-1]}{int(digest[-1], 16) ^ 1:x}"
    return replace(archive, hashes={**archive.hashes, algorithm: other})


@pytest.fixture
def archive() -> Archive:
    """Describe a content with all that can be computed."""
    return archive_of("foo-1.tar", DATA, ALGORITHMS)


@pytest.fixture(params=["folder", "bucket"])
def store(request: pytest.FixtureRequest, world: World) -> Iterator[Store]:
    if request.param == "folder":
        yield world.store
        return
    world.server.bucket("mirror")
    bucket = Bucket("gs://mirror/distfiles", client=world.server.client(world.server.owner))
    yield bucket
    bucket.close()


@pytest.mark.usefixtures("threads")
@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_sync_publishes_nothing_that_one_hash_denies(
    world: World, archive: Archive, algorithm: str
) -> None:
    world.offer("foo-1.tar", DATA)
    failure = only(world.sync(need_of(_flipped(archive, algorithm))))
    assert failure.kind is Kind.CORRUPT and not world.published()
    assert f"its content has {algorithm} {archive.hashes[algorithm]}" in failure.tried[0].sentence


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_store_takes_nothing_that_one_hash_denies(
    store: Store, tmp_path: Path, archive: Archive, algorithm: str
) -> None:
    path = tmp_path / "content"
    path.write_bytes(DATA)
    with pytest.raises(Altered, match=f"the content has {algorithm} "):
        store.create("foo-1.tar", path, _flipped(archive, algorithm))
    assert store.list() == {}
    if isinstance(store, Folder):
        assert not list(store.incoming.glob("copy-*"))


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_sync_and_a_verification_name_what_one_hash_of_the_manifest_denies(
    world: World, archive: Archive, algorithm: str
) -> None:
    world.mirror.mkdir()
    (world.mirror / "foo-1.tar").write_bytes(DATA)
    need = need_of(_flipped(archive, algorithm))
    for report in (world.verify(need), world.sync(need), world.verify(need)):
        failure = only(report)
        assert failure.kind is Kind.IMMUTABLE and report.quarantine == (failure,)
        for hashes in (archive.hashes, need.archive.hashes):
            assert hashes[algorithm] in failure.sentence


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_verification_names_what_one_hash_of_the_ledger_denies(
    world: World, archive: Archive, algorithm: str
) -> None:
    world.offer("foo-1.tar", DATA)
    assert world.sync(need_of(archive)).is_good
    path = world.options.state / "ledger.sqlite"
    with sqlite3.connect(path) as ledger:
        proven = (line_of(_flipped(archive, algorithm).hashes),)
        ledger.execute("UPDATE proofs SET hashes = ?", proven)
    ledger.close()
    failure = only(world.verify())
    assert failure.kind is Kind.REPLACED
    assert f"now has {algorithm} {archive.hashes[algorithm]}" in failure.sentence
