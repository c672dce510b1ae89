"""A restore brings back what was backed up, byte for byte, and never loses what was there."""

from __future__ import annotations

import os
import shutil
import subprocess
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from crosprov.errors import CrosprovError, HostError, HostSilent
from crosprov.factory import archive
from crosprov.factory.backup import back_up
from crosprov.factory.restore import restore
from tests.factory.servers import Server, Survey, survey

NOT_KEPT = ("run", "temp", "log")  # the content of these folders, not they


@pytest.fixture(scope="module")
def backup(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The backup of a server with the projects eve and kevin."""
    root = tmp_path_factory.mktemp("backup")
    back_up(Server.at(root).set_up("eve", "kevin").place(), root / "backup.tar")
    return root / "backup.tar"


@pytest.fixture(scope="module")
def restored(backup: Path, tmp_path_factory: pytest.TempPathFactory) -> Survey:
    """What a bare host has after a restore."""
    server = Server.at(tmp_path_factory.mktemp("restored"))
    restore(server.place(), backup)
    return survey(server.shared)


@pytest.fixture
def other(tmp_path: Path) -> Server:
    """A server with another project, running."""
    return Server.at(tmp_path, "factory2").set_up("bob")


def content(server: Server) -> set[tuple[bytes, object]]:
    """Names and content of all files of a shared folder, wherever they have been moved to."""
    return {(name.rpartition(b"/")[2], looks[4]) for name, looks in survey(server.shared).items()}


def test_a_bare_host_gets_all_of_it(backup: Path, tmp_path: Path) -> None:
    server = Server.at(tmp_path)
    done = restore(server.place(), backup)
    assert (done.aside, done.started, done.answered) == ((), (), False)
    assert (server.shared / "umpire/.default_project").read_text() == "kevin"
    assert [path.name for path in sorted(server.shared.iterdir())] == ["dome", "umpire"]
    assert not (server.machine.state_dir / "lock").exists()


def test_what_was_there_is_put_aside_and_all_runs_again(backup: Path, tmp_path: Path) -> None:
    server = Server.at(tmp_path).set_up("eve", "bob")
    before = survey(server.shared)
    done = restore(server.place(), backup, replace=True)
    assert survey(server.shared / ".before-restore-1") == before
    assert (done.aside, done.answered) == ((".before-restore-1",), True)
    assert done.started == ("dome_uwsgi", "dome_nginx", "umpire_eve")
    assert (done.left, done.without_umpire) == (("umpire_bob",), ("kevin",))
    assert server.statuses() == {
        "dome_uwsgi": "running", "dome_nginx": "running", "umpire_eve": "running",
        "umpire_bob": "exited", "somebodys": "running",
    }  # fmt: skip
    again = restore(server.place(), backup, replace=True)
    assert again.aside == (".before-restore-2",)
    assert survey(server.shared / ".before-restore-1") == before


NAMES = st.one_of(
    st.binary(min_size=1, max_size=12).filter(
        lambda name: not set(name) & {0, 0x2F} and name not in (b".", b"..")
    ),
    st.sampled_from(
        [b"-n", b"--help", b"a\nb", b"\\x", b" ", b"*", b"'\"", b"\xff\xfe", b"n" * 200]
    ),
)
NODES = st.tuples(
    NAMES,
    st.sampled_from(["file", "folder", "link", "hard link", "pipe"]),
    st.sampled_from([0o644, 0o600, 0o4755, 0o2750, 0o1777, 0o000]),
    st.binary(max_size=1500),
)


def plant(folder: bytes, nodes: list[tuple[bytes, str, int, bytes]]) -> None:
    """Make what is described; the first file is what hard links are made to."""
    first: bytes | None = None
    for name, kind, mode, data in nodes:
        path = os.path.join(folder, name)
        if os.path.lexists(path):
            continue
        if kind == "folder":
            os.mkdir(path)
        elif kind == "link":
            os.symlink(data.replace(b"\0", b"")[:80] or b"nowhere", path)
            continue
        elif kind == "pipe":
            os.mkfifo(path)
        elif kind == "hard link" and first:
            os.link(first, path)
            continue
        else:
            Path(os.fsdecode(path)).write_bytes(data)
            first = first or path
        os.chown(path, 7, 1234)
        os.chmod(path, mode)
        folder = path if kind == "folder" else folder


@given(nodes=st.lists(NODES, min_size=1, max_size=8))
@settings(
    max_examples=8, deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=True
)
def test_a_restored_backup_is_what_was_backed_up(
    nodes: list[tuple[bytes, str, int, bytes]],
) -> None:
    if os.geteuid():
        pytest.skip("only root gives files to others")
    with TemporaryDirectory() as name:
        root = Path(name)
        server = Server.at(root).set_up()
        (server.shared / "umpire/eve/umpire_data").mkdir(parents=True)
        plant(os.fsencode(server.shared / "umpire/eve/umpire_data"), nodes)
        before = survey(server.shared, left=NOT_KEPT)
        back_up(server.place(), root / "backup.tar", logs=True)
        restored = Server.at(root, "restored")
        restore(restored.place(), root / "backup.tar")
        after = survey(restored.shared, left=NOT_KEPT)
        # The database is a copy that SQLite made: the same rows in a file of its own.
        assert before.pop(b"dome/db.sqlite3")[:3] == after.pop(b"dome/db.sqlite3")[:3]
        assert after == before


def test_a_host_with_data_is_refused_without_a_confirmation(backup: Path, other: Server) -> None:
    before = survey(other.shared)
    with pytest.raises(HostError, match="factory2 has data of a factory server") as caught:
        restore(other.place(), backup)
    assert "--replace factory2" in str(caught.value.hint)
    assert survey(other.shared) == before
    assert other.machine.calls == []


def test_a_host_with_another_version_is_refused(backup: Path, other: Server) -> None:
    before = survey(other.shared)
    other.tell(image="DOCKER_IMAGE_TIMESTAMP=20990616101859\nDOCKER_IMAGE_GITHASH=123456789\n")
    with pytest.raises(
        HostError, match="is of version 20230616101859-adb3ce, and factory2 has 2099"
    ):
        restore(other.place(), backup, replace=True)
    assert survey(other.shared) == before


@given(cut=st.floats(min_value=0, max_value=1, exclude_max=True))
@settings(max_examples=40, deadline=None, derandomize=True)
def test_an_archive_that_is_cut_short_is_refused(backup: Path, cut: float) -> None:
    whole = backup.read_bytes()
    end = whole.rstrip(b"\0")  # what is cut of the padding is no loss
    with TemporaryDirectory() as folder:
        path = Path(folder, "cut.tar")
        path.write_bytes(end[: int(cut * len(end))])
        with pytest.raises(CrosprovError, match="cut.tar"):
            archive.check(path)


@given(where=st.floats(min_value=0, max_value=1, exclude_max=True), bit=st.integers(0, 7))
@settings(max_examples=60, deadline=None, derandomize=True)
def test_a_flipped_bit_is_found_or_without_meaning(backup: Path, where: float, bit: int) -> None:
    data = bytearray(backup.read_bytes())
    data[int(where * len(data))] ^= 1 << bit
    known = archive.check(backup)
    with TemporaryDirectory() as folder:
        path = Path(folder, "flipped.tar")
        path.write_bytes(data)
        try:
            assert archive.check(path) == known
        except CrosprovError as error:
            assert "flipped.tar" in error.message and error.hint


@pytest.mark.parametrize("data", [b"", b"no archive", bytes(20_000)])
def test_what_is_no_backup_is_refused_before_the_host_is_asked(
    data: bytes, other: Server, tmp_path: Path
) -> None:
    path = tmp_path / "file"
    path.write_bytes(data)
    transport = other.machine.transport()
    with pytest.raises(CrosprovError, match="is not a backup of crosprov") as caught:
        restore(other.place(transport), path, replace=True)
    assert caught.value.hint == "crosprov factory backup writes one"
    assert transport.round_trips == 0


def tarred(path: Path, *names: str) -> bytes:
    with tarfile.open(path, "w") as made:
        for name in names:
            made.addfile(tarfile.TarInfo(name))
    return path.read_bytes()


def flipped(data: bytes, place: int) -> bytes:
    return data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :]


KINDS: list[tuple[Callable[[bytes, Path], bytes], str]] = [
    (lambda data, path: tarred(path, "manifest.json", "cros_docker.sh", "x.txz"),
     "is a bundle, not a backup"),
    (lambda data, path: tarred(path, "etc/passwd"), "is not a backup of crosprov"),
    (lambda data, path: data[: len(data) // 2], "is cut short"),
    (lambda data, path: data[: data.rindex(b"crosprov-backup-") + 600], "is cut short"),
    (lambda data, path: flipped(data, 0), "is damaged"),
    (lambda data, path: flipped(data, data.rindex(b"crosprov-backup-") + 20), "is damaged"),
    (lambda data, path: flipped(data, data.index(b"umpire/")), "is damaged"),
]  # fmt: skip


@pytest.mark.parametrize(("made", "says"), KINDS, ids=range(len(KINDS)))
def test_what_a_file_is_in_place_of_a_backup_is_told(
    made: Callable[[bytes, Path], bytes], says: str, backup: Path, tmp_path: Path
) -> None:
    path = tmp_path / "file.tar"
    path.write_bytes(made(backup.read_bytes(), tmp_path / "made"))
    with pytest.raises(CrosprovError, match=rf"file\.tar {says}") as caught:
        archive.check(path)
    assert caught.value.hint


def test_a_restore_tells_what_was_read_and_unpacked(tmp_path: Path) -> None:
    source = Server.at(tmp_path, "source").set_up("eve")
    (source.shared / "umpire/eve/resources/large").write_bytes(bytes(20_000_000))
    path = tmp_path / "backup.tar"
    back_up(source.place(), path)
    told: list[tuple[str, int, int]] = []
    restore(Server.at(tmp_path, "bare").place(), path, tell=lambda *one: told.append(one))
    size = path.stat().st_size
    steps = list(dict.fromkeys(what for what, _, _ in told))
    assert steps == ["read", "sent and unpacked"]
    assert {whole for _, _, whole in told} == {size}
    assert [done for what, done, _ in told if what == "sent and unpacked"] == [8192000, 16384000]


# Each program that changes something, and at which of its calls it is killed, with all the rest:
# `mv` keeps a record, then puts aside, then puts in place; half of what it was to move is moved.
KILLS = [
    ("tar", 1), ("sync", 1), ("stop umpire_bob", 0), ("stop dome_nginx", 0), ("mv", 1), ("mv", 2),
    ("mv", 3), ("rmdir", 1), ("sync", 2), ("start dome_uwsgi", 0), ("start umpire_eve", 0),
]  # fmt: skip
KILLER = """\
#!/bin/sh
n=$(($(cat "$STUB_STATE/{name}.calls" 2>/dev/null || echo 0) + 1))
echo $n > "$STUB_STATE/{name}.calls"
[ $n -ne {call} ] || {{
  case {name} in
    mv) [ "$1" != -n ] || {program} -n -t "$3" "$4";;
    tar) head -c 20000 | {program} "$@";;
  esac
  kill -9 0
}}
exec {program} "$@"
"""


def arm(server: Server, name: str, call: int) -> Path | None:
    """Let a call of a program, or an order to docker, end everything on the host at once."""
    if not call:
        server.tell(kills=name)
        return None
    program = "true" if name == "sync" else shutil.which(name)
    path = server.machine.root / "bin" / name
    path.write_text(KILLER.format(name=name, call=call, program=program))
    path.chmod(0o755)
    return path


@pytest.mark.parametrize(("name", "call"), KILLS)
def test_killed_at_any_step_the_next_restore_finishes_and_nothing_is_lost(
    name: str, call: int, backup: Path, restored: Survey, tmp_path: Path
) -> None:
    server = Server.at(tmp_path).set_up("eve", "bob")
    before = content(server)
    killer = arm(server, name, call)
    with pytest.raises(HostSilent):
        restore(server.place(), backup, replace=True)
    if killer:
        killer.unlink()
    server.tell(kills="")
    assert before <= content(server)
    done = restore(server.place(), backup, replace=True)
    assert before <= content(server)
    assert done.answered and done.started[:2] == ("dome_uwsgi", "dome_nginx")
    assert "umpire_eve" in done.started
    aside = tuple(name for name in os.listdir(server.shared) if name.startswith(".before"))
    assert survey(server.shared, left=aside) == restored


def refuses_to_stop(server: Server) -> None:
    server.tell(refuses="stop umpire_bob")


def full(server: Server) -> None:
    path = server.machine.root / "bin" / "df"
    path.write_text("#!/bin/sh\nprintf 'x\\nx 1 1 7 1 1\\n'\n")
    path.chmod(0o755)


def cannot_unpack(server: Server) -> None:
    path = server.machine.root / "bin" / "tar"
    path.write_text("#!/bin/sh\necho 'tar: x: Cannot write: No space left on device' >&2; exit 2\n")
    path.chmod(0o755)


def unpacks_otherwise(server: Server) -> None:
    path = server.machine.root / "bin" / "tar"
    program = shutil.which("tar")
    path.write_text(
        f'#!/bin/sh\n{program} "$@" && echo >> .restoring/data/umpire/.default_project\n'
    )
    path.chmod(0o755)


UNTOUCHED: list[tuple[Callable[[Server], None], str]] = [
    (refuses_to_stop, "umpire_bob could not be stopped: .*umpire_bob says no"),
    (full, r"has 0\.0 MB free, and the backup needs 67\.\d MB"),
    (cannot_unpack, "could not be unpacked in .*No space left on device"),
    (unpacks_otherwise, "differs from the backup: umpire/.default_project"),
]


@pytest.mark.parametrize(("fault", "says"), UNTOUCHED, ids=lambda of: getattr(of, "__name__", ""))
def test_what_fails_before_the_change_leaves_the_server_as_it_was(
    fault: Callable[[Server], None], says: str, backup: Path, other: Server
) -> None:
    before, running = survey(other.shared), other.statuses()
    fault(other)
    with pytest.raises(HostError, match=says) as caught:
        restore(other.place(), backup, replace=True)
    assert caught.value.hint
    kept = (".restoring",) if fault in (refuses_to_stop, unpacks_otherwise) else ()
    assert survey(other.shared, left=kept) == before
    assert other.statuses() == running


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"refuses": "start dome_nginx"}, "dome_nginx does not start: .*dome_nginx says no"),
        ({"dome": "broken"}, "Dome does not answer: status 500"),
        ({"dome": "refuses"}, r"Dome does not answer: curl: \(7\)"),
        ({"dome": "other"}, "Dome lists stranger in place of eve, kevin"),
    ],
    ids=["does-not-start", "500", "refuses", "other"],
)
def test_a_dome_that_does_not_come_back_is_told(
    change: dict[str, str], says: str, backup: Path, other: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("crosprov.factory.restore.TRIES", 1)
    other.tell(**change)
    with pytest.raises(HostError, match=f"the data is restored, but {says}") as caught:
        restore(other.place(), backup, replace=True)
    assert "what was there is in" in caught.value.message


@pytest.fixture
def mounted(tmp_path: Path) -> Iterator[Path]:
    """A shared folder that is a file system of its own, as on a server with a disk for it."""
    folder = tmp_path / "factory1" / "cros docker"
    folder.mkdir(parents=True)
    if subprocess.run(["mount", "-t", "tmpfs", "none", folder]).returncode:
        pytest.skip("mounting is not permitted here")
    yield folder
    subprocess.run(["umount", folder], check=True)


def test_a_shared_folder_may_be_a_disk_of_its_own(
    mounted: Path, backup: Path, tmp_path: Path
) -> None:
    server = Server.at(tmp_path).set_up("bob")
    (mounted / "lost+found").mkdir()
    done = restore(server.place(), backup, replace=True)
    assert done.aside == (".before-restore-1",)
    assert sorted(os.listdir(mounted)) == [".before-restore-1", "dome", "lost+found", "umpire"]
