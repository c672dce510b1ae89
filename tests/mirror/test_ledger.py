"""The ledger, the limits, and the sums of a stream."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crosprov.mirror.events import Failed, Listed, Moved, Progress, Proven
from crosprov.mirror.hashing import LARGE, digests_of
from crosprov.mirror.ledger import Ledger, Proof
from crosprov.mirror.limits import Bandwidth, Slots, Stopped
from crosprov.mirror.model import Fault
from crosprov.mirror.report import Failure, Kind, age_of, size_of
from tests.mirror.syncing import archive_of, content

PROOF = Proof("foo-1.tar", "1-2-3", 10, "BLAKE2B ab SHA512 cd", 1000.0)


@contextmanager
def _ledger(path: Path, *, read_only: bool = False) -> Iterator[Ledger]:
    ledger = Ledger(path, read_only=read_only)
    try:
        yield ledger
    finally:
        ledger.close()


def test_proofs_outlast_the_process(tmp_path: Path) -> None:
    with _ledger(tmp_path / "ledger") as ledger:
        ledger.note(PROOF)
        ledger.note(PROOF._replace(name="bar"))
    with _ledger(tmp_path / "ledger") as ledger:
        assert [proof.name for proof in ledger.proofs()] == ["bar", "foo-1.tar"]
        assert ledger.find("foo-1.tar") == PROOF
        assert PROOF.by_algorithm() == {"BLAKE2B": "ab", "SHA512": "cd"}
        ledger.doubt("foo-1.tar")
        assert ledger.find("foo-1.tar") == PROOF._replace(mark="")


def test_reading_only_writes_nothing(tmp_path: Path) -> None:
    with _ledger(tmp_path / "ledger", read_only=True) as ledger:
        assert list(ledger.proofs()) == []
    assert list(tmp_path.iterdir()) == []


def test_a_killed_writer_leaves_a_ledger_that_opens(tmp_path: Path) -> None:
    program = (
        "import sys; from pathlib import Path; from crosprov.mirror.ledger import *\n"
        "ledger = Ledger(Path(sys.argv[1])); proof = Proof('x', 'm', 1, '', 1.0)\n"
        "for n in range(10**9):\n"
        "    ledger.note(proof._replace(name=str(n)))\n"
        "    if n == 5000: print('begun', flush=True)\n"
    )
    command = [sys.executable, "-c", program, str(tmp_path / "ledger")]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout and process.stdout.readline() == b"begun\n"
        os.kill(process.pid, signal.SIGKILL)
    with _ledger(tmp_path / "ledger") as ledger:
        ledger.note(PROOF)
        assert ledger.find(PROOF.name) == PROOF


def test_a_newer_ledger_is_refused(tmp_path: Path) -> None:
    with _ledger(tmp_path / "ledger") as ledger:
        ledger._base.execute("PRAGMA user_version = 9")
    with pytest.raises(Fault, match="newer"):
        Ledger(tmp_path / "ledger")


@given(st.binary(max_size=5000))
def test_any_file_is_set_aside_or_opened(
    tmp_path_factory: pytest.TempPathFactory, junk: bytes
) -> None:
    path = tmp_path_factory.mktemp("ledger") / "ledger"
    path.write_bytes(junk)
    with _ledger(path) as ledger:
        ledger.note(PROOF)
    assert not ledger.set_aside or ledger.set_aside.read_bytes() == junk


@pytest.mark.parametrize("size", [0, 1000, LARGE + 1])
def test_sums_are_the_same_with_threads_and_without(size: int) -> None:
    data = content(size)
    archive = archive_of("foo", data, ("BLAKE2B", "SHA512", "SHA256", "MD5", "RMD160"))
    pieces = (data[at : at + 70_000] for at in range(0, size, 70_000))
    found = digests_of(pieces, archive.hashes, size)
    assert found.hashes == archive.hashes and found.difference(archive) is None


@given(st.binary(max_size=50), st.binary(max_size=50))
def test_a_difference_is_seen(one: bytes, other: bytes) -> None:
    found = digests_of([one], ["BLAKE2B", "SHA512"], len(one))
    assert (found.difference(archive_of("foo", other)) is None) == (one == other)


class _Clock:
    """A clock that goes on when it is waited for."""

    now = 0.0

    def __call__(self) -> float:
        return self.now

    def wait(self, seconds: float) -> bool:
        self.now += seconds
        return False

    def is_set(self) -> bool:
        return False


def test_bandwidth_is_kept_over_time() -> None:
    clock = _Clock()
    bandwidth = Bandwidth(1000, clock, clock)  # type: ignore[arg-type]
    for _ in range(100):
        bandwidth.take(500)
    assert 49.0 <= clock.now <= 50.0
    assert bandwidth.piece(1 << 20) == 1024 and Bandwidth(0, threading.Event()).piece(7) == 7


def test_a_program_that_has_all_of_the_rate_has_it_alone() -> None:
    stop = threading.Event()
    limited, free = Bandwidth(1000, stop), Bandwidth(0, stop)
    with free.whole(), free.whole(), limited.whole():
        stop.set()
        with pytest.raises(Stopped), limited.whole():
            pass


def test_who_waits_is_stopped() -> None:
    stop = threading.Event()
    slots = Slots(1)
    with slots.held("one", stop), slots.held("two", stop):
        stop.set()
        with pytest.raises(Stopped), slots.held("one", stop):
            pass
    with pytest.raises(Stopped):
        Bandwidth(1, stop).take(10**9)


def test_progress_tells_the_rate_and_the_time_left() -> None:
    clock = _Clock()
    progress = Progress(clock=clock)
    progress(Listed(1, 1_000_000, 1, 1_000_000))
    assert progress.seconds_left is None
    for _ in range(100):
        clock.now += 1.0
        progress(Moved(10_000))
    assert 9_900 <= progress.rate <= 10_100
    assert progress.seconds_left == pytest.approx(100, rel=0.05)
    progress(Proven("foo", 1_000_000))
    progress(Failed(Failure("bar", 1_000_000, Kind.CORRUPT, "…")))
    assert (progress.done, progress.lost) == (1_000_000, 1_000_000)
    assert (progress.files_done, progress.failed) == (2, 1)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (size_of(999), "999 B"),
        (size_of(1500), "1.5 kB"),
        (size_of(2.5e12), "2.5 TB"),
        (age_of(5), "5 s"),
        (age_of(600), "10 min"),
        (age_of(7200), "2 h"),
        (age_of(86400 * 3), "3 days"),
    ],
)
def test_figures_are_written_for_people(text: str, expected: str) -> None:
    assert text == expected
