"""The program of a mirror: its answers, its exit statuses, and how it fails."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import StringIO
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator
from paramiko import RSAKey

from crosprov.cli.app import run as crosprov
from crosprov.mirror import console, outcome, report_json
from crosprov.mirror.config import Config, TreeSource
from crosprov.mirror.config_file import written
from crosprov.mirror.findings import SCHEMA as FINDINGS
from crosprov.mirror.folder import Folder
from crosprov.mirror.holding import held, incoming_of
from crosprov.mirror.report import Failure, Kind, Report
from tests.mirror.overlays import write_tree
from tests.mirror.publishing import archive
from tests.support.bucket import BucketServer, bucket_server
from tests.support.serving import serving

FILES = {"foo-1.tar.xz": b"foo" * 9999, "foo-1.patch": b"patch"}


@dataclass(frozen=True)
class Place:
    """A tree, an upstream that has its files, and a mirror that is empty."""

    folder: Path

    @property
    def config(self) -> Path:
        return self.folder / "mirror.json"

    @property
    def store(self) -> Path:
        return self.folder / "store"

    @property
    def state(self) -> Path:
        return self.folder / "state"

    def upstream(self, name: str) -> Path:
        return self.folder / "upstream" / name


@pytest.fixture(autouse=True)
def _state_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "home"))


@pytest.fixture
def place(tmp_path: Path) -> Place:
    found = Place(tmp_path)
    write_tree(tmp_path / "tree", FILES)
    (tmp_path / "upstream").mkdir()
    found.store.mkdir()
    for name, content in FILES.items():
        found.upstream(name).write_bytes(content)
    config = Config(
        "gentoo", str(found.store), kind="automatic", upstreams=(str(tmp_path / "upstream"),),
        trees=(TreeSource(path=tmp_path / "tree"),), state=found.state,
    )  # fmt: skip
    found.config.write_text(written(config))
    return found


def test_a_sync_brings_what_is_needed_and_the_next_has_nothing_to_do(
    place: Place, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["sync", "--config", str(place.config)]
    assert console.main([*words, "--dry-run"]) == 0
    assert capsys.readouterr().out.count("would be fetched: ") == 2
    assert not place.state.exists() and not any(place.store.glob("foo*"))
    assert console.main(words) == 0
    said = capsys.readouterr()
    assert "2 needed, 0 present, 2 fetched (30.0 kB)" in said.out
    assert said.err.startswith("2 files to fetch (30.0 kB)\n")
    assert {path.name for path in place.store.glob("foo*")} == set(FILES)
    assert console.main([*words, "--format", "json"]) == 0
    report = json.loads(capsys.readouterr().out)
    Draft202012Validator(report_json.SCHEMA).validate(report)
    assert (report["present"], report["fetched"], report["good"]) == (2, 0, True)


def test_what_is_lacking_is_told_and_remembered(
    place: Place, capsys: pytest.CaptureFixture[str]
) -> None:
    place.upstream("foo-1.patch").unlink()
    assert console.main(["status", "--config", str(place.config)]) == 2
    assert capsys.readouterr().out == "last good sync: never\nno sync has ended yet\n"
    assert console.main(["sync", "--config", str(place.config)]) == 2
    assert "foo-1.ebuild: foo-1.patch: no upstream has it" in capsys.readouterr().out
    digest, lacking = (place.state / outcome.OUTCOME).read_text().split()
    assert (len(digest), lacking) == (16, "1")
    assert not (place.state / outcome.GOOD).exists()
    (reason,) = (place.state / outcome.REASONS).read_text().splitlines()
    assert reason.startswith("foo-1.patch: no upstream has it")
    assert console.main(["status", "--config", str(place.config)]) == 2
    assert "foo-1.patch: no upstream has it" in capsys.readouterr().out
    place.upstream("foo-1.patch").write_bytes(FILES["foo-1.patch"])
    assert console.main(["sync", "--config", str(place.config)]) == 0
    assert (place.state / outcome.OUTCOME).read_text() == f"{digest} 0\n"
    assert (place.state / outcome.GOOD).exists()
    assert (place.state / outcome.REASONS).read_text() == ""
    capsys.readouterr()
    assert console.main(["status", "--config", str(place.config), "--max-age", "1"]) == 0
    assert capsys.readouterr().out.startswith("last good sync: 0 s ago")
    assert console.main(["status", "--config", str(place.config), "--max-age", "0"]) == 2


def _status(place: Place, capsys: pytest.CaptureFixture[str]) -> tuple[int, list[str]]:
    """Ask for the status; give its exit status and its lines, in which no time passes."""
    capsys.readouterr()
    code = console.main(["status", "--config", str(place.config)])
    return code, re.sub(r"\d+ s ago", "0 s ago", capsys.readouterr().out).splitlines()


def _empty_store(place: Place) -> None:
    place.store.rename(place.folder / "unmounted")
    place.store.mkdir()


def _lose_tree(place: Place) -> None:
    (place.folder / "tree").rename(place.folder / "moved")


def _clash(place: Place) -> None:
    other = {"foo-1.patch": b"another content"}
    write_tree(place.folder / "tree", other, package="dev-libs/bar")


def _mend(place: Place) -> None:
    shutil.rmtree(place.folder / "tree", ignore_errors=True)
    write_tree(place.folder / "tree", FILES)
    if (place.folder / "unmounted").exists():
        shutil.rmtree(place.store)
        (place.folder / "unmounted").rename(place.store)


@pytest.mark.parametrize(
    ("harm", "sentence", "hint"),
    [
        (_empty_store, "the mirror is empty, and the ledger knows of files in it", "mount its"),
        (_lose_tree, "there is no such folder", "check the tree's path"),
        (_clash, "foo-1.patch", ""),
    ],
)
def test_why_a_sync_gave_up_is_known_until_one_comes_to_its_end(
    place: Place,
    capsys: pytest.CaptureFixture[str],
    harm: Callable[[Place], None],
    sentence: str,
    hint: str,
) -> None:
    assert console.main(["sync", "--config", str(place.config)]) == 0
    assert _status(place, capsys) == (0, ["last good sync: 0 s ago"])
    harm(place)
    assert console.main(["sync", "--config", str(place.config)]) == 1
    said = capsys.readouterr().err
    assert sentence in said
    code, (good, gave_up, *hints) = _status(place, capsys)
    assert code == 2 and good.startswith("last good sync: ")
    assert gave_up.startswith("last sync gave up 0 s ago: ") and sentence in gave_up
    assert hint in "".join(hints)
    reason, *_ = (place.state / outcome.REASONS).read_text().splitlines()
    assert reason.startswith("it gave up: ") and sentence in reason
    assert (place.state / outcome.OUTCOME).read_text().endswith(" 0\n"), "the first one's"
    words = ["status", "--config", str(place.config), "--format", "json"]
    assert console.main(words) == 2
    told = json.loads(capsys.readouterr().out)
    assert sentence in told["gave_up"]["sentence"] and told["last_sync"]["good"]
    _mend(place)
    assert console.main(["sync", "--config", str(place.config)]) == 0
    assert _status(place, capsys) == (0, ["last good sync: 0 s ago"])
    assert (place.state / outcome.REASONS).read_text() == ""


def test_a_first_sync_that_gave_up_says_so(
    place: Place, capsys: pytest.CaptureFixture[str]
) -> None:
    _lose_tree(place)
    assert console.main(["sync", "--config", str(place.config), "--dry-run"]) == 1
    assert _status(place, capsys)[1] == ["last good sync: never", "no sync has ended yet"]
    assert console.main(["sync", "--config", str(place.config)]) == 1
    code, lines = _status(place, capsys)
    assert code == 2 and lines[0] == "last good sync: never"
    assert lines[1].startswith("last sync gave up 0 s ago: ")


def test_a_sync_that_another_one_keeps_away_did_not_give_up(
    place: Place, capsys: pytest.CaptureFixture[str]
) -> None:
    assert console.main(["sync", "--config", str(place.config)]) == 0
    with held(incoming_of(Folder(str(place.store)), place.state), "it"):
        assert console.main(["sync", "--config", str(place.config)]) == 1
    assert _status(place, capsys) == (0, ["last good sync: 0 s ago"])


def test_a_report_that_cannot_be_read_is_named(
    place: Place, capsys: pytest.CaptureFixture[str]
) -> None:
    assert console.main(["sync", "--config", str(place.config)]) == 0
    (place.state / "last-sync.json").write_text("{")
    code, lines = _status(place, capsys)
    assert (code, lines[0]) == (2, "last good sync: not known")
    assert lines[1].endswith("state/last-sync.json is damaged, or of another version")


def test_what_trees_do_not_say_is_told_with_the_status(
    place: Place, capsys: pytest.CaptureFixture[str]
) -> None:
    manifest = place.folder / "tree/dev-libs/foo/Manifest"
    manifest.write_text(manifest.read_text().replace("foo-1.patch 5 ", "foo-1.patch "))
    assert console.main(["sync", "--config", str(place.config)]) == 0
    assert "1 not clear" in capsys.readouterr().out
    code, lines = _status(place, capsys)
    assert code == 0, "nothing that is known is lacking"
    assert lines[1].startswith("not clear what the trees need, so that it may be lacking: 1 note")
    assert "dev-libs/foo/Manifest:1: " in lines[2]
    assert (place.state / outcome.UNCLEAR).read_text() == "1\n"


def test_a_sync_that_stopped_says_why_and_what_was_not_tried(
    place: Place, capsys: pytest.CaptureFixture[str]
) -> None:
    failure = Failure("a.tar", 1, Kind.STORE, "there is no space left for a.tar")
    report = Report(
        what="sync", mirror="m", began=0.0, ended=1.0, needed=10, failures=(failure,),
        untried=9, stopped="/m: there is no space left for a.tar",
    )  # fmt: skip
    place.state.mkdir()
    report_json.keep(report, place.state)
    code, (_, summary, *lines) = _status(place, capsys)
    assert code == 2
    assert summary.endswith(" ago, files that failed: 1, not tried: 9")
    assert lines == [
        "  stopped: /m: there is no space left for a.tar",
        "  there is no space left for a.tar",
    ]
    assert list(outcome.reasons(report))[-1] == "9 files not tried"


def test_a_finding_counts_until_a_sync_has_mended_it(
    place: Place, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--config", str(place.config)]
    (place.store / "stranger.tar").write_bytes(b"somebody's")
    assert console.main(["sync", *words]) == 0
    assert console.main(["verify", *words]) == 0
    for name in ("foo-1.patch", "stranger.tar"):
        (place.store / name).chmod(0o644)
        (place.store / name).write_bytes(b"PATCH")
    assert console.main(["verify", *words]) == 2
    code, lines = _status(place, capsys)
    assert code == 2 and "findings: 2" in lines[1] and len(lines) == 4
    (place.store / "foo-1.patch").rename(place.folder / "evidence")
    verified = place.state / outcome.VERIFIED
    os.utime(verified, (1e9, 1e9))
    assert console.main(["sync", *words]) == 0
    code, lines = _status(place, capsys)
    assert code == 2 and "findings: 1, and 1 that a sync has mended" in lines[1]
    assert lines[2].startswith("  stranger.tar: ") and len(lines) == 3
    assert (verified.read_text(), verified.stat().st_mtime) == ("1\n", 1e9)


def test_a_damaged_file_is_found_and_stays(
    place: Place, capsys: pytest.CaptureFixture[str]
) -> None:
    assert console.main(["sync", "--config", str(place.config)]) == 0
    damaged = place.store / "foo-1.patch"
    damaged.chmod(0o644)
    damaged.write_bytes(b"PATCH")
    capsys.readouterr()
    assert console.main(["verify", "--config", str(place.config), "--format", "json"]) == 2
    assert json.loads(capsys.readouterr().out)["quarantine"] == ["foo-1.patch"]
    assert damaged.read_bytes() == b"PATCH"
    assert (place.state / outcome.VERIFIED).read_text() == "1\n"
    capsys.readouterr()
    assert console.main(["status", "--config", str(place.config)]) == 2
    assert "all files read: 0 s ago, files compared: 1, findings: 1\n  foo-1.patch: " in (
        capsys.readouterr().out
    )
    damaged.write_bytes(FILES["foo-1.patch"])
    assert console.main(["verify", "--config", str(place.config), "--older", "1"]) == 0
    assert (place.state / outcome.VERIFIED).read_text() == "1\n", "it read a part only"


@pytest.mark.parametrize("command", ["sync", "verify"])
def test_another_sync_is_waited_for_when_that_is_said(place: Place, command: str) -> None:
    words = [command, "--config", str(place.config)]
    assert console.main(["sync", "--config", str(place.config)]) == 0
    done: list[int] = []
    waiting = threading.Thread(target=lambda: done.append(console.main([*words, "--wait"])))
    with held(incoming_of(Folder(str(place.store)), place.state), "it"):
        assert console.main(words) == 1
        waiting.start()
        assert done == []
    waiting.join(30)
    assert done == [0]


def test_a_mirror_is_named_by_a_folder_and_options(
    place: Place, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["sync", str(place.store), "--tree", str(place.folder / "tree"), "--upstream",
             str(place.folder / "upstream"), "--state", str(place.state), "--hashed"]  # fmt: skip
    assert console.main(words) == 0
    assert len(list(place.store.glob("??/foo*"))) == 2
    assert (place.store / "layout.conf").exists()


def test_a_mirror_of_an_inventory_is_synced_from_a_controller(
    place: Place, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(place.folder / "home"))
    lab = place.folder / "lab.yml"
    lab.write_text(
        f"lab: l\nmirrors:\n  gentoo:\n    kind: automatic\n    store: {place.store}\n"
        f"    upstreams: [{place.folder}/upstream]\n    trees: [{place.folder}/tree]\n"
        "hosts: {m: {common: {}}}\n"
    )
    assert crosprov(["mirror", "sync", str(lab), "gentoo"]) == 0
    assert {path.name for path in place.store.glob("foo*")} == set(FILES)
    assert crosprov(["mirror", "status", str(lab), "gentoo"]) == 0
    assert list((place.folder / "home").glob("crosprov/mirrors/l/*/last-sync.json"))
    capsys.readouterr()
    assert crosprov(["mirror", "sync", str(lab), "gento"]) == 64
    assert "has no mirror gento\nhint: did you mean gentoo?" in capsys.readouterr().err


def test_needs_are_listed(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    assert console.main(["needs", "--tree", str(place.folder / "tree")]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "foo-1.patch 5 dev-libs/foo", "foo-1.tar.xz 29997 dev-libs/foo", "2 files, 30.0 kB",
    ]  # fmt: skip
    assert console.main(["needs", "--tree", str(place.folder / "tree"), "--format", "json"]) == 0
    archives = json.loads(capsys.readouterr().out)["archives"]
    assert archives[0]["owners"][0]["uris"][0]["text"] == "https://files.example.com/foo-1.patch"
    assert set(archives[0]["hashes"]) == {"BLAKE2B", "SHA512"}


def test_a_check_says_how_many_ebuilds_it_sources(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tree = write_tree(tmp_path / "tree", FILES, cached=False)
    assert console.main(["check", str(tree), "--no-history", "--format", "json"]) == 0
    answer = capsys.readouterr()
    assert answer.err == "1 ebuild to source\n" and json.loads(answer.out)["remarks"]


def test_a_check_knows_what_is_on_a_mirror(
    place: Place, capsys: pytest.CaptureFixture[str]
) -> None:
    (place.store / "foo-1.tar.xz").write_bytes(FILES["foo-1.tar.xz"])
    words = ["check", str(place.folder / "tree"), "--mirror", str(place.store), "--no-history"]
    assert console.main([*words, "--format", "json"]) == 2
    report = json.loads(capsys.readouterr().out)
    Draft202012Validator(FINDINGS).validate(report)
    assert [one["rule"] for one in report["findings"]] == ["unmirrored"]
    assert console.main([*words, "--format", "sarif"]) == 2
    assert json.loads(capsys.readouterr().out)["version"] == "2.1.0"
    (place.store / "foo-1.patch").write_bytes(FILES["foo-1.patch"])
    assert console.main(words) == 0


def test_a_file_is_packed_published_and_written_into_a_manifest(
    place: Place, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = place.folder / "thing-1.2"
    folder.mkdir()
    (folder / "file").write_text("x\n")
    assert console.main(["pack", str(folder)]) == 0
    packed = place.folder / "thing-1.2.tar.xz"
    words = ["publish", str(packed), "--to", str(place.store)]
    assert console.main(words) == 0
    assert (place.store / packed.name).read_bytes() == packed.read_bytes()
    capsys.readouterr()
    assert console.main([*words, "--format", "json"]) == 0
    assert json.loads(capsys.readouterr().out)["published"][0]["was_there"] is True
    package = write_tree(place.folder / "other", {packed.name: b""}) / "dev-libs/foo"
    (package / "Manifest").unlink()
    words = ["manifest", str(package), "--from", str(place.store), "--no-upstream"]
    assert console.main([*words, "--dry-run"]) == 0 and not (package / "Manifest").exists()
    assert console.main(words) == 0
    assert f"{packed.name}: from mirror {place.store}" in capsys.readouterr().out
    assert (package / "Manifest").read_text().startswith(f"DIST {packed.name} ")
    assert console.main(["protect", str(place.store)]) == 0


def test_publishing_is_rehearsed_and_one_bad_file_stops_no_other(
    place: Place, capsys: pytest.CaptureFixture[str]
) -> None:
    good, bad = archive(place.folder), place.folder / "files.zip"
    bad.write_bytes(b"PK")
    words = ["publish", str(bad), str(good), "--to", str(place.store)]
    assert console.main([*words, "--dry-run"]) == 1
    said = capsys.readouterr()
    assert said.out.startswith(f"{place.store}/{good.name} would be published (")
    error, *reasons = said.err.partition("hint: ")[0].splitlines()
    assert error == "error: files.zip was not published:" and "--foreign" in said.err
    assert [line.rpartition(" ")[2] for line in reasons] == [
        "[name-version]", "[name-generic]", "[own-format]",
    ]  # fmt: skip
    assert list(place.store.iterdir()) == []
    assert console.main([*words, "--format", "json"]) == 1
    document = json.loads(capsys.readouterr().out)
    assert [one["archive"]["name"] for one in document["published"]] == [good.name]
    assert [one["file"] for one in document["failed"]] == [str(bad)]
    assert [path.name for path in place.store.glob("[!.]*")] == [good.name]
    assert console.main([*words[:1], *words[2:], "--dry-run"]) == 0
    assert "was there already" in capsys.readouterr().out


def key_of(server: BucketServer, folder: Path) -> Path:
    """Write the key of a service account that may do everything in the bucket."""
    server.token("lab@example.com", roles={"some-bucket": "roles/storage.admin"})
    pem = StringIO()
    RSAKey.generate(2048).write_private_key(pem)
    path = folder / "key.json"
    told = {
        "type": "service_account", "client_email": "lab@example.com", "private_key": pem.getvalue(),
        "token_uri": f"{server.endpoint}/token",
    }  # fmt: skip
    path.write_text(json.dumps(told))
    return path


def test_a_bucket_is_filled_published_to_and_looked_at(
    place: Place, capsys: pytest.CaptureFixture[str]
) -> None:
    with bucket_server(place.folder / "contents") as server:
        server.bucket("some-bucket", public=False)
        google = ["--storage-endpoint", server.endpoint]
        google += ["--credentials", str(key_of(server, place.folder)), "--visibility", "public"]
        words = ["sync", "gs://some-bucket/distfiles", "--tree", f"{place.folder}/tree", *google,
                 "--upstream", f"{place.folder}/upstream", "--state", str(place.state)]  # fmt: skip
        assert console.main(words) == 0
        assert set(server.names("some-bucket")) == {f"distfiles/{name}" for name in FILES}
        file = archive(place.folder)
        words = ["publish", str(file), "--to", "gs://some-bucket/distfiles", *google]
        capsys.readouterr()
        assert console.main(words) == 0
        said = capsys.readouterr().out
        assert f"{file.name} is there now" in said and "public-read" in said
        assert f"read at {server.endpoint}/some-bucket/distfiles/{file.name}\n" in said
        server.put("some-bucket", "distfiles/forgotten-1.tar.xz", b"x", acl="projectPrivate")
        words = ["acl", "gs://some-bucket/distfiles", *google]
        assert console.main([*words, "--dry-run"]) == 2
        assert console.main(words) == 0
        assert "forgotten-1.tar.xz: repaired: it was not public" in capsys.readouterr().out
        assert console.main([*words, "--format", "json"]) == 0
        states = [one["state"] for one in json.loads(capsys.readouterr().out)["files"]]
        assert states == ["right"] * 4
        assert console.main(["protect", "gs://some-bucket/distfiles", *google]) == 2
        assert ": weak: " in capsys.readouterr().out
        words = ["protect", "gs://some-bucket/distfiles", *google, "--set"]
        assert console.main([*words, "--dry-run"]) == 2
        assert "object versioning: would be set: it is off" in capsys.readouterr().out
        assert console.main(["protect", "gs://some-bucket/distfiles", *google]) == 2
        assert "object versioning: weak: it is off" in capsys.readouterr().out


def test_a_published_object_that_was_replaced_is_found(
    place: Place, capsys: pytest.CaptureFixture[str]
) -> None:
    file = archive(place.folder)
    with bucket_server(place.folder / "contents") as server:
        server.bucket("some-bucket", public=False)
        google = ["--storage-endpoint", server.endpoint]
        google += ["--credentials", str(key_of(server, place.folder))]
        store = "gs://some-bucket/distfiles"
        words = ["publish", str(file), "--to", store, *google, "--visibility", "public"]
        assert console.main([*words, "--dry-run"]) == 0
        assert console.main(words) == 0
        assert console.main(["verify", store, *google]) == 0
        assert console.main(["verify", store, *google, "--visibility", "private"]) == 0
        told = capsys.readouterr().out
        assert "1 read and proven" in told and "not compared" not in told
        server.put("some-bucket", f"distfiles/{file.name}", b"another")
        assert console.main(["verify", store, *google]) == 2
        assert f"{file.name}: it was replaced" in capsys.readouterr().out


def test_only_what_needs_the_libraries_asks_for_them(
    place: Place, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("crosprov.cli.mirror.find_spec", lambda name: None)
    folder = place.folder / "some-project-0.0.2"
    folder.mkdir()
    (folder / "file").write_text("x")
    assert crosprov(["mirror", "pack", str(folder)]) == 0
    assert crosprov(["mirror", "verify", str(place.store)]) == 1
    said = capsys.readouterr().err
    assert "the mirror's libraries are not installed: pkgcore is missing" in said
    assert "in a checkout: .venv/bin/pip install -e '.[mirror]'" in said


def test_nobody_knows_who_may_read_a_bucket_that_nothing_tells_of(
    place: Place, capsys: pytest.CaptureFixture[str]
) -> None:
    with bucket_server(place.folder / "contents") as server:
        server.bucket("some-bucket", public=True)
        for name, content in FILES.items():
            server.put("some-bucket", f"distfiles/{name}", content)
        words = ["check", str(place.folder / "tree"), "--no-history", "--storage-endpoint",
                 server.endpoint, "--mirror", "gs://some-bucket/distfiles"]  # fmt: skip
        assert console.main(words) == 0
    said = capsys.readouterr().out
    assert "who may read gs://some-bucket/distfiles is not known" in said


WRONG: list[tuple[list[str], int, str]] = [
    ([], 64, "name a command"),
    (["snyc"], 64, "there is no command snyc; did you mean sync?"),
    (["sync"], 64, "name a mirror: INVENTORY NAME, a folder, or gs://bucket/prefix"),
    (["sync", "a", "b", "c"], 64, "'c' is one word too many"),
    (["sync", "a", "b"], 64, "an inventory is read by `crosprov mirror`"),
    (["sync", "--dryrun", "x"], 64, "sync has no option --dryrun; did you mean --dry-run?"),
    (["sync", "x", "--config", "y"], 64, "name a mirror, or --config, and not both"),
    (["sync", "x/", "--bandwidth", "2T"], 64, "a rate is bytes a second, such as 500k, 2M or 1G"),
    (["sync", "x/", "--parallel", "0"], 64, "the number of files is a whole number, 1 at least"),
    (["publish", "x"], 64, "name the mirror by --to: INVENTORY NAME, a folder, or gs://"),
    (["publish", "x", "--twin"], 64, "name the mirror by --to"),
    (["publish", "x", "y", "--name", "z", "--to", "m/"], 64, "--name is for a single file"),
    (["publish", "x", "--own", "--foreign", "--to", "m/"], 64, "exclude each other"),
    (["publish", "x", "--allow", "own-fromat", "--to", "m/"], 64, "did you mean own-format?"),
    (["publish", "x", "--to", "chromeos-mirror/gentoo"], 1, "filled by a program"),
    (["protect", "m/", "--administrator", "me@example.com"], 64, "me@example.com is no member"),
    (["sync", "nowhere"], 1, "nowhere is no mirror"),
    (["publish", "x", "--to", "lab.yml"], 64, "lab.yml is no mirror: one of an inventory is"),
    (["status", "/etc/hostname"], 64, "is named by two words, INVENTORY NAME"),
    (["sync", "x/"], 1, "is filled by people, so it is not synced"),
    (["sync", "/", "--upstream", "/u"], 1, "has no trees, so nothing says what it needs"),
    (["sync", "/", "--tree", "/none", "--upstream", "ftp://x"], 1, "ftp://x is no upstream"),
    (["sync", "/none", "--upstream", "/u"], 1, "/none: there is no such folder on this machine"),
    (["status", "--config", "/nonexistent"], 1, "/nonexistent: the file cannot be read"),
    (["check", "/nonexistent"], 1, "there is no such folder"),
    (["acl", "x/"], 1, "a folder has no ACLs"),
    (["acl", "gs://some-bucket"], 64, "nothing says who may read gs://some-bucket: add"),
    (["acl", "gs://some-bucket", "--visibility", "public"], 1, "credentials are needed to look"),
    (
        ["acl", "gs://chromeos-localmirror-private/x", "--visibility", "public"],
        64,
        "the mirror gs://chromeos-localmirror-private/x is private in any case",
    ),
    (["protect", "chromeos-localmirror", "--credentials", "/none"], 1, "no such credentials file"),
]


@pytest.mark.parametrize(("words", "status", "sentence"), WRONG)
def test_what_cannot_be_done_is_said_in_a_sentence(
    words: list[str], status: int, sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    try:
        found = console.main(words, "mirror")
    except SystemExit as leaving:
        found = leaving.code if isinstance(leaving.code, int) else -1
    said = capsys.readouterr()
    assert (found, said.out) == (status, "")
    assert sentence in said.err and "Traceback" not in said.err


class Slow(BaseHTTPRequestHandler):
    """Begins to give a file, and never ends."""

    def do_GET(self) -> None:
        if not self.path.endswith("foo-1.tar.xz"):
            self.send_error(404)
            return
        self.send_response(200)
        self.send_header("Content-Length", str(len(FILES["foo-1.tar.xz"])))
        self.end_headers()
        self.wfile.write(FILES["foo-1.tar.xz"][:1000])
        self.wfile.flush()
        self.server.begun.set()  # type: ignore[attr-defined]
        self.server.over.wait(60)  # type: ignore[attr-defined]

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@contextmanager
def slow_server() -> Iterator[ThreadingHTTPServer]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Slow)
    server.begun, server.over = threading.Event(), threading.Event()  # type: ignore[attr-defined]
    with serving(server):
        try:
            yield server
        finally:
            server.over.set()  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("number", "status", "sentence"),
    [
        (signal.SIGTERM, 143, "ended by a signal; the next run goes on from here\n"),
        (signal.SIGINT, 130, "stopped by the keyboard; the next run goes on from here\n"),
    ],
)
def test_a_signal_ends_a_sync_and_the_next_one_goes_on(
    place: Place, number: int, status: int, sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with slow_server() as server:
        config = Config(
            "gentoo", str(place.store), kind="automatic", state=place.state,
            upstreams=(f"http://127.0.0.1:{server.server_port}",),
            trees=(TreeSource(path=place.folder / "tree"),),
        )  # fmt: skip
        place.config.write_text(written(config))
        words = [sys.executable, "-m", "crosprov.mirror", "sync", "--config", str(place.config)]
        with subprocess.Popen(
            # A shell that was not asked to watch its jobs starts them deaf to Ctrl-C.
            ["env", "--default-signal=INT", *words],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            env={**os.environ, "NO_PROXY": "127.0.0.1"},
        ) as process:  # fmt: skip
            assert server.begun.wait(60)  # type: ignore[attr-defined]
            process.send_signal(number)
            out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (status, ""), err
    assert err.endswith(sentence) and "Traceback" not in err
    assert not any(place.store.glob("foo*"))
    interrupted = "last sync was interrupted 0 s ago: the next one goes on from where it was"
    assert _status(place, capsys) == (2, ["last good sync: never", interrupted])
    upstream = ["--upstream", str(place.folder / "upstream")]
    assert console.main(["sync", "--config", str(place.config), *upstream]) == 0
    assert (place.store / "foo-1.tar.xz").read_bytes() == FILES["foo-1.tar.xz"]


def test_a_reader_that_goes_away_is_no_defect(place: Place) -> None:
    words = [sys.executable, "-m", "crosprov.mirror", "needs", "--tree", f"{place.folder}/tree"]
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run(words, stdout=write, stderr=subprocess.PIPE, text=True, timeout=60)
    os.close(write)
    assert (done.returncode, done.stderr) == (141, "")


def test_the_program_needs_nothing_else_of_crosprov() -> None:
    program = (
        "import sys; import crosprov.mirror.console, crosprov.mirror.sync, "
        "crosprov.mirror.policy.check; print(sorted(n for n in sys.modules "
        "if n.startswith('crosprov.') and not n.startswith('crosprov.mirror')))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout == "[]\n", done.stderr
