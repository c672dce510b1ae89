"""Upstreams that are no web servers: rsync, buckets; and their layouts."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crosprov.mirror import layouts
from crosprov.mirror.bucket import Bucket
from crosprov.mirror.layouts import ContentHash, FilenameHash, Flat, read_layouts
from crosprov.mirror.report import Kind
from crosprov.mirror.web import shown
from tests.mirror.syncing import World, archive_of, content, only, owner, world
from tests.support.bucket import Rule
from tests.support.ports import free_port

__all__ = ["world"]

NAMES = ("foo-1.tar", "a%2Fb @v1.mod", "with *[wild]? cards", "-rf", "größe:1.tar")


@pytest.fixture
def rsync(tmp_path: Path) -> Iterator[tuple[str, Path]]:
    """Serve a folder with a real rsync, and give its address."""
    if shutil.which("rsync") is None:
        pytest.skip("there is no rsync here")
    folder = tmp_path / "module"
    (folder / "distfiles").mkdir(parents=True)
    port = free_port()
    config = tmp_path / "rsyncd.conf"
    config.write_text(
        f"use chroot = no\nuid = {os.getuid()}\ngid = {os.getgid()}\n[gentoo]\npath = {folder}\n"
    )
    command = ["rsync", "--daemon", "--no-detach", f"--config={config}", f"--port={port}"]
    with subprocess.Popen([*command, "--address=127.0.0.1"], stderr=subprocess.DEVNULL) as daemon:
        try:
            _wait_for(port, daemon)
            yield f"rsync://127.0.0.1:{port}/gentoo", folder / "distfiles"
        finally:
            daemon.terminate()


def _wait_for(port: int, daemon: subprocess.Popen[bytes]) -> None:
    for _ in range(200):
        with socket.socket() as probe:
            probe.settimeout(1)
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        try:
            daemon.wait(0.05)
        except subprocess.TimeoutExpired:
            continue
        raise RuntimeError(f"rsync ended with {daemon.returncode}")
    raise TimeoutError("rsync does not answer")


def test_rsync_gives_files_of_any_name(world: World, rsync: tuple[str, Path]) -> None:
    address, folder = rsync
    needs = [world.need(name) for name in NAMES]
    for name, data in world.files.items():
        path = folder / str(layouts.GENTOO.path(archive_of(name, data)))
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(data)
    (folder / "layout.conf").write_bytes(layouts.written([layouts.GENTOO]))
    report = world.sync(*needs, world.need("lacking.tar"), upstreams=[address])
    assert only(report).kind is Kind.UPSTREAM_LACKS and report.fetched == len(NAMES)
    del world.files["lacking.tar"]
    assert world.published() == world.files


def test_rsync_that_does_not_answer_is_unreachable(world: World) -> None:
    if shutil.which("rsync") is None:
        pytest.skip("there is no rsync here")
    report = world.sync(world.need("foo-1.tar"), upstreams=["rsync://127.0.0.1:1/gentoo"])
    failure = only(report)
    assert failure.kind is Kind.UNREACHABLE and "rsync ended with" in failure.tried[0].sentence


def test_a_bucket_is_filled_from_a_bucket(world: World) -> None:
    needs = [world.need("foo-1.tar"), world.need("größe %2F.tar", content(9_000_000))]
    for name, data in world.files.items():
        world.offer(name, data)
    world.server.bucket("mirror", versioned=True)
    client = world.server.client(world.server.owner)
    with closing(Bucket("gs://mirror/distfiles", client=client, patience=5.0)) as store:
        report = world.sync(
            *needs,
            store=store,
            upstreams=["gs://upstream-1/distfiles"],
            endpoint=world.server.endpoint,
        )
        assert report.is_good and report.fetched == 2
        for name, data in world.files.items():
            assert world.server.read("mirror", f"distfiles/{name}") == data
        before = len(world.server.requests)
        assert world.sync(*needs, store=store).is_good
        assert len(world.server.requests) == before + 1
    assert not list((world.options.state / "incoming").glob("*.part"))


def test_another_object_in_the_bucket_is_left_and_named(world: World) -> None:
    need = world.need("foo-1.tar")
    world.server.put("mirror", "distfiles/foo-1.tar", b"other")
    client = world.server.client(world.server.owner)
    with closing(Bucket("gs://mirror/distfiles", client=client, patience=5.0)) as store:
        failure = only(world.sync(need, store=store))
    assert failure.kind is Kind.IMMUTABLE
    assert archive_of("", b"other").hashes["BLAKE2B"] in failure.sentence
    assert world.server.read("mirror", "distfiles/foo-1.tar") == b"other"


def test_an_object_that_an_ebuild_names_is_fetched(world: World) -> None:
    need = world.need("foo-1.tar", None, owner("gs://private-files/some/where/foo"))
    world.server.put("private-files", "some/where/foo", world.files["foo-1.tar"])
    report = world.sync(need, upstreams=[], source_uris=True, endpoint=world.server.endpoint)
    assert report.is_good and world.published() == world.files


def test_a_service_that_breaks_off_is_asked_again(world: World) -> None:
    need = world.need("foo-1.tar", content(300_000))
    world.offer("foo-1.tar", world.files["foo-1.tar"])
    world.server.fail(Rule(path="download.*foo-1", cut=1000, times=1))
    places = ["gs://upstream-1/distfiles"]
    assert world.sync(need, upstreams=places, endpoint=world.server.endpoint).is_good
    assert world.published() == world.files


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (None, (Flat(),)),
        (b"", (Flat(),)),
        (b"[structure]\n0=flat\n", (Flat(),)),
        (b"[structure]\n0=filename-hash BLAKE2B 8\n", (FilenameHash("BLAKE2B", (8,)),)),
        (
            b"[structure]\n10=flat\n9=filename-hash SHA512 4:8\n",
            (FilenameHash("SHA512", (4, 8)), Flat()),
        ),
        (b"[structure]\n0=content-hash SHA512 8:8\n", (ContentHash("SHA512", (8, 8)),)),
        (b"[structure]\n0=filename-hash blake2b 8\n", (Flat(),)),
        (b"[structure]\n0=filename-hash BLAKE2B 7\n", (Flat(),)),
        (b"[structure]\n0=filename-hash BLAKE2B 0\n", (Flat(),)),
        (b"[structure]\n0=filename-hash BLAKE2B 8:\n", (Flat(),)),
        (b"[structure]\n0=filename-hash BLAKE2B 9999\n", (Flat(),)),
        (b"[structure]\n0=filename-hash WHIRLPOOL 8\n", (Flat(),)),
        (b"[structure]\nfirst=flat\n", (Flat(),)),
        (b"[other]\n0=filename-hash BLAKE2B 8\n", (Flat(),)),
        (b"0=flat\n", (Flat(),)),
        (b"<html>Not here</html>", (Flat(),)),
        (b"[structure]\n0=" + b"x" * 70000, (Flat(),)),
    ],
)
def test_layouts_are_read_as_portage_reads_them(
    content: bytes | None, expected: tuple[object, ...]
) -> None:
    assert read_layouts(content) == expected


def test_the_folder_is_of_the_name_s_digest() -> None:
    archive = archive_of("foo-1.tar.xz", b"")
    assert layouts.GENTOO.path(archive) == "f8/foo-1.tar.xz"
    assert FilenameHash("BLAKE2B", (4, 8)).path(archive).count("/") == 2  # type: ignore[union-attr]
    digest = archive.hashes["SHA512"]
    assert ContentHash("SHA512", (8,)).path(archive) == f"{digest[:2]}/{digest}"
    assert ContentHash("SHA1", (8,)).path(archive) is None


@given(st.binary(max_size=300))
def test_any_layout_conf_gives_layouts(content: bytes) -> None:
    assert read_layouts(content) and read_layouts(b"[structure]\n" + content)


@given(
    st.lists(st.sampled_from([Flat(), layouts.GENTOO, ContentHash("SHA512", (4, 12))]), min_size=1)
)
def test_a_written_layout_is_read_back(written: list[layouts.Layout]) -> None:
    assert list(read_layouts(layouts.written(written))) == written


def test_passwords_are_not_shown() -> None:
    assert shown("https://user:secret@example.com/x") == "https://…@example.com/x"
