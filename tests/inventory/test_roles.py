"""Roles are found by their modules, and compose."""

from __future__ import annotations

import pytest

from crosprov import roles
from crosprov.roles.role import RoleSettings
from tests.inventory.labs import ROOT, lab_of

NAMES = sorted(roles.available())


def test_a_role_is_a_module_with_settings() -> None:
    modules = (ROOT / "crosprov/roles").glob("*.py")
    written = {path.stem for path in modules if "class Settings(RoleSettings)" in path.read_text()}
    assert written
    assert set(NAMES) == written


@pytest.mark.parametrize("name", NAMES)
def test_a_role_refers_to_roles_that_exist(name: str) -> None:
    role = roles.available()[name]
    assert issubclass(role, RoleSettings)
    assert role.role() == name
    assert {*role.after, *role.implies} <= set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_implied_roles_need_no_section(name: str) -> None:
    for implied in roles.available()[name].implies:
        assert roles.available()[implied]() is not None


def test_roles_are_applied_in_order() -> None:
    ordered = roles.with_implied(NAMES)
    for place, name in enumerate(ordered):
        assert not set(roles.available()[name].after) & set(ordered[place:])


def test_what_is_implied_comes_first_and_keeps_its_settings() -> None:
    lab = lab_of("lab: l\nhosts: {f: {factory_server: , docker: {package: docker-ce}}}\n")
    host = lab.hosts["f"]
    assert list(host.roles) == ["docker", "factory_server"]
    assert host.roles["docker"].model_dump()["package"] == "docker-ce"


@pytest.mark.parametrize(
    ("section", "address", "urls"),
    [
        ("dev_server: {port: 8081}", "10.0.0.1", ["http://10.0.0.1:8081/check_health"]),
        ("factory_server: ", "10.0.0.1", ["http://10.0.0.1:8000/"]),
        ("factory_server: {dome_port: 9000}", "2001:db8::1", ["http://[2001:db8::1]:9000/"]),
        ("mirror: {serves: [g]}", "m.example.com", ["http://m.example.com:80/"]),
        ("dut: {board: eve}", "10.0.0.1", []),
        ("docker: ", "10.0.0.1", []),
    ],
)
def test_a_ready_role_answers_its_probes(section: str, address: str, urls: list[str]) -> None:
    lab = lab_of(f"""\
    lab: l
    mirrors: {{g: {{kind: manual, store: /g}}}}
    hosts: {{a: {{ssh: {{host: "{address}"}}, {section}}}}}
    """)
    host = lab.hosts["a"]
    probes = [probe for role in host.roles.values() for probe in role.probes(host.address)]
    assert [probe.url for probe in probes] == urls
    assert all(probe.url.endswith(probe.path) and probe.status == 200 for probe in probes)


def test_the_ports_of_an_umpire() -> None:
    lab = lab_of("lab: l\nhosts: {f: {factory_server: {projects: {eve: {umpire_port: 9000}}}}}\n")
    assert lab.hosts["f"].roles["factory_server"].ports() == {
        8000: "Dome",
        **dict.fromkeys((9000, 9002, 9004, 9006, 9008, 9009), "the Umpire of eve"),
    }
