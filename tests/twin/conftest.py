"""Labs for the tests, and the survey that proves that nothing is left of one."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator

import pytest

from crosprov.twin import Kind, TwinHost, TwinLab, TwinSpec, why_not

LAB_SPEC = TwinSpec(
    "tests",
    (
        TwinHost("dev1", "10.0.0.6", Kind.SERVER, user="ops"),
        TwinHost("mirror1", "mirror1.example.com", Kind.SERVER),
        TwinHost("dut01", "10.0.1.1", Kind.DUT, board="eve"),
    ),
)

Run = Callable[..., subprocess.CompletedProcess[str]]


def pytest_runtest_setup(item: pytest.Item) -> None:
    if item.get_closest_marker("lab") and (reason := why_not()):
        pytest.skip(reason)


@pytest.fixture(scope="session")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TwinLab]:
    """Two servers and a DUT, booted once for all tests that do not harm them."""
    if reason := why_not():
        pytest.skip(reason)
    booted = TwinLab(LAB_SPEC, state_dir=tmp_path_factory.mktemp("lab") / "state")
    try:
        booted.up(print_nothing)
        yield booted
    finally:
        booted.down(print_nothing)


@pytest.fixture
def run(lab: TwinLab) -> Run:
    """Run a command on a twin of the lab and return what it left."""

    def on(name: str, command: str, *, user: str | None = None) -> subprocess.CompletedProcess[str]:
        return ssh(lab, name, command, user=user)

    return on


def ssh(
    lab: TwinLab, name: str, command: str, *, user: str | None = None
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        (*lab.ssh_command(name, user=user), command),
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        timeout=240,
    )


def print_nothing(_: str) -> None:
    return
