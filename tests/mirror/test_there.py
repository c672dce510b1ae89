"""Mirrors of an inventory whose folder is on another host: published to, read back, verified."""

from __future__ import annotations

import base64
import hashlib
import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote

import pytest

from crosprov.cli.app import run as crosprov
from crosprov.mirror.folder import INCOMING
from crosprov.mirror.record import RECORD
from tests.mirror.overlays import write_tree
from tests.mirror.publishing import NAME, archive
from tests.support.serving import serving
from tests.support.sshd import MISSING, Sshd, installed, sshd

WORD = "s3cret"


@dataclass
class Site:
    """A web server of mirrors: `local` for everybody, `inner` for those with the password."""

    stores: Path
    leaks: bool = False
    asked: list[tuple[str, int]] = field(default_factory=list)
    port: int = 0

    def answer(self, path: str, authorization: str) -> tuple[int, bytes]:
        mirror, _, name = unquote(path).strip("/").partition("/distfiles/")
        word = base64.b64encode(f"ci:{WORD}".encode()).decode()
        if mirror == "inner" and not self.leaks and authorization != f"Basic {word}":
            return 401, b""
        file = self.stores / mirror / name
        return (200, file.read_bytes()) if file.is_file() else (404, b"")


@contextmanager
def shown(site: Site) -> Iterator[Site]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, content = site.answer(self.path, self.headers.get("Authorization", ""))
            site.asked.append((self.path, status))
            self.send_response(status)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *words: object) -> None:
            """Say nothing."""

    with serving(ThreadingHTTPServer(("127.0.0.1", 0), Handler)) as server:
        site.port = server.server_port
        yield site


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sshd]:
    """The mirrors' host, which is this machine behind SSH."""
    if not installed():
        pytest.skip(MISSING)
    with sshd(tmp_path_factory.mktemp("sshd")) as running:
        yield running


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    for name in ("local", "inner"):
        (tmp_path / "stores" / name).mkdir(parents=True)
    with shown(Site(tmp_path / "stores")) as running:
        yield running


