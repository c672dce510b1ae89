"""Staging from a bucket, with Google's own client: what arrives, once, whole or not at all."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from crosprov.devserver import bucket, space
from crosprov.devserver.downloads import Patience
from crosprov.devserver.failures import Refused
from crosprov.devserver.staging import Request
from crosprov.devserver.stores import Interrupted
from tests.devserver.depot import (
    BUCKET,
    BUILD,
    CONTENT,
    PAYLOAD,
    SOURCE,
    fill,
    stager_of,
    tar_of,
    visible,
    wants,
    zip_of,
)
from tests.support.bucket import BucketServer, Rule, bucket_server
from tests.support.waiting import until


@pytest.fixture
def server(tmp_path: Path) -> Iterator[BucketServer]:
    with bucket_server(tmp_path / "gs") as running:
        fill(running)
        yield running
        bucket.close_clients()


@pytest.fixture
def static(tmp_path: Path) -> Path:
    folder = tmp_path / "static"
    folder.mkdir()
    return folder


def _below(build: str, files: dict[str, bytes]) -> dict[str, bytes]:
    return {f"{build}/{name}": content for name, content in files.items()}


STORED = {
    "full_payload": {name: CONTENT[name] for name in (PAYLOAD, f"{PAYLOAD}.json")},
    "stateful": {"stateful.tgz": CONTENT["stateful.tgz"]},
    "base_image": {"chromiumos_base_image.bin": b"base" * 500},
    "test_image": {"chromiumos_test_image.bin": b"test" * 500},
    "autotest": {"autotest/client/site.py": b"pass"},
    "control_files": {"autotest/client/control": b"control"},
    "symbols_only": {"debug/breakpad/a.sym": b"sym"},
}


@pytest.mark.parametrize("artifact", STORED)
def test_an_artifact_is_stored_as_the_table_says(
    server: BucketServer, static: Path, artifact: str
) -> None:
    with stager_of(static, server.endpoint) as stager:
        assert not stager.is_staged(wants(artifact))
        stager.stage(wants(artifact))
        assert stager.is_staged(wants(artifact))
        assert visible(static) == _below(BUILD, STORED[artifact])
        state = stager.state(wants(artifact, "dev_image"))
        assert (state.staged, state.missing) == ((artifact,), ("dev_image",))
        assert state.done == state.total == sum(map(len, STORED[artifact].values()))


def test_files_are_staged_by_their_names(server: BucketServer, static: Path) -> None:
    with stager_of(static, server.endpoint) as stager:
        stager.stage(wants(files=("stateful.tgz", PAYLOAD)))
        assert stager.is_staged(wants(files=(PAYLOAD,)))
        assert not stager.is_staged(wants("stateful"))
        assert sorted(visible(static)) == [f"{BUILD}/{PAYLOAD}", f"{BUILD}/stateful.tgz"]


def test_fifty_clients_cause_one_download_of_each_object(
    server: BucketServer, static: Path
) -> None:
    start = threading.Barrier(50)
    names = ("full_payload", "stateful", "base_image", "test_image")
    with stager_of(static, server.endpoint) as stager, ThreadPoolExecutor(50) as clients:

        def ask(_: int) -> None:
            start.wait(30)
            stager.stage(wants(*names))

        list(clients.map(ask, range(50)))
    for name in (PAYLOAD, f"{PAYLOAD}.json", "stateful.tgz", "image.zip"):
        assert len(server.downloads(BUCKET, f"{BUILD}/{name}")) == 1


def test_nothing_is_downloaded_again_until_a_file_is_missing_or_cut(
    server: BucketServer, static: Path
) -> None:
    with stager_of(static, server.endpoint) as stager:
        stager.stage(wants("stateful"))
        stager.stage(wants("stateful"))
        assert len(server.downloads(BUCKET, f"{BUILD}/stateful.tgz")) == 1
        for harm in (os.unlink, lambda path: os.truncate(path, 3)):
            harm(static / BUILD / "stateful.tgz")
            assert not stager.is_staged(wants("stateful"))
            stager.stage(wants("stateful"))
            assert stager.is_staged(wants("stateful"))
        assert len(server.downloads(BUCKET, f"{BUILD}/stateful.tgz")) == 3


def test_related_artifacts_follow_in_the_background(server: BucketServer, static: Path) -> None:
    with stager_of(static, server.endpoint) as stager:
        stager.stage(wants("test_suites"))
        until(lambda: stager.is_staged(wants("control_files", "autotest_packages")))


def test_a_related_artifact_that_is_not_there_harms_nothing(
    server: BucketServer, static: Path
) -> None:
    server.delete(BUCKET, f"{BUILD}/autotest_packages.tar")
    with stager_of(static, server.endpoint) as stager:
        stager.stage(wants("test_suites"))
        until(lambda: stager.is_staged(wants("control_files")))
        stager.stage(wants("test_suites"))
        assert stager.is_staged(wants("test_suites", "control_files"))
        assert f"{BUILD}/autotest/test_suites/control.bvt" in visible(static)


# --- faults --------------------------------------------------------------------------------

TRANSIENT = {
    "cut": Rule(path=f"{PAYLOAD}$", query="alt=media", cut=3000),
    "reset": Rule(path=f"{PAYLOAD}$", query="alt=media", cut=3000, reset=True),
    "one wrong byte": Rule(path=f"{PAYLOAD}$", query="alt=media", corrupt=77),
    "503 of the object": Rule(path=f"{PAYLOAD}$", query="alt=media", status=503),
    "429 of the object": Rule(path=f"{PAYLOAD}$", query="alt=media", status=429),
    "500 of the listing": Rule(method="GET", path="/o$", status=500),
    "reset of the listing": Rule(method="GET", path="/o$", reset=True),
}


@pytest.mark.parametrize("fault", TRANSIENT)
def test_a_fault_that_passes_is_overcome(server: BucketServer, static: Path, fault: str) -> None:
    server.fail(TRANSIENT[fault])
    with stager_of(static, server.endpoint) as stager:
        stager.stage(wants("full_payload"))
        assert visible(static) == _below(BUILD, STORED["full_payload"])


def test_a_cut_download_goes_on_where_it_ended(server: BucketServer, static: Path) -> None:
    server.fail(TRANSIENT["cut"])
    with stager_of(static, server.endpoint) as stager:
        stager.stage(wants(files=(PAYLOAD,)))
    ranges = [request.range for request in server.downloads(BUCKET, f"{BUILD}/{PAYLOAD}")]
    assert len(ranges) == 2
    assert (ranges[0], ranges[1]) == (None, "bytes=3000-")


LASTING = {
    "always cut": (Rule(path=PAYLOAD, query="alt=media", cut=10, times=None), 502, "gave up"),
    "always 500": (Rule(path=PAYLOAD, query="alt=media", status=500, times=None), 502, "500"),
    "listing 503": (Rule(path="/o$", status=503, times=None), 502, "answers 503"),
    "403": (Rule(path="/o$", status=403, times=None), 502, "--credentials"),
    "401": (Rule(path="/o$", status=401, times=None), 502, "--credentials"),
    "404 of the object": (
        Rule(path=PAYLOAD, query="alt=media", status=404, times=None),
        409,
        "was replaced or removed",
    ),
    "404 of the bucket": (Rule(path="/o$", status=404, times=None), 404, "there is no gs://"),
    "a page instead": (Rule(path="/o$", html=True, times=None), 502, "not Google Storage"),
    "always a wrong byte": (
        Rule(path=PAYLOAD, query="alt=media", corrupt=5, times=None),
        502,
        "is damaged: its crc32c is",
    ),
}


@pytest.mark.parametrize("fault", LASTING)
def test_a_fault_that_lasts_is_a_sentence_and_leaves_nothing(
    server: BucketServer, static: Path, fault: str
) -> None:
    rule, status, words = LASTING[fault]
    server.fail(rule)
    with stager_of(static, server.endpoint) as stager:
        with pytest.raises(Refused, match=words) as refused:
            stager.stage(wants("full_payload"))
        assert refused.value.status == status
        assert "\n" not in refused.value.sentence and "Traceback" not in refused.value.sentence
        assert visible(static) == {}
        with pytest.raises(Refused, match=words) as again:
            stager.is_staged(wants("full_payload"))
        assert again.value.status == 500
        assert stager.state(wants("full_payload")).failure == refused.value.sentence


def test_a_failure_is_remembered_over_a_restart_and_ends_with_success(
    server: BucketServer, static: Path
) -> None:
    server.delete(BUCKET, f"{BUILD}/stateful.tgz")
    with stager_of(static, server.endpoint) as stager, pytest.raises(Refused, match="holds no"):
        stager.stage(wants("stateful"))
    with stager_of(static, server.endpoint) as stager:
        with pytest.raises(Refused, match="holds no stateful"):
            stager.is_staged(wants("stateful"))
        server.put(BUCKET, f"{BUILD}/stateful.tgz", b"now")
        stager.stage(wants("stateful"))
        assert stager.is_staged(wants("stateful"))
        assert list((static / ".failures").iterdir()) == []


def test_what_is_missing_is_named_with_what_is_near(server: BucketServer, static: Path) -> None:
    server.delete(BUCKET, f"{BUILD}/stateful.tgz")
    server.put(BUCKET, f"{BUILD}/stateful.tar", b"")
    with stager_of(static, server.endpoint) as stager, pytest.raises(Refused) as refused:
        stager.stage(wants("stateful"))
    assert refused.value.status == 404
    assert "stateful.tgz" in refused.value.sentence and "stateful.tar" in refused.value.sentence


def test_an_artifact_that_arrives_while_it_is_waited_for_is_staged(
    server: BucketServer, static: Path
) -> None:
    server.delete(BUCKET, f"{BUILD}/stateful.tgz")
    asked = server.fail(Rule(path="stateful.tgz$", status=404))
    with stager_of(static, server.endpoint, patience=Patience(5.0, 30.0, (0.01,))) as stager:
        stager.start(wants("stateful"))
        asked.wait()
        assert not stager.is_staged(wants("stateful"))
        server.put(BUCKET, f"{BUILD}/stateful.tgz", b"late")
        until(lambda: stager.is_staged(wants("stateful")))


def test_an_object_that_is_replaced_in_the_middle_is_noticed(
    server: BucketServer, static: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.fail(Rule(path=PAYLOAD, query="alt=media", cut=4000))
    read = bucket.Bucket.read

    def replaced_after_a_cut(self: bucket.Bucket, *words: Any) -> None:
        try:
            read(self, *words)
        except Interrupted:
            server.put(BUCKET, f"{BUILD}/{PAYLOAD}", b"another" * 3000)
            raise

    monkeypatch.setattr(bucket.Bucket, "read", replaced_after_a_cut)
    with stager_of(static, server.endpoint) as stager:
        with pytest.raises(Refused, match="was replaced or removed while") as refused:
            stager.stage(wants(files=(PAYLOAD,)))
        assert refused.value.status == 409
        assert visible(static) == {}
        stager.stage(wants(files=(PAYLOAD,)))
        assert visible(static) == {f"{BUILD}/{PAYLOAD}": b"another" * 3000}


def test_a_private_bucket_needs_credentials_and_says_so(server: BucketServer, static: Path) -> None:
    server.bucket("private", public=False)
    server.put("private", "eve/R1-1.0.0/stateful.tgz", b"secret")
    with stager_of(static, server.endpoint) as stager, pytest.raises(Refused) as refused:
        stager.stage(wants("stateful", source="gs://private/eve/R1-1.0.0"))
    assert "--credentials" in refused.value.sentence
    assert "there is no" not in refused.value.sentence


# --- the disk ------------------------------------------------------------------------------


def test_a_full_disk_is_told_before_anything_is_downloaded(
    server: BucketServer, static: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(space.Space, "free", lambda self: 100)
    with stager_of(static, server.endpoint) as stager, pytest.raises(Refused) as refused:
        stager.stage(wants(files=(PAYLOAD,)))
    assert refused.value.status == 507
    assert f"needs {len(CONTENT[PAYLOAD])} bytes, but only 100 are free" in refused.value.sentence
    assert server.downloads(BUCKET, f"{BUILD}/{PAYLOAD}") == []


@pytest.mark.skipif(os.geteuid() != 0, reason="mounts a small file system")
def test_a_disk_that_fills_up_meanwhile_leaves_nothing_half(
    server: BucketServer, static: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(space, "SPARED", 0)
    server.put(BUCKET, f"{BUILD}/a.bin", b"a" * 700_000)
    server.put(BUCKET, f"{BUILD}/b.bin", bytes(3_000_000))
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "none", static], check=True)
    try:
        with stager_of(static, server.endpoint) as stager:
            stager.stage(wants(files=("a.bin",)))
            with pytest.raises(Refused, match="3000000 bytes, but only"):
                stager.stage(wants(files=("b.bin",)))
            monkeypatch.setattr(space.Space, "free", lambda self: 10**9)
            with pytest.raises(Refused) as refused:
                stager.stage(wants(files=("b.bin",)))
            assert refused.value.status == 507
            assert list(visible(static)) == [f"{BUILD}/a.bin"]
            assert stager.is_staged(wants(files=("a.bin",)))
    finally:
        subprocess.run(["umount", static], check=True)


# --- the end of the process ------------------------------------------------------------------

KILLED = """
import sys
from tests.devserver.depot import stager_of, wants
from pathlib import Path
with stager_of(Path(sys.argv[1]), sys.argv[2]) as stager:
    stager.stage(wants("stateful"))
    print("staged", flush=True)
    stager.stage(wants(*sys.argv[3:]))
