"""What the role docker asks for, from each of the places that Docker may come from."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from crosprov.errors import PlanError
from crosprov.inventory.lab import Lab
from crosprov.inventory.load import read_lab
from crosprov.planning.engine import Drawing
from tests.deploys import labs, scripted
from tests.deploys.scripted import ScriptedHost, Unit
from tests.support.debs import deb

KEY = "-----BEGIN PGP PUBLIC KEY BLOCK-----\n"
CONFIG = "/etc/docker/daemon.json"
REPOSITORY = (
    "repository: {url: 'https://p.example.com/d', suite: s, key: docker.asc, packages: [docker-ce]}"
)
FILES = "package_files: [docker.deb, runc.deb]"


def lab(folder: Path, settings: str) -> Lab:
    """Read a lab of one host with a section docker, and the files that it may name."""
    (folder / "docker.asc").write_text(KEY)
    deb(folder / "docker.deb", "docker.io", "20.10")
    deb(folder / "runc.deb", "runc", "1.1")
    text = f"lab: l\nhosts: {{box: {{ssh: {{host: 10.0.0.1}}, docker: {{{settings}}}}}}}\n"
    return read_lab(text, folder / "lab.yml")


def shown(drawing: Drawing) -> list[str]:
    return [f"{change.action.mark} {change.resource}" for change in drawing.changes]


PLANS = {
    "": ["+ packages docker.io", f"+ file {CONFIG}", "~ unit docker.service"],
    "users: [a], log_max_size: null, log_max_files: null": [
        "+ packages docker.io", "+ user a", "~ unit docker.service",
    ],
    REPOSITORY: [
        "+ file /etc/apt/keyrings/docker.asc", "+ file /etc/apt/sources.list.d/docker.sources",
        "> apt lists https://p.example.com/d", "+ packages docker-ce", f"+ file {CONFIG}",
        "~ unit docker.service",
    ],
    FILES: ["+ packages docker.io, runc", f"+ file {CONFIG}", "~ unit docker.service"],
}  # fmt: skip


@pytest.mark.parametrize("settings", PLANS)
def test_a_fresh_host_gets_docker_once(tmp_path: Path, settings: str) -> None:
    model = labs.model(lab(tmp_path, settings), "box")
    host = ScriptedHost()
    drawing = host.plan(model)
    assert (shown(drawing), host.rounds, drawing.notices) == (PLANS[settings], 1, [])
    host.take_in(drawing)
    host.versions = {"docker.io": "20.10", "runc": "1.1"}
    assert shown(host.plan(model)) == []
    assert host.rounds == 1


@pytest.mark.parametrize(
    ("settings", "members"),
    [
        ("", b'"max-size": "10m",\n    "max-file": "3"'),
        ("log_max_size: 1g, log_max_files: null", b'"max-size": "1g"\n  }\n}'),
        ("data_root: /data", b'"data-root": "/data"'),
        ("registry_mirrors: ['https://r.example.com']", b'[\n    "https://r.example.com"\n  ]'),
        ("settings: {bip: 192.0.2.1/24, dns: [192.0.2.2]}", b'"dns": [\n    "192.0.2.2"\n  ]'),
        ("settings: {log-opts: {tag: x}}", b'"tag": "x",\n    "max-size": "10m"'),
    ],
)
def test_keys_become_members(tmp_path: Path, settings: str, members: bytes) -> None:
    host = ScriptedHost()
    host.take_in(host.plan(labs.model(lab(tmp_path, settings), "box")))
    assert members in host.paths[CONFIG].content


def settled(folder: Path) -> ScriptedHost:
    host = ScriptedHost(units={"docker.service": Unit(True, True)})
    host.take_in(host.plan(labs.model(lab(folder, ""), "box")))
    host.containers = {"dome": ("", "")}
    return host


WARNING = "Docker is restarted, which stops these for a moment: dome"


@pytest.mark.parametrize(
    ("harm", "settings", "plan", "notices"),
    [
        (lambda host: None, "", [], []),
        (lambda host: host.paths.pop(CONFIG), "", [f"+ file {CONFIG}"], [WARNING]),
        (lambda host: host.paths.update({CONFIG: scripted.Path("regular file", content=b"{}")}),
         "", [f"~ file {CONFIG}"], [WARNING]),
        (lambda host: host.marks.add("docker.service"), "", ["> unit docker.service"], [WARNING]),
        (lambda host: host.versions.update({"docker.io": "19"}), FILES,
         ["~ packages docker.io, runc"], [WARNING]),
        (lambda host: host.versions.update({"docker.io": "20.10", "runc": "1.1"}), FILES,
         ["+ packages runc"], [WARNING]),
        (lambda host: setattr(host.units["docker.service"], "active", False), "",
         ["~ unit docker.service"], []),
    ],
)  # fmt: skip
def test_what_drifted_is_mended_with_a_warning(
    tmp_path: Path,
    harm: Callable[[ScriptedHost], object],
    settings: str,
    plan: list[str],
    notices: list[str],
) -> None:
    host = settled(tmp_path)
    harm(host)
    drawing = host.plan(labs.model(lab(tmp_path, settings), "box"))
    assert (shown(drawing), drawing.notices) == (plan, notices)


@pytest.mark.parametrize(
    ("settings", "system", "says"),
    [
        ("", "Darwin", "the host runs macOS"),
        ("package_files: [nowhere.deb]", "Linux", "nowhere.deb cannot be read"),
        (REPOSITORY.replace("docker.asc", "lab.yml"), "Linux", "cannot be read"),
    ],
)
def test_what_cannot_be_is_said(tmp_path: Path, settings: str, system: str, says: str) -> None:
    host = ScriptedHost(system=system)
    with pytest.raises(PlanError, match=says):
        host.plan(labs.model(lab(tmp_path, settings), "box"))