@pytest.fixture
def lab(tmp_path: Path, host: Sshd, site: Site, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("READER", WORD)
    path = tmp_path / "lab.yml"
    path.write_text(f"""
lab: l
mirrors:
  local: {{kind: manual, store: {site.stores}/local}}
  inner: {{kind: manual, visibility: private, store: {site.stores}/inner}}
  filled: {{kind: automatic, trees: [/srv/x], store: {site.stores}/filled}}
hosts:
  m:
    ssh:
      host: 127.0.0.1
      port: {host.port}
      identity_file: {host.client_key}
      known_hosts: {host.known_hosts}
    mirror: {{serves: [local, inner, filled], port: {site.port}, readers: {{ci: {{env: READER}}}}}}
""")
    return str(path)


def publish(lab: str, mirror: str, file: Path, *words: str) -> int:
    return crosprov(["mirror", "publish", str(file), "--to", lab, mirror, *words])


def test_a_file_is_published_and_read_as_everybody_does(
    tmp_path: Path, lab: str, site: Site, capsys: pytest.CaptureFixture[str]
) -> None:
    file = archive(tmp_path)
    assert publish(lab, "local", file, "--dry-run") == 0
    assert "would be published" in capsys.readouterr().out and not site.asked
    assert publish(lab, "local", file) == 0
    told = capsys.readouterr().out
    assert f"m:{site.stores}/local/{NAME} is there now" in told
    assert f"without credentials http://127.0.0.1:{site.port}/local/distfiles/{NAME} gives" in told
    assert (site.stores / "local" / NAME).read_bytes() == file.read_bytes()
    assert publish(lab, "local", file) == 0
    assert "was there already, with the same content" in capsys.readouterr().out


def test_a_private_file_is_read_with_a_password_and_not_without(
    tmp_path: Path, lab: str, site: Site, capsys: pytest.CaptureFixture[str]
) -> None:
    assert publish(lab, "inner", archive(tmp_path), "--format", "json") == 0
    shown = capsys.readouterr()
    (done,) = json.loads(shown.out)["published"]
    assert done["proofs"][0].startswith("as the reader ci http://127.0.0.1")
    assert done["proofs"][1].startswith("without credentials http://127.0.0.1")
    assert done["proofs"][1].endswith("answers with status 401") and done["remarks"] == []
    assert [status for _, status in site.asked] == [200, 401]
    assert WORD not in shown.out + shown.err


def test_a_private_file_that_everybody_gets_is_told(
    tmp_path: Path, lab: str, site: Site, capsys: pytest.CaptureFixture[str]
) -> None:
    site.leaks = True
    assert publish(lab, "inner", archive(tmp_path)) == 1
    assert "is there, and everybody can read it" in capsys.readouterr().err


def test_another_content_is_refused_with_both_digests_and_a_name(
    tmp_path: Path, lab: str, site: Site, capsys: pytest.CaptureFixture[str]
) -> None:
    assert publish(lab, "local", archive(tmp_path)) == 0
    there = hashlib.sha512((site.stores / "local" / NAME).read_bytes()).hexdigest()
    (tmp_path / "other").mkdir()
    other = archive(tmp_path / "other", content=b"another")
    here = hashlib.sha512(other.read_bytes()).hexdigest()
    capsys.readouterr()
    assert publish(lab, "local", other) == 1
    said = capsys.readouterr().err
    assert f"SHA512 {here} here" in said and f"with {there} there" in said
    assert "rename its folder to some-project-0.0.1_p1, pack it again, and publish" in said
    assert (site.stores / "local" / NAME).read_bytes() != other.read_bytes()
    assert list((site.stores / "local" / INCOMING).iterdir()) == []


def test_a_mirror_that_people_fill_is_verified_by_reading_it(
    tmp_path: Path, lab: str, site: Site, capsys: pytest.CaptureFixture[str]
) -> None:
    files = {"foo-1.tar.xz": b"foo" * 9999, "bar-2.tar.gz": b"bar"}
    tree = str(write_tree(tmp_path / "tree", files))
    for name, content in files.items():
        (site.stores / "local" / name).write_bytes(content)
    assert crosprov(["mirror", "verify", lab, "local", "--tree", tree]) == 0
    assert "2 read and proven" in capsys.readouterr().out
    (site.stores / "local" / "bar-2.tar.gz").write_bytes(b"BAR")
    assert crosprov(["mirror", "verify", lab, "local", "--tree", tree]) == 2
    assert "bar-2.tar.gz: " in capsys.readouterr().out


@pytest.mark.parametrize("known", ["beside", "here", "beside, of a file that was there"])
def test_a_published_file_that_was_changed_is_found_without_a_tree(
    tmp_path: Path,
    lab: str,
    site: Site,
    known: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    file, store = archive(tmp_path), site.stores / "local"
    if known.endswith("was there"):
        (store / NAME).write_bytes(file.read_bytes())
    assert publish(lab, "local", file) == 0
    assert (store / RECORD).stat().st_mode & 0o077 == 0
    if known == "here":
        (store / RECORD).unlink()
    else:
        shutil.rmtree(tmp_path / "home")  # as another controller has it
    assert crosprov(["mirror", "verify", lab, "local"]) == 0
    told = capsys.readouterr().out
    assert "1 read and proven" in told and "not compared" not in told
    changed = bytearray(file.read_bytes())
    changed[-1] ^= 1
    (store / NAME).chmod(0o644)
    (store / NAME).write_bytes(changed)
    assert crosprov(["mirror", "verify", lab, "local"]) == 2
    assert f"{NAME}: it was replaced or damaged on the mirror" in capsys.readouterr().out
    assert crosprov(["mirror", "status", lab, "local"]) == 2
    assert "files compared: 0, findings: 1" in capsys.readouterr().out


def test_a_line_that_was_changed_with_its_file_deceives_no_publisher(
    tmp_path: Path, lab: str, site: Site, capsys: pytest.CaptureFixture[str]
) -> None:
    store = site.stores / "local"
    assert publish(lab, "local", archive(tmp_path)) == 0
    (store / NAME).chmod(0o644)
    (store / NAME).write_bytes(b"evil")
    digest = hashlib.sha512(b"evil").hexdigest()
    (store / RECORD).write_text(f"1700000000 4 SHA512 {digest} {NAME}\n")
    capsys.readouterr()
    assert crosprov(["mirror", "verify", lab, "local"]) == 2
    assert f"{NAME}: it was replaced" in capsys.readouterr().out


def test_what_was_compared_with_nothing_is_said(
    lab: str, site: Site, capsys: pytest.CaptureFixture[str]
) -> None:
    stranger = site.stores / "local" / "stranger-1.tar"
    stranger.write_bytes(b"who am I")
    words = [lab, "local"]
    assert crosprov(["mirror", "status", *words]) == 0
    assert "filled by people, so it is not synced" in capsys.readouterr().out
    assert crosprov(["mirror", "status", *words, "--max-age", "1"]) == 1
    assert "no sync of it can be too old" in capsys.readouterr().err
    assert crosprov(["mirror", "verify", *words]) == 0
    told = capsys.readouterr().out
    assert "not compared: nothing is known of stranger-1.tar; its digest is now" in told
    assert "read and proven" not in told
    assert crosprov(["mirror", "status", *words]) == 0
    told = capsys.readouterr().out
    assert "files compared: 0, not compared, as nothing was known of them: 1, findings: 0" in told
    stranger.write_bytes(b"somebody")
    assert crosprov(["mirror", "verify", *words]) == 2
    assert "stranger-1.tar: it was replaced" in capsys.readouterr().out


def test_a_check_looks_at_all_mirrors_of_an_inventory(
    tmp_path: Path, lab: str, site: Site, capsys: pytest.CaptureFixture[str]
) -> None:
    tree = str(write_tree(tmp_path / "tree", {"foo-1.tar.gz": b"foo", "bar-2.tar.gz": b"bar"}))
    words = ["mirror", "check", tree, "--no-history", "--format", "json"]
    assert crosprov(words) == 0
    assert "unmirrored" not in json.loads(capsys.readouterr().out)["rules"]
    (site.stores / "local" / "foo-1.tar.gz").write_bytes(b"foo")
    (site.stores / "inner" / "bar-2.tar.gz").write_bytes(b"bar")
    path = Path(lab)
    path.write_text(path.read_text().replace("inner, filled]", "inner]").replace(
        "kind: automatic, trees: [/srv/x]", "kind: manual"
    ))  # fmt: skip
    (site.stores / "filled").mkdir()
    assert crosprov([*words, "--mirrors-of", lab]) == 2
    (found,) = json.loads(capsys.readouterr().out)["findings"]
    assert (found["rule"], found["subject"]) == ("unmirrored", "bar-2.tar.gz")
    assert crosprov([*words, "--mirrors-of", lab, "--private"]) == 0


def test_what_was_proven_of_a_mirror_is_compared_and_not_its_size_only(
    tmp_path: Path, lab: str, site: Site, capsys: pytest.CaptureFixture[str]
) -> None:
    (site.stores / "local" / "foo-1.tar.gz").write_bytes(b"foo")
    old = str(write_tree(tmp_path / "old", {"foo-1.tar.gz": b"foo"}))
    new = str(write_tree(tmp_path / "new", {"foo-1.tar.gz": b"FOO"}))
    words = ["mirror", "check", new, "--no-history", "--mirror", lab, "local"]
    assert crosprov(words) == 0, "nothing is known of it but its size"
    assert crosprov(["mirror", "verify", lab, "local", "--tree", old]) == 0
    assert crosprov(words) == 2
    assert "BLAKE2B" in capsys.readouterr().out


def test_the_right_to_write_on_a_host_is_seen_and_taken(
    tmp_path: Path, lab: str, site: Site, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = site.stores / "local"
    (folder / "foo 1").write_bytes(b"foo")
    folder.chmod(0o777)
    words = ["mirror", "protect", lab, "local"]
    assert crosprov([*words, "--set", "--dry-run"]) == 2
    told = capsys.readouterr().out
    assert "files: would be set: 1 file can be written to, such as foo 1" in told
    assert "folder: would be set: others" in told and folder.stat().st_mode & 0o777 == 0o777
    assert crosprov([*words, "--set"]) == 0
    assert (folder / "foo 1").stat().st_mode & 0o222 == 0
    assert folder.stat().st_mode & 0o777 == 0o755
    assert "files: set: " in capsys.readouterr().out


def test_a_manifest_is_written_from_a_private_mirror(
    tmp_path: Path, lab: str, site: Site, capsys: pytest.CaptureFixture[str]
) -> None:
    tree = write_tree(tmp_path / "tree", {"foo-1.tar.gz": b"foo"})
    (site.stores / "inner" / "foo-1.tar.gz").write_bytes(b"foo")
    manifest = tree / "dev-libs" / "foo" / "Manifest"
    before = manifest.read_text()
    manifest.unlink()
    words = ["mirror", "manifest", str(manifest.parent), "--from", lab, "inner", "--no-upstream"]
    assert crosprov(words) == 0
    assert manifest.read_text() == before
    assert "foo-1.tar.gz: from mirror inner" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["verify"], "m has no program for the mirror filled yet\nhint: crosprov apply brings it"),
        (["status"], "m has no program for the mirror filled yet"),
        (["sync", "--dry-run"], "m has no program for the mirror filled yet"),
        (["sync", "--bandwidth", "1M"], "m syncs the mirror filled as the inventory says"),
        (["sync", "--trust-size"], "hint: write them into the inventory, or leave them out"),
        (["verify", "--state", "/x"], "and --state means something of this machine"),
    ],
)
def test_what_a_host_syncs_is_looked_after_there(
    lab: str, words: list[str], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    command, *options = words
    assert crosprov(["mirror", command, lab, "filled", *options]) == 1
    assert sentence in capsys.readouterr().err


def test_what_a_host_syncs_is_not_published_to(
    tmp_path: Path, lab: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert publish(lab, "filled", archive(tmp_path)) == 1
    assert "is filled by a program, and nobody publishes there" in capsys.readouterr().err
    assert crosprov(["mirror", "acl", lab, "local"]) == 1
    assert "a folder has no ACLs" in capsys.readouterr().err


def test_a_host_that_does_not_answer_is_said(
    tmp_path: Path, lab: str, host: Sshd, capsys: pytest.CaptureFixture[str]
) -> None:
    path = Path(lab)
    path.write_text(path.read_text().replace(f"port: {host.port}", "port: 1"))
    assert publish(lab, "local", archive(tmp_path)) == 1
    assert "refused the connection" in capsys.readouterr().err


def test_twins_are_for_inventories(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert crosprov(["mirror", "verify", str(tmp_path), "--twin"]) == 64
    assert "--twin is for a mirror of an inventory" in capsys.readouterr().err
