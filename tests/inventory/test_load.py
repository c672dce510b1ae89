"""From a file to a lab."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crosprov import roles
from crosprov.errors import InventoryError, UsageError
from crosprov.inventory.fields import SecretRef
from crosprov.inventory.lab import Lab
from crosprov.inventory.load import load_lab, read_lab
from crosprov.transport.base import SshTarget
from tests.inventory.labs import EXAMPLES, ROOT, lab_of


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.name)
def test_the_inventories_of_the_project_are_sound(path: Path) -> None:
    assert load_lab(path).hosts


def test_the_tour_plays_every_role() -> None:
    tour = load_lab(ROOT / "inventory/example.yml")
    played = {role for host in tour.hosts.values() for role in host.roles}
    assert played == set(roles.available())


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.name)
def test_a_lab_can_travel_to_another_process(path: Path) -> None:
    lab = load_lab(path)
    copy: Lab = pickle.loads(pickle.dumps(lab))
    assert copy == lab


def test_the_example_shows_every_key() -> None:
    text = EXAMPLES[1].read_text(encoding="utf-8")
    missing = [
        f"{name}.{field}"
        for name, model in roles.available().items()
        for field in model.model_fields
        if f"{field}:" not in text
    ]
    assert missing == []


def test_settings_are_typed() -> None:
    lab = lab_of("lab: l\nhosts: {d: {dut: {board: eve}}}\n")
    dut, docker = roles.available()["dut"], roles.available()["docker"]
    host = lab.hosts["d"]
    assert host.settings(dut).model_dump()["board"] == "eve"
    assert host.plays("dut")
    assert not host.plays("docker")
    with pytest.raises(LookupError, match="host d does not play docker"):
        host.settings(docker)


def test_how_a_host_is_reached(tmp_path: Path) -> None:
    lab = lab_of(
        """\
        lab: l
        hosts:
          a:
            ssh:
              host: 192.0.2.7
              port: 2222
              user: labadmin
              identity_file: /keys/lab
              known_hosts: keys/known_hosts
              proxy_jump: root@jump.example.com:22,10.0.0.1
              sudo: true
              connect_timeout: 3
              command_timeout: 60
            docker: {}
          b: {docker: {}}
        """,
        tmp_path,
    )
    assert lab.hosts["a"].ssh_target() == SshTarget(
        name="a",
        host="192.0.2.7",
        port=2222,
        user="labadmin",
        identity_file="/keys/lab",
        known_hosts=str(tmp_path / "keys/known_hosts"),
        proxy_jump="root@jump.example.com:22,10.0.0.1",
        sudo=True,
        connect_timeout=3.0,
        command_timeout=60.0,
    )
    assert lab.hosts["b"].ssh_target() == SshTarget(name="b", host="b", user="root")


def test_the_home_is_that_of_who_runs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/somebody")
    lab = lab_of("lab: l\nhosts: {a: {ssh: {identity_file: ~/.ssh/lab}, docker: }}\n")
    assert lab.hosts["a"].ssh.identity_file == Path("/home/somebody/.ssh/lab")


@pytest.mark.parametrize(
    ("written", "told"),
    [
        ("{env: LAB}", "env LAB"),
        ("{file: secrets/x}", "file /nowhere/secrets/x"),
        ("{command: pass show x}", "command pass show x"),
        ("{command: [pass, show, x]}", "command pass show x"),
    ],
)
def test_a_secret_is_a_reference(written: str, told: str) -> None:
    lab = lab_of(f"lab: l\nhosts: {{f: {{factory_server: {{admin_password: {written}}}}}}}\n")
    secret = getattr(lab.hosts["f"].roles["factory_server"], "admin_password", None)
    assert isinstance(secret, SecretRef)
    assert secret.describe() == told


def test_sources_are_found_beside_the_inventory(tmp_path: Path) -> None:
    (tmp_path / "motd").write_text("hello\n")
    lab = lab_of("lab: l\nhosts: {a: {common: {files: {/a: {source: motd}}}}}\n", tmp_path)
    files = lab.hosts["a"].roles["common"].model_dump()["files"]
    assert files["/a"]["source"] == tmp_path / "motd"


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="does not exist") as caught:
        load_lab(tmp_path / "lab.yml")
    assert caught.value.hint


def test_a_file_that_is_a_directory(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be read: Is a directory"):
        load_lab(tmp_path)


def test_a_documented_mirror_is_filled_from_upstreams_of_one_s_own() -> None:
    mirror = lab_of("""
        lab: l
        mirrors:
          gentoo: {preset: chromeos-mirror/gentoo, upstreams: [https://example.com], trees: [/t]}
        hosts: {a: {docker: {}}}
        """).mirrors["gentoo"]
    assert mirror.store == "gs://chromeos-mirror/gentoo/distfiles"
    assert mirror.upstreams == ("https://example.com",) and mirror.synced


def test_a_file_that_is_not_text(tmp_path: Path) -> None:
    path = tmp_path / "lab.yml"
    path.write_bytes(b"lab: l\nhosts: \xff\n")
    with pytest.raises(InventoryError) as caught:
        load_lab(path)
    assert [(p.line, p.message) for p in caught.value.problems] == [(2, "is not UTF-8 text")]


def test_a_byte_order_mark_is_no_problem(tmp_path: Path) -> None:
    path = tmp_path / "lab.yml"
    path.write_bytes(b"\xef\xbb\xbflab: l\nhosts: {a: {docker: }}\n")
    assert load_lab(path).name == "l"


def test_a_forbidden_character_is_found(tmp_path: Path) -> None:
    path = tmp_path / "lab.yml"
    path.write_bytes(b"lab: l\nhosts: \x07\n")
    with pytest.raises(InventoryError) as caught:
        load_lab(path)
    assert [(p.line, p.column) for p in caught.value.problems] == [(2, 8)]


FRAGMENTS = st.sampled_from(
    ["lab", "hosts", "groups", "mirrors", "a", "dut", "ssh", ": ", ":", "\n", "\n  ", "\n    "]
    + ["{", "}", "[", "]", "- ", "&x ", "*x", "<<", "!t ", "'", '"', "1", "~", "[1:2]", ",", "# "]
)


@given(st.lists(FRAGMENTS, max_size=30).map("".join) | st.text(max_size=40))
def test_any_text_is_a_lab_or_problems(text: str) -> None:
    try:
        lab = read_lab(text, Path("/nowhere/lab.yml"))
    except InventoryError as error:
        assert error.problems
        assert all(p.message and p.line >= 1 and p.column >= 1 for p in error.problems)
    else:
        assert lab.hosts
