from __future__ import annotations

from pathlib import Path

import pytest

from crosprov.errors import ChangeFailed, PlanError
from crosprov.facts.apt import list_names
from crosprov.operations.apt_source import apt_source
from crosprov.operations.packages import packages
from tests.support.machine import Machine, summary

STUBS = Path(__file__).parent / "stubs"
URL = "https://packages.example.com/docker_x/debian"
ARMORED = b"-----BEGIN PGP PUBLIC KEY BLOCK-----\n\nmQ==\n-----END PGP PUBLIC KEY BLOCK-----\n"
KEYRING, SOURCE = "/etc/apt/keyrings/docker.asc", "/etc/apt/sources.list.d/docker.sources"


@pytest.fixture
def debian(etc_machine: Machine) -> Machine:
    """A host of Debian with an /etc and an archive of its own."""
    names = ("apt-get", "apt-config", "dpkg", "dpkg-query")
    etc_machine.install(*(STUBS / name for name in names))
    (etc_machine.root / "dpkg" / "updates").mkdir(parents=True)
    etc_machine.environ["DPKG_ADMINDIR"] = str(etc_machine.root / "dpkg")
    (etc_machine.stubs / "dpkg").write_text("curl amd64 installed 1\n")
    (etc_machine.stubs / "archive").write_text("docker-ce\n")
    (etc_machine.root / "docker.asc").write_bytes(ARMORED)
    return etc_machine


def wanted(machine: Machine, *components: str) -> None:
    key = str(machine.root / "docker.asc")
    apt_source("docker", URL, "bookworm", components or ("stable",), key)
    packages(["docker-ce"])


def lists(machine: Machine, *components: str) -> None:
    """Put the lists there that apt would have fetched."""
    (machine.stubs / "lists").mkdir(exist_ok=True)
    for name in list_names(URL, "bookworm", components):
        (machine.stubs / "lists" / f"{name}amd64_Packages").write_text("")


def read(machine: Machine, path: str) -> bytes:
    return machine.transport().run(f"cat {path}").stdout


def test_a_repository_is_trusted_for_itself_alone(debian: Machine) -> None:
    changes = debian.apply(lambda: wanted(debian))
    assert [f"{change.action.mark} {change.resource}" for change in changes] == [
        f"+ file {KEYRING}", f"+ file {SOURCE}", f"> apt lists {URL}", "+ packages docker-ce",
    ]  # fmt: skip
    assert read(debian, KEYRING) == ARMORED
    assert read(debian, SOURCE).decode().splitlines()[1:] == [
        "Types: deb", f"URIs: {URL}", "Suites: bookworm", "Components: stable",
        f"Signed-By: {KEYRING}",
    ]  # fmt: skip
    assert debian.calls == ["apt-get update", "apt-get install docker-ce"]
    lists(debian, "stable")
    assert debian.plan(lambda: wanted(debian)).empty


def test_lists_are_fetched_for_a_component_that_is_new(debian: Machine) -> None:
    debian.apply(lambda: wanted(debian))
    lists(debian, "stable")
    plan = debian.plan(lambda: wanted(debian, "stable", "test"))
    assert summary(plan) == [f"~ file {SOURCE}", f"> apt lists {URL}"]


def test_a_repository_out_of_reach_is_said(debian: Machine) -> None:
    (debian.stubs / "offline").touch()
    with pytest.raises(ChangeFailed, match="Failed to fetch the lists"):
        debian.apply(lambda: wanted(debian))
    assert "apt lists" in summary(debian.plan(lambda: wanted(debian)))[0]


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (None, "cannot be read"),
        (b"", "not an OpenPGP public key"),
        (b"<html>", "not an OpenPGP public key"),
        (b"-----BEGIN PGP PRIVATE KEY BLOCK-----\n", "holds a private key"),
    ],
)
def test_what_is_no_key_is_said(debian: Machine, content: bytes | None, says: str) -> None:
    key = debian.root / "docker.asc"
    key.unlink()
    if content is not None:
        key.write_bytes(content)
    with pytest.raises(PlanError, match=says):
        debian.plan(lambda: wanted(debian))


def test_a_binary_key_is_named_so(debian: Machine) -> None:
    (debian.root / "docker.asc").write_bytes(b"\x99\x02\x0d")
    assert summary(debian.plan(lambda: wanted(debian)))[0] == "+ file /etc/apt/keyrings/docker.gpg"


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("https://a.example.com/x_y/", "a.example.com_x%5fy_dists_s_c_binary-"),
        ("http://u:p@a.example.com:8080/~x", "a.example.com:8080_%7ex_dists_s_c_binary-"),
    ],
)
def test_lists_are_named_as_apt_names_them(url: str, name: str) -> None:
    assert list_names(url, "s", ["c"]) == (name.replace("~", "%7e"),)
