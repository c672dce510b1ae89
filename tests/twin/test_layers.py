from __future__ import annotations

import os
import stat
from ipaddress import IPv4Network
from pathlib import Path

import pytest

from crosprov.errors import TwinError
from crosprov.twin.accounts import add_account
from crosprov.twin.archives import share
from crosprov.twin.capabilities import missing
from crosprov.twin.files import Tree, write_whole
from crosprov.twin.layers import hosts_file, lsb_release, sshd_config
from crosprov.twin.record import LabRecord
from crosprov.twin.rootfs import apt_settings
from crosprov.twin.subnets import lab_addresses
from tests.twin.conftest import LAB_SPEC

RECORD = LabRecord(LAB_SPEC, IPv4Network("10.80.1.0/24"), lab_addresses(LAB_SPEC.hosts))


def test_every_twin_is_named_in_the_hosts_file() -> None:
    lines = hosts_file(RECORD).splitlines()
    assert "10.0.0.6 dev1" in lines
    assert "198.18.0.1 mirror1.example.com mirror1" in lines
    assert "10.0.1.1 dut01" in lines


def test_a_dut_keeps_its_host_key_on_the_stateful_partition() -> None:
    dut = RECORD.seat("dut01").host
    config = sshd_config(dut).splitlines()
    assert "HostKey /mnt/stateful_partition/etc/ssh/ssh_host_ed25519_key" in config
    assert "/usr/local/bin" not in sshd_config(dut)


def test_lsb_release_has_one_line_for_each_key() -> None:
    lines = lsb_release("eve").splitlines()
    keys = [line.partition("=")[0] for line in lines]
    assert "CHROMEOS_RELEASE_BOARD=eve" in lines
    assert sorted(set(keys)) == keys
    assert all(line == line.strip() for line in lines)


def test_a_tree_has_the_modes_asked_for_under_any_umask(tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        tree = Tree(tmp_path / "root")
        tree.file("/etc/deep/er/file", "x", 0o640)
        tree.directory("/root/.ssh", 0o700)
    finally:
        os.umask(before)
    modes = {
        path: stat.S_IMODE((tree.root / path).stat().st_mode)
        for path in (".", "etc", "etc/deep/er", "etc/deep/er/file", "root", "root/.ssh")
    }
    assert modes == {
        ".": 0o755,
        "etc": 0o755,
        "etc/deep/er": 0o755,
        "etc/deep/er/file": 0o640,
        "root": 0o755,
        "root/.ssh": 0o700,
    }


def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "file").mkdir()
    with pytest.raises(IsADirectoryError):
        write_whole(tmp_path / "file", b"new")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_a_system_account_is_not_given_away(tmp_path: Path) -> None:
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/passwd").write_text("root:x:0:0::/root:/bin/sh\nwww-data:x:33:33::/:/x\n")
    with pytest.raises(TwinError, match="www-data is a system account"):
        add_account(Tree(tmp_path / "layer"), tmp_path, "www-data", "ssh-ed25519 AAAA")


def test_packages_are_shared_as_links_and_locks_are_not(tmp_path: Path) -> None:
    mine, shared = tmp_path / "mine", tmp_path / "shared"
    mine.mkdir()
    shared.mkdir()
    (mine / "curl_1_amd64.deb").write_text("package")
    (mine / "lock").write_text("")
    (shared / "nginx_1_amd64.deb").write_text("kept")
    share(mine, shared)
    assert sorted(path.name for path in shared.iterdir()) == [
        "curl_1_amd64.deb",
        "nginx_1_amd64.deb",
    ]
    assert (shared / "curl_1_amd64.deb").samefile(mine / "curl_1_amd64.deb")
    share(tmp_path / "nowhere", shared)


@pytest.mark.parametrize(
    ("bounding", "expected"),
    [
        ("000001ffffffffff", []),
        ("000001fffeffffff", ["CAP_SYS_RESOURCE"]),
        ("000000fffffffffe", ["CAP_CHOWN", "CAP_CHECKPOINT_RESTORE"]),
    ],
)
def test_capabilities_that_the_machine_withholds_are_named(
    bounding: str, expected: list[str]
) -> None:
    assert missing(f"Name:\tx\nCapBnd:\t{bounding}\nCapAmb:\t0\n") == expected


DUMP = """\
APT "";
APT::Update::Post-Invoke-Success:: "touch /x";
Dir::Cache "var/cache/apt";
DPkg::Post-Invoke:: "rm -f /var/cache/apt/archives/*.deb";
Acquire "";
Acquire::http::Proxy "http://192.0.2.9:3128";
Acquire::IndexTargets::deb::X "";
"""


@pytest.mark.parametrize(
    ("variable", "expected"),
    [
        ("http_proxy", ['Acquire::http::Proxy "http://192.0.2.9:3128";']),
        (
            "https_proxy",
            [
                'Acquire::http::Proxy "http://192.0.2.9:3128";',
                'Acquire::https::Proxy "http://proxy.example.com";',
            ],
        ),
    ],
)
def test_apt_in_a_twin_fetches_as_here_and_runs_no_hook_of_here(
    monkeypatch: pytest.MonkeyPatch, variable: str, expected: list[str]
) -> None:
    for name in ("http_proxy", "https_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv(variable, "http://proxy.example.com")
    lines = apt_settings(DUMP).splitlines()
    assert [line for line in lines if line.startswith("Acquire")] == expected
    assert all("Keep-Downloaded" in line for line in lines if not line.startswith("Acquire"))
