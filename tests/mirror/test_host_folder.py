"""A mirror's folder on another host: what a publisher leaves there, whatever happens to it."""

from __future__ import annotations

import hashlib
import os
import stat
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from crosprov import host_folder
from crosprov.errors import HostSilent
from crosprov.host_folder import HostFolder
from crosprov.mirror.folder import INCOMING, SENT, Folder, Full
from crosprov.mirror.holding import tidy
from crosprov.mirror.model import Archive, Fault
from crosprov.mirror.record import RECORD
from crosprov.mirror.stores import Altered, Exists, Missing, Store, Unavailable
from crosprov.session import connect
from crosprov.transport.base import Completed, Transport
from crosprov.transport.local import LocalTransport
from tests.support import sshd

PIECE = 4096  # bytes, in place of megabytes
NAMES = ["foo-1.tar.xz", "with blanks 'and\" $quotes`-1", "a%2Fb-2.tar.gz", "-n", "ä" * 70]


@pytest.fixture(autouse=True)
def _in_small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(host_folder, "PIECE", PIECE)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The folder of the mirror."""
    place = tmp_path / "the store"
    place.mkdir()
    return place


def content(number: int, size: int = 3 * PIECE + 17) -> bytes:
    return bytes((index * 7 + number) % 256 for index in range(size))


def written(path: Path, what: bytes) -> tuple[Path, Archive]:
    path.write_bytes(what)
    return path, Archive(path.name, len(what), {"SHA512": hashlib.sha512(what).hexdigest()})


def store_of(folder: Path, transport: Transport | None = None) -> HostFolder:
    return HostFolder("m", str(folder), transport or LocalTransport(sudo=False))


def left(folder: Path) -> list[str]:
    """List what is in the folder for what is on its way."""
    incoming = folder / INCOMING
    return sorted(os.listdir(incoming)) if incoming.exists() else []


@pytest.mark.parametrize("name", NAMES)
def test_a_file_is_published_whole_and_read_again(tmp_path: Path, folder: Path, name: str) -> None:
    file, archive = written(tmp_path / "local", content(1))
    store = store_of(folder)
    assert store.find(name) is None
    stored = store.create(name, file, archive)
    assert (stored.size, dict(stored.hashes)) == (archive.size, dict(archive.hashes))
    assert store.list() == {name: stored.__class__(name, stored.size, stored.mark)}
    assert b"".join(store.read(name)) == content(1)
    assert b"".join(store.read(name, PIECE + 3)) == content(1)[PIECE + 3 :]
    assert stat.S_IMODE((folder / name).stat().st_mode) == 0o444
    assert stat.S_IMODE((folder / INCOMING).stat().st_mode) == 0o700
    assert left(folder) == [] and (folder / name).stat().st_nlink == 1


def test_it_gets_the_owner_of_the_folder(tmp_path: Path, folder: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root gives files away")
    os.chown(folder, 4711, 4712)
    store_of(folder).create("x-1", *written(tmp_path / "local", b"x"))
    for path in (folder / "x-1", folder / INCOMING):
        assert (path.stat().st_uid, path.stat().st_gid) == (4711, 4712)


def test_the_same_content_is_success_and_another_is_refused(tmp_path: Path, folder: Path) -> None:
    store = store_of(folder)
    store.create("x-1", *written(tmp_path / "one", b"one"))
    before = (folder / "x-1").stat()
    store.create("x-1", *written(tmp_path / "one", b"one"))
    with pytest.raises(Exists, match=r"m:.*x-1 is there already, with another content") as refused:
        store.create("x-1", *written(tmp_path / "two", b"two"))
    assert refused.value.stored is not None
    assert refused.value.stored.hashes["SHA512"] == hashlib.sha512(b"one").hexdigest()
    assert (folder / "x-1").read_bytes() == b"one" and left(folder) == []
    assert (folder / "x-1").stat().st_ino == before.st_ino


def test_the_folder_may_be_a_link(tmp_path: Path, folder: Path) -> None:
    (tmp_path / "link").symlink_to(folder)
    store = store_of(tmp_path / "link")
    store.create("x-1", *written(tmp_path / "local", b"x"))
    assert (folder / "x-1").read_bytes() == b"x" and set(store.list()) == {"x-1"}
    (folder / "x-1").chmod(0o644)
    folder.chmod(0o775)
    assert (list(store.writable()), store.mode()) == (["x-1"], 0o775)
    store.strengthen()
    assert (list(store.writable()), store.mode()) == ([], 0o755)


@pytest.mark.parametrize("kind", ["folder", "dangling link"])
def test_what_is_no_file_is_left_alone(tmp_path: Path, folder: Path, kind: str) -> None:
    if kind == "folder":
        (folder / "x-1").mkdir()
    else:
        (folder / "x-1").symlink_to("/nonexistent/target")
    with pytest.raises(Exists):
        store_of(folder).create("x-1", *written(tmp_path / "local", b"x"))
    assert not (folder / "x-1").is_file() and left(folder) == []
    assert kind != "folder" or list((folder / "x-1").iterdir()) == []


def test_a_content_that_is_another_on_the_host_is_not_published(
    tmp_path: Path, folder: Path
) -> None:
    file, archive = written(tmp_path / "local", content(1))
    file.write_bytes(content(2))
    with pytest.raises(Altered):
        store_of(folder).create("x-1", file, archive)
    assert os.listdir(folder) == [INCOMING] and left(folder) == []


def test_a_folder_that_is_not_there_is_said(tmp_path: Path) -> None:
    store = store_of(tmp_path / "none")
    with pytest.raises(Fault, match="there is no such folder on the host"):
        store.create("x-1", *written(tmp_path / "local", b"x"))
    with pytest.raises(Missing):
        list(store.read("x-1"))
    assert store.list() == {} and not (tmp_path / "none").exists()
    with pytest.raises(Fault, match="cannot be the name of a file"):
        store.create("../x", *written(tmp_path / "local", b"x"))


def test_of_fifty_publishers_one_wins(tmp_path: Path, folder: Path) -> None:
    files = [written(tmp_path / f"local-{number}", content(number % 5)) for number in range(50)]
    transport, go = LocalTransport(sudo=False), threading.Barrier(50)
    won: list[int] = []
    lost: list[int] = []

    def publish(number: int) -> None:
        store: Store = store_of(folder, transport)
        go.wait()
        try:
            store.create("x-1", *files[number])
        except Exists:
            lost.append(number % 5)
        else:
            won.append(number % 5)

    threads = [threading.Thread(target=publish, args=(number,)) for number in range(50)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(won)) == 1 and len(won) == 10 and len(lost) == 40
    assert (folder / "x-1").read_bytes() == content(won[0]) and left(folder) == []


class Breaking(LocalTransport):
    """A connection that goes away before or after a command, or in the middle of it."""

    def __init__(self, at: int, how: str) -> None:
        super().__init__(sudo=False)
        self._left = at
        self._how = how

    def run(self, command: str, *, stdin: bytes = b"", **rest: object) -> Completed:
        self._left -= 1
        if self._left >= 0:
            return super().run(command, stdin=stdin)
        if self._how == "after":
            super().run(command, stdin=stdin)
        elif self._how == "within" and stdin:
            super().run(command, stdin=stdin[: len(stdin) // 2])
        raise HostSilent("m", "The connection to m went away during a command.")


@pytest.mark.parametrize("how", ["before", "within", "after"])
@pytest.mark.parametrize("at", range(6))
def test_a_publisher_that_is_cut_off_leaves_all_or_nothing(
    tmp_path: Path, folder: Path, at: int, how: str
) -> None:
    file, archive = written(tmp_path / "local", content(1))
    with pytest.raises(Unavailable, match="went away"):
        store_of(folder, Breaking(at, how)).create("x-1", file, archive)
    if (folder / "x-1").exists():
        assert (folder / "x-1").read_bytes() == content(1)
    else:
        assert store_of(folder).list() == {}
    store_of(folder).create("x-1", file, archive)
    assert (folder / "x-1").read_bytes() == content(1)


class Answering(LocalTransport):
    """Answer the commands that send bytes, or those that begin, with a failure."""

    def __init__(self, said: bytes, *, sending: bool) -> None:
        super().__init__(sudo=False)
        self._said = said
        self._sending = sending

    def run(self, command: str, *, stdin: bytes = b"", **rest: object) -> Completed:
        if bool(stdin) == self._sending and "rm -f" not in command:
            super().run(command, stdin=stdin[: len(stdin) // 2])
            return Completed(1, b"", self._said)
        return super().run(command, stdin=stdin)


def test_a_full_disk_gets_its_space_back_at_once(tmp_path: Path, folder: Path) -> None:
    full = Answering(b"cat: write error: No space left on device\n", sending=True)
    with pytest.raises(Full, match="no space left for x-1"):
        store_of(folder, full).create("x-1", *written(tmp_path / "local", content(1)))
    assert left(folder) == [] and not (folder / "x-1").exists()


def test_an_account_without_the_rights_is_told_how_to_get_them(
    tmp_path: Path, folder: Path
) -> None:
    said = b"chown: changing ownership of 'x': Operation not permitted\n"
    with pytest.raises(Fault, match="not permitted") as caught:
        store_of(folder, Answering(said, sending=False)).create(
            "x-1", *written(tmp_path / "local", content(1))
        )
    assert caught.value.hint == "log in as root, or set ssh.sudo: true"


@pytest.mark.parametrize("name", NAMES)
def test_what_is_published_is_written_down_once_and_outlasts_damage(
    tmp_path: Path, folder: Path, name: str
) -> None:
    store = store_of(folder)
    file, archive = written(tmp_path / "local", content(1))
    store.create(name, file, archive)
    store.create(name, file, archive)
    store.remember(replace(archive, name=name))
    record = folder / RECORD
    assert record.stat().st_mode & 0o777 == 0o600
    assert len([line for line in record.read_bytes().split(b"\n") if line]) == 1
    with record.open("ab") as damaged:
        damaged.write(b"\xff\n17 12 SHA5")
    store.create("y-1", *written(tmp_path / "other", content(2)))
    for found in (store.published(), Folder(str(folder)).published()):
        assert found.keys() == {name, "y-1"}
        assert found[name].by_algorithm() == dict(archive.hashes)
    with pytest.raises(Exists):
        store.create(name, *written(tmp_path / "third", content(3)))
    assert store.published()[name].by_algorithm() == dict(archive.hashes)


def test_what_a_dead_publisher_left_goes_after_a_day(tmp_path: Path, folder: Path) -> None:
    incoming = folder / INCOMING
    incoming.mkdir()
    for name, age in ((f"{SENT}old", 2 * 86_400), (f"{SENT}new", 60), ("foo.part", 2 * 86_400)):
        (incoming / name).touch()
        os.utime(incoming / name, (time.time() - age,) * 2)
    (incoming / f"{SENT}other").touch()
    os.utime(incoming / f"{SENT}other", (0, 0))
    tidy(Folder(str(folder)).incoming, {"foo.part"})
    assert left(folder) == ["foo.part", f"{SENT}new"]
    (incoming / f"{SENT}other").touch()
    os.utime(incoming / f"{SENT}other", (0, 0))
    store_of(folder).create("x-1", *written(tmp_path / "local", b"x"))
    assert left(folder) == ["foo.part", f"{SENT}new"]


@pytest.fixture
def server(tmp_path: Path) -> Iterator[sshd.Sshd]:
    """A real SSH server of this machine."""
    if not sshd.installed():
        pytest.skip(sshd.MISSING)
    with sshd.sshd(tmp_path / "sshd") as running:
        yield running


def test_bytes_of_any_kind_pass_ssh(tmp_path: Path, folder: Path, server: sshd.Sshd) -> None:
    everything = bytes(range(256)) * 200
    transport = connect(server.target())
    try:
        store = store_of(folder, transport)
        store.create("x-1", *written(tmp_path / "local", everything))
        assert b"".join(store.read("x-1")) == everything
    finally:
        transport.close()
