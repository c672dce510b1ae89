from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from crosprov.transport.base import Transport
from crosprov.transport.ssh import connect
from tests.support.sshd import MISSING, Sshd, installed, sshd


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sshd]:
    """One server for the tests that change nothing about it."""
    if not installed():
        pytest.skip(MISSING)
    with sshd(tmp_path_factory.mktemp("sshd")) as running:
        yield running


@pytest.fixture
def own_server(tmp_path: Path) -> Iterator[Sshd]:
    """A server that a test may stop, kill or confuse."""
    if not installed():
        pytest.skip(MISSING)
    with sshd(tmp_path / "own-sshd") as running:
        yield running


@pytest.fixture
def transport(server: Sshd) -> Iterator[Transport]:
    with closing(connect(server.target())) as session:
        yield session


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home directory without keys, configuration or agent."""
    directory = tmp_path / "home"
    (directory / ".ssh").mkdir(parents=True)
    monkeypatch.setenv("HOME", str(directory))
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    return directory