"""


@pytest.mark.parametrize("artifact", ["full_payload", "autotest"])
def test_what_a_killed_server_left_is_never_counted(
    server: BucketServer, static: Path, artifact: str
) -> None:
    object_ = PAYLOAD if artifact == "full_payload" else "autotest.tar"
    gate = server.fail(Rule(path=f"{object_}$", query="alt=media", stall=2000))
    command = [sys.executable, "-c", KILLED, str(static), server.endpoint, artifact]
    process = subprocess.Popen(command, stdout=subprocess.PIPE)
    try:
        gate.wait()
        process.send_signal(signal.SIGKILL)
    finally:
        process.kill()
        process.communicate()
    gate.release()
    assert list(visible(static)) == [f"{BUILD}/stateful.tgz"]
    assert any((static / ".incoming").glob("server-*"))
    with stager_of(static, server.endpoint) as stager:
        assert len(list((static / ".incoming").glob("server-*"))) == 1
        assert stager.is_staged(wants("stateful")) and not stager.is_staged(wants(artifact))
        stager.stage(wants(artifact))
        assert stager.is_staged(wants("stateful", artifact))
        assert visible(static) == _below(BUILD, {**STORED["stateful"], **STORED[artifact]})


KILLED_WHILE_INSTALLING = """
import os, signal, sys
from tests.devserver.depot import stager_of, wants
from pathlib import Path
from tests.support.waiting import until
replace, moved = os.replace, []
def replace_and_die(source, place):
    replace(source, place)
    moved.append(place)
    if "packages" in str(place) and len([p for p in moved if "packages" in str(p)]) == 2:
        os.kill(os.getpid(), signal.SIGKILL)
