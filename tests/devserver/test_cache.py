"""Which builds are kept: the last used ones, and all that are used, pinned or not ours."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from crosprov.devserver import bucket
from crosprov.devserver.failures import Refused
from crosprov.devserver.staging import Stager
from tests.devserver.depot import BUCKET, PAYLOAD, stager_of, visible, wants
from tests.support.bucket import BucketServer, Rule, bucket_server
from tests.support.waiting import until

BUILDS = [f"eve-release/R{number}-1.0.0" for number in range(1, 6)]


@pytest.fixture
def server(tmp_path: Path) -> Iterator[BucketServer]:
    with bucket_server(tmp_path / "gs") as running:
        for build in BUILDS:
            running.put(BUCKET, f"{build}/stateful.tgz", build.encode())
            running.put(BUCKET, f"{build}/{PAYLOAD}", bytes(1000))
        yield running
        bucket.close_clients()


@pytest.fixture
def static(tmp_path: Path) -> Path:
    return tmp_path / "static"


def stage(stager: Stager, *builds: str) -> None:
    """Stage builds one after another."""
    for build in builds:
        stager.stage(wants("stateful", source=f"gs://{BUCKET}/{build}"))


def age(static: Path, *builds: str) -> None:
    """Make builds look as if they were used long ago, the first one longest."""
    for number, build in enumerate(builds):
        os.utime(static / build / "staged.timestamp", (1000 + number, 1000 + number))


def names(stager: Stager) -> set[str]:
    """Name the builds that are there."""
    return {build.name for build in stager.builds()}


def test_the_builds_that_were_used_last_are_kept(server: BucketServer, static: Path) -> None:
    with stager_of(static, server.endpoint, capacity=2) as stager:
        stage(stager, *BUILDS[:2])
        age(static, BUILDS[1], BUILDS[0])
        stage(stager, BUILDS[2])
        assert names(stager) == {BUILDS[0], BUILDS[2]}
        assert set(visible(static)) == {f"{name}/stateful.tgz" for name in names(stager)}


def test_without_a_capacity_all_builds_are_kept(server: BucketServer, static: Path) -> None:
    with stager_of(static, server.endpoint) as stager:
        stage(stager, *BUILDS)
        assert names(stager) == set(BUILDS)
        sizes = {build.name: build.bytes for build in stager.builds()}
        assert sizes == {name: len(name) for name in BUILDS}


def test_a_build_in_use_is_kept_until_it_is_not(server: BucketServer, static: Path) -> None:
    with stager_of(static, server.endpoint, capacity=1) as stager:
        stage(stager, BUILDS[0])
        with stager.in_use(BUILDS[0]), stager.in_use(BUILDS[0]):
            age(static, BUILDS[0])
            stage(stager, BUILDS[1])
            assert names(stager) == set(BUILDS[:2])
        assert names(stager) == {BUILDS[1]}


def test_a_build_that_is_being_staged_is_kept(server: BucketServer, static: Path) -> None:
    gate = server.fail(Rule(path=f"{BUILDS[0]}/{PAYLOAD}", query="alt=media", stall=10))
    request = wants(files=(PAYLOAD,), source=f"gs://{BUCKET}/{BUILDS[0]}")
    with stager_of(static, server.endpoint, capacity=1) as stager:
        stage(stager, BUILDS[0])
        stager.start(request)
        gate.wait()
        stage(stager, BUILDS[1])
        age(static, BUILDS[0])
        stage(stager, BUILDS[2])
        assert names(stager) == {BUILDS[0], BUILDS[2]}
        gate.release()
        until(lambda: stager.is_staged(request))


def test_a_pinned_build_is_kept(server: BucketServer, static: Path) -> None:
    with stager_of(static, server.endpoint, capacity=1) as stager:
        stage(stager, BUILDS[0])
        (static / BUILDS[0] / ".pinned").touch()
        age(static, BUILDS[0])
        stage(stager, BUILDS[1])
        assert names(stager) == set(BUILDS[:2])


def test_builds_that_were_placed_by_hand_are_listed_and_never_removed(
    server: BucketServer, static: Path
) -> None:
    for build in (BUILDS[0], BUILDS[1]):
        (static / build).mkdir(parents=True)
        (static / build / PAYLOAD.replace("R120-15662.0.0", "R1-1.0.0")).write_bytes(b"by hand")
        os.utime(static / build, (10, 10))
    with stager_of(static, server.endpoint, capacity=1) as stager:
        assert [(b.name, b.bytes, b.is_staged) for b in stager.builds()] == [
            (BUILDS[0], 7, False),
            (BUILDS[1], 7, False),
        ]
        stage(stager, *BUILDS[1:])
        assert names(stager) == {BUILDS[0], BUILDS[1], BUILDS[4]}
    assert list(visible(static).values()).count(b"by hand") == 2


NO_BUILDS = [
    "packages/stateful.tgz",
    "stateful.tgz",
    "tools/R1-1.0.0/run.sh",
    "R1-1.0.0/stateful.tgz",
    "cache/eve/1.0.0/update.gz",
    "eve-release/latest/stateful.tgz",
    "scripts/deep/er/file",
    ".hidden/R1-1.0.0/stateful.tgz",
]


@pytest.mark.parametrize("path", NO_BUILDS)
def test_other_static_content_is_no_build(static: Path, path: str) -> None:
    (static / path).parent.mkdir(parents=True)
    (static / path).write_bytes(b"content")
    with stager_of(static, capacity=1) as stager:
        assert stager.builds() == ()


def test_static_content_is_never_removed(server: BucketServer, static: Path) -> None:
    for path in NO_BUILDS:
        (static / path).parent.mkdir(parents=True, exist_ok=True)
        (static / path).write_bytes(b"content")
    with stager_of(static, server.endpoint, capacity=1) as stager:
        stage(stager, *BUILDS)
        assert names(stager) == {BUILDS[-1]}
    assert all((static / path).read_bytes() == b"content" for path in NO_BUILDS)


def test_a_build_inside_another_is_refused(server: BucketServer, static: Path) -> None:
    server.put(BUCKET, f"{BUILDS[0]}/inner/stateful.tgz", b"x")
    with stager_of(static, server.endpoint) as stager:
        stage(stager, BUILDS[0])
        with pytest.raises(Refused, match="lies inside eve-release/R1-1.0.0") as refused:
            stage(stager, f"{BUILDS[0]}/inner")
        assert refused.value.status == 409


def test_a_build_of_which_nothing_was_staged_is_none(server: BucketServer, static: Path) -> None:
    server.put(BUCKET, f"{BUILDS[0]}/autotest.tar", b"no archive")
    (static / BUILDS[1] / "stateful.tgz").mkdir(parents=True)  # in the way
    with stager_of(static, server.endpoint) as stager:
        for name, build in (("autotest", BUILDS[0]), ("stateful", BUILDS[1])):
            with pytest.raises(Refused):
                stager.stage(wants(name, source=f"gs://{BUCKET}/{build}"))
        assert stager.builds() == ()


def test_builds_come_and_go_while_they_are_used(server: BucketServer, static: Path) -> None:
    """A build that is held is whole, whatever happens around it."""
    done = threading.Event()
    seen: list[bytes] = []

    with stager_of(static, server.endpoint, capacity=1) as stager:

        def look(build: str) -> None:
            while not done.is_set():
                with stager.in_use(build):
                    file = static / build / "stateful.tgz"
                    if file.exists():
                        seen.append(file.read_bytes())

        threads = [threading.Thread(target=look, args=(build,)) for build in BUILDS[:2]]
        for thread in threads:
            thread.start()
        try:
            for _ in range(5):
                stage(stager, *BUILDS)
        finally:
            done.set()
            for thread in threads:
                thread.join()
        assert BUILDS[-1] in names(stager)
    assert set(seen) <= {build.encode() for build in BUILDS[:2]}
