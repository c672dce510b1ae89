"""Hosts that do not do their part: each is told with a sentence, the others go on.

Two twins, reached as real hosts are: by an inventory with addresses, keys and known_hosts. One of
them is spoiled in some way, and the other shall get its change all the same.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.lab.labs import NOISE, Lab, booted, differences, told
from tests.support.sshd import keygen

pytestmark = pytest.mark.lab

TEXT = """\
lab: NAME
hosts:
  victim:
    ssh: {host: 10.0.2.1, user: ops}
    common: {files: {/etc/motd: {content: x}}}
  good:
    ssh: {host: 10.0.2.2}
    common: {files: {/etc/motd: {content: x}}}
"""
_turn = itertools.count(1)


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    with booted(tmp_path_factory.mktemp("bad"), TEXT) as lab:
        yield lab


ANSWERED = ("NoPrivilege", "PlanError")  # errors of a host that was reached


@dataclass(frozen=True)
class Case:
    """What is wrong with the victim, and what is said of it.

    `harm` and `mend` are run there as root; `ssh` changes how it is reached.
    """

    name: str
    error: str
    words: str
    hint: str
    ssh: str = ""
    harm: str = ":"
    mend: str = ":"
    cut: bool = False


CASES = [
    Case("wrong key", "LoginRefused", "refused the login of ops with ", "authorized_keys",
         ssh="identity_file: other"),
    Case("no such account", "LoginRefused", "refused the login of nobody9", "ssh.user",
         ssh="user: nobody9"),
    Case("changed host key", "HostKeyRejected", "has another key for it", "ssh-keygen -f",
         ssh="known_hosts: changed"),
    Case("unknown host key", "HostKeyRejected", "is not known: it shows its", "ssh-keyscan",
         ssh="known_hosts: empty"),
    Case("an address of nobody", "Unreachable", "", "Check the address in the inventory",
         ssh="host: NOBODY, connect_timeout: 2"),
    Case("a port of nobody", "Unreachable", "refused the connection", "sshd runs there",
         ssh="port: 9"),
    Case("link cut", "Unreachable", "did not answer within 2 s",
         "Check the address in the inventory",
         ssh="connect_timeout: 2", cut=True),
    Case("hangs after the login", "HostSilent", "did not end within 2 s", "command_timeout",
         ssh="command_timeout: 2",
         harm="printf '#!/bin/sh\\nexec sleep 600\\n' > /usr/bin/hang; chmod +x /usr/bin/hang;"
              "usermod -s /usr/bin/hang ops", mend="usermod -s /bin/bash ops; rm /usr/bin/hang"),
    Case("hangs at the login", "HostSilent", "did not finish the login within 2 s",
         "connect_timeout", ssh="connect_timeout: 2",
         harm="p=$(cat /run/sshd.pid 2>/dev/null || systemctl show -P MainPID ssh);"
              "kill -STOP $p; (sleep 8; kill -CONT $p) </dev/null >/dev/null 2>&1 &",
         mend=""),
    Case("no shell for the account", "NoPrivilege", "This account is currently not available", "",
         harm="usermod -s /usr/sbin/nologin ops", mend="usermod -s /bin/bash ops"),
    Case("sudo wants a password", "NoPrivilege", "did not run a command without a prompt",
         "NOPASSWD", harm="mkdir /root/kept; mv /etc/sudoers.d/* /root/kept",
         mend="mv /root/kept/* /etc/sudoers.d; rmdir /root/kept"),
    Case("no sudo", "NoPrivilege", "has no sudo", "install sudo",
         harm="mv /usr/bin/sudo /usr/bin/sudo.kept", mend="mv /usr/bin/sudo.kept /usr/bin/sudo"),
    Case("not root and not told to become it", "HostError", "cannot be written",
         "ssh.sudo: true", ssh="sudo: false"),
    Case("no stat", "PlanError", "stat: not found", "usual small programs",
         harm="mv /usr/bin/stat /root/stat", mend="mv /root/stat /usr/bin/stat"),
    Case("no sha256sum", "PlanError", "sha256sum: not found", "small programs",
         harm="mv /usr/bin/sha256sum /root/", mend="mv /root/sha256sum /usr/bin/"),
    Case("no base64", "ChangeFailed", "base64: not found", "apply again",
         harm="mv /usr/bin/base64 /root/; rm /etc/motd", mend="mv /root/base64 /usr/bin/"),
]  # fmt: skip


def inventory_of(lab: Lab, folder: Path, case: Case) -> Path:
    """Write the inventory that reaches both twins as real hosts, the victim as the case says."""
    victim, good = lab.twin.target("victim"), lab.twin.target("good")
    keygen(folder / "other")
    kind, blob, *_ = (folder / "other.pub").read_text().split()
    (folder / "changed").write_text(f"{victim.host} {kind} {blob}\n")
    (folder / "empty").write_text("")
    settings = {
        "host": victim.host, "user": "ops", "sudo": "true",
        "identity_file": str(victim.identity_file), "known_hosts": str(victim.known_hosts),
    }  # fmt: skip
    nobody = f"{victim.host.rpartition('.')[0]}.250"
    for setting in filter(None, case.ssh.split(", ")):
        key, _, value = setting.partition(": ")
        settings[key] = value.replace("NOBODY", nobody)
    reach = ", ".join(f"{key}: {value}" for key, value in settings.items())
    wanted = f"common: {{files: {{/etc/motd: {{content: turn {next(_turn)}}}}}}}"
    path = folder / "lab.yml"
    path.write_text(
        f"lab: {lab.name}\n"
        "hosts:\n"
        f"  victim: {{ssh: {{{reach}}}, {wanted}}}\n"
        f"  good: {{ssh: {{host: {good.host}, identity_file: {good.identity_file}, "
        f"known_hosts: {good.known_hosts}}}, {wanted}}}\n"
    )
    return path


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name.replace(" ", "-"))
def test_a_bad_host_is_told_and_the_others_go_on(case: Case, lab: Lab, tmp_path: Path) -> None:
    inventory = inventory_of(lab, tmp_path, case)
    lab.must("victim", case.harm)
    try:
        if case.cut:
            lab.twin.cut("victim")
        before = lab.uppers(ignore=NOISE)
        done = lab.program("apply", "--yes", "--format", "json", str(inventory))
        after = lab.uppers(ignore=NOISE)
    finally:
        if case.cut:
            lab.twin.heal("victim")
        if case.mend:
            lab.must("victim", case.mend)
    assert done.returncode == 4, told(done)
    assert "Traceback" not in done.stderr
    hosts = {host["host"]: host for host in json.loads(done.stdout)["hosts"]}
    bad = hosts["victim"]
    outcomes = ("not planned",) if case.error in ANSWERED else ("unreached", "failed")
    assert (bad["outcome"] in outcomes, bad["error"]) == (True, case.error), bad
    assert case.words in bad["message"], bad
    assert case.hint in (bad["hint"] or ""), bad
    assert bad["done"] == []
    assert hosts["good"]["outcome"] == "changed"
    own = [path for path in differences(before["victim"], after["victim"])
           if not path.startswith("var/lib/crosprov")]  # fmt: skip
    assert own == []
    assert "etc/motd" in differences(before["good"], after["good"])


def test_the_victim_was_good_all_along(lab: Lab, tmp_path: Path) -> None:
    inventory = inventory_of(lab, tmp_path, Case("none", "", "", ""))
    done = lab.program("apply", "--yes", str(inventory))
    assert done.returncode == 0, told(done)
    assert lab.program("plan", "--detailed-exitcode", str(inventory)).returncode == 0


def test_a_new_host_key_is_accepted_when_told_to_and_a_changed_one_never(
    lab: Lab, tmp_path: Path
) -> None:
    inventory = inventory_of(lab, tmp_path, Case("new", "", "", "", ssh="known_hosts: empty"))
    new = lab.program("plan", str(inventory), "--accept-new-host-keys")
    assert new.returncode == 0, told(new)
    assert lab.twin.target("victim").host in (tmp_path / "empty").read_text()
    assert lab.program("plan", str(inventory)).returncode == 0
    text = inventory.read_text().replace(str(tmp_path / "empty"), "changed")
    inventory.write_text(text.replace("known_hosts: empty", "known_hosts: changed"))
    changed = lab.program("plan", str(inventory), "--accept-new-host-keys")
    assert changed.returncode == 4, told(changed)
    assert "has another key for it" in changed.stdout