with stager_of(Path(sys.argv[1]), sys.argv[2]) as stager:
    stager.stage(wants("autotest"))
    os.replace = replace_and_die
    stager.stage(wants("autotest_packages"))
"""


def test_a_half_installed_archive_is_taken_back_after_a_kill(
    server: BucketServer, static: Path
) -> None:
    files = {f"autotest/packages/{number}": b"x" for number in range(5)}
    files["autotest/client/site.py"] = b"pass"  # of another artifact, which keeps it
    server.put(BUCKET, f"{BUILD}/autotest_packages.tar", tar_of(files))
    (static / BUILD / "autotest/packages").mkdir(parents=True)
    (static / BUILD / "autotest/packages/1").write_bytes(b"by hand")
    command = [sys.executable, "-c", KILLED_WHILE_INSTALLING, str(static), server.endpoint]
    assert subprocess.run(command).returncode == -signal.SIGKILL
    assert len(list((static / BUILD / "autotest/packages").iterdir())) == 2
    with stager_of(static, server.endpoint) as stager:
        left = set(visible(static))
        assert left == {f"{BUILD}/autotest/packages/1", f"{BUILD}/autotest/client/site.py"}
        assert stager.is_staged(wants("autotest"))
        assert not stager.is_staged(wants("autotest_packages"))
        stager.stage(wants("autotest_packages"))
        assert _below(BUILD, files).items() <= visible(static).items()


def test_a_conflict_in_the_middle_is_taken_back(server: BucketServer, static: Path) -> None:
    (static / BUILD / "autotest/client/control").mkdir(parents=True)
    packed = tar_of({"autotest/a": b"", "autotest/client/control": b"", "z": b""})
    server.put(BUCKET, f"{BUILD}/control_files.tar", packed)
    with stager_of(static, server.endpoint) as stager:
        with pytest.raises(Refused, match="is in its way") as refused:
            stager.stage(wants("control_files"))
        assert refused.value.status == 409
        assert visible(static) == {}


def test_a_link_out_of_the_build_is_not_followed(
    server: BucketServer, static: Path, tmp_path: Path
) -> None:
    (static / BUILD).mkdir(parents=True)
    (tmp_path / "elsewhere").mkdir()
    (static / BUILD / "autotest").symlink_to(tmp_path / "elsewhere")
    with stager_of(static, server.endpoint) as stager:
        with pytest.raises(Refused, match="a link that leads out"):
            stager.stage(wants("control_files"))
    assert list((tmp_path / "elsewhere").iterdir()) == []


def test_close_ends_what_is_under_way(server: BucketServer, static: Path) -> None:
    server.put(BUCKET, f"{BUILD}/slow.bin", bytes(400_000))
    server.fail(Rule(path="slow.bin$", query="alt=media", rate=100_000))
    with stager_of(static, server.endpoint) as stager, ThreadPoolExecutor(1) as client:
        asked = client.submit(stager.stage, wants(files=("slow.bin",)))
        until(lambda: stager.state(wants(files=("slow.bin",))).done > 0)
        stager.close()
        with pytest.raises(Refused, match="stopping"):
            asked.result(20)
        with pytest.raises(Refused, match="stopping"):
            stager.stage(wants("stateful"))
    assert visible(static) == {}
    assert list((static / ".incoming").iterdir()) == [static / ".incoming" / "lock"]


# --- clean, local folders, refusals ------------------------------------------------------------


def test_clean_removes_what_was_staged_before(server: BucketServer, static: Path) -> None:
    with stager_of(static, server.endpoint) as stager:
        stager.stage(wants("stateful", "autotest"))
        stager.stage(wants("full_payload"), clean=True)
        assert visible(static) == _below(BUILD, STORED["full_payload"])


def test_clean_keeps_what_was_placed_by_hand(server: BucketServer, static: Path) -> None:
    (static / BUILD).mkdir(parents=True)
    (static / BUILD / "mine.bin").write_bytes(b"mine")
    with stager_of(static, server.endpoint) as stager:
        stager.stage(wants("stateful", "autotest"))
        stager.stage(wants("full_payload"), clean=True)
        wanted = {"mine.bin": b"mine", **STORED["full_payload"]}
        assert visible(static) == _below(BUILD, wanted)


def test_a_build_is_not_cleaned_while_it_is_staged(server: BucketServer, static: Path) -> None:
    gate = server.fail(Rule(path=PAYLOAD, query="alt=media", stall=100))
    with stager_of(static, server.endpoint) as stager:
        stager.start(wants("full_payload"))
        gate.wait()
        with pytest.raises(Refused, match="is being staged") as refused:
            stager.stage(wants("stateful"), clean=True)
        assert refused.value.status == 409
        gate.release()


@pytest.mark.parametrize("delete_source", [False, True])
def test_a_local_folder_is_copied_and_its_files_removed_on_request(
    static: Path, delete_source: bool
) -> None:
    source = static / "uploads" / "eve-release" / "R9-1.0.0"
    source.mkdir(parents=True)
    (source / PAYLOAD).write_bytes(b"payload")
    (source / "stateful.tgz").write_bytes(b"stateful")
    request = wants("full_payload", source=str(source), files=("stateful.tgz",))
    with stager_of(static) as stager:
        stager.stage(request, delete_source=delete_source)
        assert stager.is_staged(request)
    assert (static / "eve-release/R9-1.0.0" / PAYLOAD).read_bytes() == b"payload"
    assert source.exists() is not delete_source


def test_a_file_of_a_local_folder_is_no_second_name_of_what_is_staged(static: Path) -> None:
    source = static / "uploads" / "eve" / "R9-1.0.0"
    source.mkdir(parents=True)
    (source / "stateful.tgz").write_bytes(b"stateful")
    with stager_of(static) as stager:
        stager.stage(wants("stateful", source=str(source)))
        (source / "stateful.tgz").write_bytes(b"changed!")
    assert (static / "eve/R9-1.0.0/stateful.tgz").read_bytes() == b"stateful"


REFUSED = [
    (Request(SOURCE), "no artifacts specified"),
    (Request(SOURCE, ("full_payloads",)), "did you mean full_payload"),
    (Request(SOURCE, ("zzz",)), "known are full_payload"),
    (Request(SOURCE, (), ("../x",)), "is not the name of a file"),
    (Request(SOURCE, (), (".build",)), "is not the name of a file"),
    (Request(SOURCE, (), ("staged.timestamp",)), "is not the name of a file"),
    (Request(SOURCE, (), ("a\nb",)), "is not the name of a file"),
    (Request(SOURCE, (), ("x" * 300,)), "too long"),
    (Request("gs://bucket", ("stateful",)), "names no build"),
    (Request("gs://UPPER/a/b", ("stateful",)), "no bucket's name"),
    (Request("gs://xy/a/b", ("stateful",)), "3 or more of a-z"),
    (Request("gs://bucket/a/../b", ("stateful",)), "cannot be a build"),
    (Request("gs://bucket/a//b", ("stateful",)), "cannot be a build"),
    (Request("gs://bucket/.incoming/b", ("stateful",)), "cannot be a build"),
    (Request("gs://bucket/cache/b", ("stateful",)), "used otherwise"),
    (Request("ftp://host/a/b", ("stateful",)), "is no source of builds"),
    (Request("https://user:word@host/a/b", ("stateful",)), "must not hold a user's name"),
    (Request("https://host/a/b?x=1", ("stateful",)), "nothing may follow"),
    (Request("https://host/a/%2e%2e/b", ("stateful",)), "cannot be a build"),
    (Request("/etc/ssl", ("stateful",)), "is not below"),
    (Request("", ("stateful",)), "is no source of builds"),
]


@pytest.mark.parametrize(("request_", "words"), REFUSED)
def test_what_cannot_be_staged_is_refused_with_a_sentence(
    static: Path, request_: Request, words: str
) -> None:
    with stager_of(static) as stager:
        for ask in (stager.stage, stager.start, stager.is_staged, stager.state):
            with pytest.raises(Refused, match=words) as refused:
                ask(request_)
            assert refused.value.status == 400
            assert "\n" not in refused.value.sentence
    assert list(static.iterdir()) == [static / ".incoming"]


def test_a_folder_is_not_staged_into_itself(static: Path) -> None:
    source = static / "eve" / "R1-1.0.0"
    source.mkdir(parents=True)
    with stager_of(static) as stager, pytest.raises(Refused, match="into itself"):
        stager.stage(wants("stateful", source=str(source)))


def test_two_files_for_one_artifact_are_no_guess(server: BucketServer, static: Path) -> None:
    for name in ("chromeos_eve_recovery_mp.bin", "chromeos_eve_recovery_mp-v2.bin"):
        server.put(BUCKET, f"{BUILD}/{name}", b"")
    with stager_of(static, server.endpoint) as stager, pytest.raises(Refused) as refused:
        stager.stage(wants("signed_image"))
    assert refused.value.status == 409 and "several files" in refused.value.sentence


EVIL = {
    "../escape": "leads out",
    "/etc/escape": "leads out",
    ".build": "keeps for itself",
    "./.control_files": "keeps for itself",
}


@pytest.mark.parametrize("name", EVIL)
def test_an_evil_archive_leaves_nothing(server: BucketServer, static: Path, name: str) -> None:
    server.put(BUCKET, f"{BUILD}/control_files.tar", tar_of({"autotest/ok": b"", name: b"evil"}))
    with stager_of(static, server.endpoint) as stager:
        with pytest.raises(Refused, match=EVIL[name]):
            stager.stage(wants("control_files"))
        assert not (static / BUILD / "autotest").exists()


def test_a_record_of_the_build_tells_its_source(server: BucketServer, static: Path) -> None:
    with stager_of(static, server.endpoint) as stager:
        stager.stage(wants("stateful"))
    record = json.loads((static / BUILD / ".build").read_text())
    assert record == {"source": SOURCE, "removable": True}


def test_a_file_in_the_way_is_named(server: BucketServer, static: Path) -> None:
    (static / "eve-release").write_text("a file")
    with stager_of(static, server.endpoint) as stager, pytest.raises(Refused, match="in its way"):
        stager.stage(wants("stateful"))


def test_a_bundle_of_another_kind_of_archive_is_a_sentence(
    server: BucketServer, static: Path
) -> None:
    server.put(BUCKET, f"{BUILD}/image.zip", zip_of({"other": b"x"}))
    server.put(BUCKET, f"{BUILD}/autotest.tar", b"no archive at all" * 100)
    with stager_of(static, server.endpoint) as stager:
        with pytest.raises(Refused, match="holds no chromiumos_image.bin"):
            stager.stage(wants("dev_image"))
        with pytest.raises(Refused, match="no archive that can be unpacked"):
            stager.stage(wants("autotest"))
