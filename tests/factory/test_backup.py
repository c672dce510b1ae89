"""A backup holds the state of a factory server as it was at one moment, and nothing torn."""

from __future__ import annotations

import sqlite3
import stat
import subprocess
import tarfile
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from crosprov import locks
from crosprov.errors import CrosprovError, HostBusy, HostError, HostSilent, UsageError
from crosprov.factory import archive
from crosprov.factory.backup import back_up
from crosprov.factory.manifest import Manifest
from crosprov.transport.base import Completed, Sink
from tests.factory.servers import VERSION, Server

DATABASE = "dome/db.sqlite3"


@pytest.fixture
def server(tmp_path: Path) -> Server:
    return Server.at(tmp_path).set_up("eve", "kevin")


def member(path: Path, name: str) -> bytes:
    with tarfile.open(path) as file:
        found = file.extractfile(name)
        assert found is not None
        return found.read()


def test_it_says_what_it_holds(server: Server, tmp_path: Path) -> None:
    out = tmp_path / "backup.tar"
    known = back_up(server.place(), out)
    assert stat.S_IMODE(out.stat().st_mode) == 0o600
    assert (known.host, known.image_version, known.script_version) == (
        "factory1", VERSION, VERSION,
    )  # fmt: skip
    assert [(one.name, one.enabled, one.port) for one in known.projects] == [
        ("eve", True, 8080), ("kevin", True, 8100),
    ]  # fmt: skip
    assert archive.check(out) == known
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == ["backup.tar"]
    assert not (server.machine.state_dir / "backup").exists()
    assert not (server.machine.state_dir / "lock").exists()


@pytest.mark.parametrize("logs", [False, True])
def test_logs_come_along_when_asked_and_what_is_under_way_never(
    server: Server, tmp_path: Path, logs: bool
) -> None:
    entries = back_up(server.place(), tmp_path / "backup.tar", logs=logs).entries
    assert ("dome/log/dome.log" in entries) is logs
    assert ("umpire/eve/log/httpd_access.log" in entries) is logs
    assert not [
        path for path in entries if path.startswith(("umpire/eve/run/", "umpire/eve/temp/"))
    ]
    assert {"dome/log", "umpire/eve/log", "umpire/eve/run", "umpire/eve/temp"} <= entries.keys()


def test_a_folder_named_log_within_the_data_is_data(server: Server, tmp_path: Path) -> None:
    deep = server.shared / "umpire/eve/umpire_data/aux_logs/log"
    deep.mkdir(parents=True)
    (deep / "temp").write_text("kept")
    known = back_up(server.place(), tmp_path / "backup.tar")
    assert "umpire/eve/umpire_data/aux_logs/log/temp" in known.entries


def test_databases_are_copied_whole_while_they_are_written(server: Server, tmp_path: Path) -> None:
    paths = [server.shared / DATABASE, server.shared / "umpire/eve/umpire_data/dkps/dkps.db"]
    with closing(sqlite3.connect(paths[0])) as dome, closing(sqlite3.connect(paths[1])) as dkps:
        for base in (dome, dkps):
            base.execute("PRAGMA journal_mode=WAL")
        dome.execute("INSERT INTO backend_project VALUES ('late', 0, NULL)")
        dome.commit()
        dkps.execute("INSERT INTO keys VALUES ('secret')")
        dkps.commit()
        dkps.execute("INSERT INTO keys VALUES ('not yet')")  # and never committed
        known = back_up(server.place(), tmp_path / "backup.tar")
    assert [one.name for one in known.projects] == ["eve", "kevin", "late"]
    copy = tmp_path / "copy.db"
    copy.write_bytes(member(tmp_path / "backup.tar", "umpire/eve/umpire_data/dkps/dkps.db"))
    with closing(sqlite3.connect(copy)) as base:
        assert base.execute("SELECT value FROM keys").fetchall() == [("secret",)]
    assert not [path for path in known.entries if path.endswith(("-wal", "-shm", "-journal"))]


def test_a_server_that_stands_still_is_copied_as_it_lies(server: Server, tmp_path: Path) -> None:
    server.set_status(*server.statuses(), status="exited")
    back_up(server.place(), tmp_path / "backup.tar")
    assert member(tmp_path / "backup.tar", DATABASE) == (server.shared / DATABASE).read_bytes()
    assert server.machine.calls == []


def test_containers_of_another_folder_are_not_asked(server: Server, tmp_path: Path) -> None:
    for mounts in server.containers.glob("*/mounts"):
        mounts.write_text(mounts.read_text().replace("/cros docker/", "/others/"))
    back_up(server.place(), tmp_path / "backup.tar")
    assert server.machine.calls == []


def paused(server: Server) -> None:
    server.set_status("dome_uwsgi", status="paused")


def killed_in_a_transaction(server: Server) -> None:
    server.set_status("dome_uwsgi", status="exited")
    journal = server.machine.stubs / "layer/var/db/factory/dome/db.sqlite3-journal"
    journal.parent.mkdir(parents=True)
    journal.write_text("half")
    # It lies beside the file that is mounted, in the container's own layer.


def locked(server: Server) -> None:
    lock = server.machine.state_dir / "lock"
    lock.mkdir(parents=True)
    boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    start = Path("/proc/1/stat").read_text().rpartition(") ")[2].split()[19]
    (lock / "owner").write_text(f"1 {start} {boot} ann@example\n")


def no_database(server: Server) -> None:
    (server.shared / DATABASE).unlink()


def torn(server: Server) -> None:
    server.set_status(*server.statuses(), status="exited")
    path = server.shared / DATABASE
    path.write_bytes(path.read_bytes()[:-4096])


