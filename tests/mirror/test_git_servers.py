"""Trees out of git over https and ssh, from real servers on loopback."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from crosprov.mirror.checkouts import bring
from crosprov.mirror.model import Fault
from tests.mirror.overlays import write_tree
from tests.support.certificates import secured
from tests.support.serving import serving
from tests.support.sshd import MISSING, installed, sshd

GIT = ["git", "-c", "user.name=a", "-c", "user.email=a@example.com"]


def backend() -> Path:
    """Find the program that serves git over HTTP."""
    core = subprocess.run(["git", "--exec-path"], capture_output=True, text=True, check=True)
    return Path(core.stdout.strip(), "git-http-backend")


def commit(tree: Path, files: dict[str, bytes]) -> None:
    write_tree(tree, files)
    if not (tree / ".git").exists():
        subprocess.run([*GIT, "init", "-q", "-b", "main"], cwd=tree, check=True)
    subprocess.run([*GIT, "add", "-A"], cwd=tree, check=True)
    subprocess.run([*GIT, "commit", "-q", "-m", "one"], cwd=tree, check=True)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A repository with a tree in it."""
    commit(tmp_path / "served" / "tree", {"foo-1.tar.xz": b"foo"})
    return tmp_path / "served" / "tree"


class Handler(BaseHTTPRequestHandler):
    """Answer with what git's own program says."""

    root: Path

    def do_GET(self) -> None:
        self._answer(b"")

    def do_POST(self) -> None:
        self._answer(self.rfile.read(int(self.headers.get("Content-Length", 0))))

    def _answer(self, body: bytes) -> None:
        parts = urlsplit(self.path)
        environment = {
            "PATH": os.environ["PATH"], "GIT_PROJECT_ROOT": str(self.root),
            "GIT_HTTP_EXPORT_ALL": "1", "PATH_INFO": parts.path, "QUERY_STRING": parts.query,
            "REQUEST_METHOD": self.command, "CONTENT_LENGTH": str(len(body)),
            "CONTENT_TYPE": self.headers.get("Content-Type", ""), "REMOTE_ADDR": "127.0.0.1",
            "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding", ""),
            "GIT_PROTOCOL": self.headers.get("Git-Protocol", ""),
            "GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": "safe.directory",
            "GIT_CONFIG_VALUE_0": "*",
        }  # fmt: skip
        done = subprocess.run(
            [str(backend())], input=body, env=environment, capture_output=True, check=False
        )
        head, _, content = done.stdout.partition(b"\r\n\r\n")
        fields = dict(line.split(": ", 1) for line in head.decode().splitlines())
        self.send_response(int(fields.pop("Status", "200").split()[0]))
        for name, value in fields.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *words: object) -> None:
        """Say nothing."""


@pytest.fixture
def address(tmp_path: Path, tree: Path) -> Iterator[str]:
    """The address of an https server whose certificate is in `certificate.pem`."""
    if not backend().is_file():
        pytest.skip("git has no http-backend here")
    server = ThreadingHTTPServer(
        ("127.0.0.1", 0), type("Served", (Handler,), {"root": tree.parent})
    )
    secured(server, tmp_path)
    with serving(server):
        yield f"https://127.0.0.1:{server.server_port}/tree"


def test_a_tree_comes_over_https(
    tmp_path: Path, tree: Path, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GIT_SSL_CAINFO", str(tmp_path / "certificate.pem"))
    here = bring(address, tmp_path / "here", ref="main")
    assert "foo-1.tar.xz" in (here / "dev-libs/foo/Manifest").read_text()
    commit(tree, {"foo-1.tar.xz": b"foo", "bar-2.tar.xz": b"bar"})
    bring(address, tmp_path / "here", ref="main")
    assert "bar-2.tar.xz" in (here / "dev-libs/foo/Manifest").read_text()


def test_a_server_that_nobody_vouches_for_is_refused(tmp_path: Path, address: str) -> None:
    with pytest.raises(Fault, match="cannot be fetched: .*certificate"):
        bring(address, tmp_path / "here")


def test_a_repository_that_is_not_there_is_said(
    tmp_path: Path, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GIT_SSL_CAINFO", str(tmp_path / "certificate.pem"))
    with pytest.raises(Fault, match="cannot be fetched: .*not found"):
        bring(f"{address}-none", tmp_path / "here")


@pytest.mark.skipif(not installed(), reason=MISSING)
def test_a_tree_comes_over_ssh_and_nobody_is_asked_for_anything(
    tmp_path: Path, tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with sshd(tmp_path / "sshd") as server:
        home = tmp_path / "home"
        (home / "ssh").mkdir(parents=True)
        options = f"-F none -o UserKnownHostsFile={server.known_hosts}"
        address = f"ssh://root@127.0.0.1:{server.port}{tree}"
        monkeypatch.setenv("HOME", str(home))
        monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
        shell = f"{shutil.which('ssh')} {options}"
        monkeypatch.setenv("GIT_SSH_COMMAND", f"{shell} -i {server.client_key}")
        target = server.target()
        here = bring(address.replace("root@", f"{target.user}@"), tmp_path / "here")
        assert "foo-1.tar.xz" in (here / "dev-libs/foo/Manifest").read_text()
        monkeypatch.setenv("GIT_SSH_COMMAND", f"{shell} -o IdentitiesOnly=yes -i /nonexistent")
        with pytest.raises(Fault, match="cannot be fetched: "):
            bring(address, tmp_path / "other")