def other_tables(server: Server) -> None:
    (server.shared / DATABASE).unlink()
    with closing(sqlite3.connect(server.shared / DATABASE)) as base:
        base.execute("CREATE TABLE other (name TEXT)")


def points_nowhere(server: Server) -> None:
    link = server.shared / "umpire/eve/active_umpire.json"
    link.unlink()
    link.symlink_to("resources/umpire.ffffffffffffffffffffffffffffffff.json")


def link_gone(server: Server) -> None:
    (server.shared / "umpire/kevin/active_umpire.json").unlink()


FAULTS: list[tuple[Callable[[Server], None], type[CrosprovError], str]] = [
    (paused, HostError, "dome_uwsgi is paused"),
    (killed_in_a_transaction, HostError, "was ended while it wrote dome/db.sqlite3"),
    (locked, HostBusy, "another run is at work on factory1: ann@example"),
    (no_database, HostError, "there is no Dome database in"),
    (torn, HostError, "not a sound database of Dome"),
    (other_tables, HostError, "no such table: backend_project"),
    (points_nowhere, HostError, "umpire/eve/active_umpire.json was deployed anew"),
    (link_gone, HostError, "umpire/kevin/active_umpire.json was deployed anew"),
]


@pytest.mark.parametrize(
    ("fault", "kind", "says"), FAULTS, ids=lambda of: getattr(of, "__name__", "")
)
def test_what_cannot_be_backed_up_is_a_sentence_and_leaves_nothing(
    server: Server,
    tmp_path: Path,
    fault: Callable[[Server], None],
    kind: type[CrosprovError],
    says: str,
) -> None:
    fault(server)
    with pytest.raises(kind, match=says) as caught:
        back_up(server.place(), tmp_path / "backup.tar")
    assert caught.value.hint
    assert not list(tmp_path.glob("backup.tar*"))


def test_a_file_is_never_overwritten(server: Server, tmp_path: Path) -> None:
    out = tmp_path / "backup.tar"
    out.write_text("precious")
    with pytest.raises(UsageError, match="exists already"):
        back_up(server.place(), out)
    assert out.read_text() == "precious"


def test_two_backups_to_one_file_leave_each_other_alone(server: Server, tmp_path: Path) -> None:
    out, part = tmp_path / "backup.tar", tmp_path / "backup.tar.part"
    with locks.locked(part):
        part.write_text("of the first")
        with pytest.raises(UsageError, match="is being written by another backup"):
            back_up(server.place(), out)
        assert part.read_text() == "of the first"
    back_up(server.place(), out)  # what a backup that was killed has left is no backup
    assert archive.check(out).host == "factory1" and not part.exists()


def test_a_part_that_is_a_link_is_not_followed(server: Server, tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("precious")
    (tmp_path / "backup.tar.part").symlink_to("precious")
    with pytest.raises(CrosprovError, match=r"backup\.tar\.part cannot be written"):
        back_up(server.place(), tmp_path / "backup.tar")
    assert (tmp_path / "precious").read_text() == "precious"


def test_a_connection_that_ends_leaves_nothing_and_the_next_backup_works(
    server: Server, tmp_path: Path
) -> None:
    out = tmp_path / "backup.tar"
    transport = server.machine.transport()
    with pytest.raises(HostSilent):
        back_up(server.place(transport), out, tell=lambda done, size: transport.close())
    assert not list(tmp_path.glob("backup.tar*"))
    back_up(server.place(), out)
    assert not (server.machine.state_dir / "backup").exists()


class Flipped:
    """A transport over which one byte of the output arrives as another."""

    round_trips = 0

    def __init__(self, server: Server) -> None:
        self.inner = server.machine.transport()

    def run(
        self,
        command: str,
        *,
        stdin: bytes = b"",
        timeout: float | None = None,
        on_stdout: Sink | None = None,
        on_stderr: Sink | None = None,
    ) -> Completed:
        assert on_stdout is not None
        sink = on_stdout
        return self.inner.run(
            command, stdin=stdin, timeout=timeout, on_stderr=on_stderr,
            on_stdout=lambda data: sink(data[:-1] + bytes([data[-1] ^ 1])),
        )  # fmt: skip

    def open_tcp(self, host: str, port: int, *, timeout: float = 10.0) -> object:
        raise OSError

    def close(self) -> None:
        self.inner.close()


def test_what_arrives_otherwise_than_it_was_sent_is_not_kept(
    server: Server, tmp_path: Path
) -> None:
    with pytest.raises(HostError, match="not what it sent"):
        back_up(server.place(Flipped(server)), tmp_path / "backup.tar")  # type: ignore[arg-type]
    assert not list(tmp_path.glob("backup.tar*"))


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system that takes 64 KiB."""
    folder = tmp_path / "small"
    folder.mkdir()
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "none", folder])
    if done.returncode:
        pytest.skip("mounting is not permitted here")
    yield folder
    subprocess.run(["umount", folder], check=True)


def test_a_full_disk_here_is_a_sentence(server: Server, small_disk: Path) -> None:
    (server.shared / "umpire/eve/resources/big").write_bytes(bytes(200_000))
    with pytest.raises(CrosprovError, match=r"cannot be written: No space left on device"):
        back_up(server.place(), small_disk / "backup.tar")
    assert not list(small_disk.iterdir())


def test_a_damaged_manifest_is_no_manifest(server: Server, tmp_path: Path) -> None:
    from crosprov.factory import manifest

    known: Manifest = back_up(server.place(), tmp_path / "backup.tar")
    assert manifest.read(known.name, known.text) == known
    assert manifest.read(known.name, known.text.replace(b"eve", b"bob")) is None
    newer = known.model_copy(update={"format": 2})
    assert manifest.read(newer.name, newer.text) is None
