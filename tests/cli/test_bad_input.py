"""Bad input of every kind: a sentence, a hint, the right exit status, and nothing is written.

The hosts here are a real sshd on this machine, which is only ever asked: an apply that began to
write would leave its records, and these tests look for them. What needs whole hosts is in
tests/lab/test_bad_hosts.py.
"""

from __future__ import annotations

import getpass
import json
import socket
import stat
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from textwrap import dedent

import pytest

from tests.cli.test_inventory_commands import crosprov
from tests.support.sshd import MISSING, Sshd, installed, keygen, sshd

RECORDS = Path("/var/lib/crosprov")  # what an apply would leave on this machine

Said = subprocess.CompletedProcess[str]
needs_sshd = pytest.mark.skipif(not installed(), reason=MISSING)


def seen(*roots: Path) -> dict[str, tuple[int, int, bytes]]:
    """Look at all below some folders: mode, time of change, content."""
    found = {}
    for root in roots:
        for path in [root, *root.rglob("*")] if root.exists() else []:
            status = path.lstat()
            content = path.read_bytes() if stat.S_ISREG(status.st_mode) else b""
            found[str(path)] = (status.st_mode, status.st_ctime_ns, content)
    return found


def check(done: Said, status: int, words: str, hint: str = "") -> None:
    """Check that a run failed as it should: a sentence, its hint, and no traceback."""
    told = done.stdout + done.stderr
    assert done.returncode == status, told
    assert words in told
    assert "Traceback" not in told
    assert "defect" not in told
    assert any(hint in line for line in told.splitlines() if "hint: " in line) or not hint


@dataclass(frozen=True)
class Bad:
    """An inventory, or the lack of one, and what is said of it."""

    name: str
    text: str | None
    words: str
    hint: str = ""
    status: int = 1


INVENTORIES = [
    Bad("a missing file", None, "lab.yml does not exist", "crosprov init DIR", 64),
    Bad("an empty file", "", "1:1: the file is empty", "crosprov init DIR"),
    Bad("no YAML", "lab: l\nhosts:\n\ta: {docker: {}}\n", "3:1: is not YAML", "with spaces"),
    Bad("no text", "lab: \x00\n", "lab.yml:1:6: holds a character that YAML forbids"),
    Bad(
        "an unknown section",
        "lab: l\nhosts:\n  a:\n    dokcer: {}\n",
        "4:5: host a: dokcer: is not a section of a host",
        "did you mean docker?",
    ),
    Bad(
        "an unknown key",
        "lab: l\nhosts:\n  a: {ssh: {hots: 10.0.0.1}, docker: {}}\n",
        "3:13: host a: ssh.hots: is not a key here",
        "did you mean host?",
    ),
    Bad(
        "a reference to no host",
        """\
        lab: l
        hosts:
          dev1: {dev_server: {}}
          dut1: {dut: {board: eve, dev_server: dev2}}
        """,
        "host dut1: dut.dev_server: names dev2, which is not a host",
        "did you mean dev1?",
    ),
    Bad(
        "a circle",
        """\
        lab: l
        mirrors: {g: {kind: manual, store: /g}}
        hosts:
          a: {mirror: {serves: [g]}, dev_server: {mirrors: b}}
          b: {mirror: {serves: [g]}, dev_server: {mirrors: a}}
        """,
        "5:52: host b: dev_server.mirrors: makes a circle of references: a -> b -> a",
        "one reference must go",
    ),
    Bad(
        "two hosts with one address",
        """\
        lab: l
        hosts:
          a: {ssh: {host: 10.0.0.1}, docker: {}}
          b: {ssh: {host: 10.0.0.1}, docker: {}}
        """,
        "4:19: host b: ssh.host: 10.0.0.1 port 22 is also the address of a",
        "a has it from line 3",
    ),
    Bad(
        "a bad range",
        "lab: l\nhosts:\n  dut[10:01]: {dut: {board: eve}}\n",
        "3:3: host dut[10:01]: the range [10:01] ends before it starts",
    ),
    Bad(
        "a port out of range",
        "lab: l\nhosts: {a: {ssh: {port: 70000}, docker: {}}}\n",
        "2:25: host a: ssh.port: must be at most 65535, but it is the number 70000",
    ),
]


@pytest.mark.parametrize("bad", INVENTORIES, ids=lambda bad: bad.name.replace(" ", "-"))
def test_an_inventory_with_a_problem(bad: Bad, tmp_path: Path) -> None:
    inventory = tmp_path / "lab.yml"
    if bad.text is not None:
        inventory.write_text(dedent(bad.text))
    before = seen(tmp_path, RECORDS)
    done = crosprov("apply", "--yes", str(inventory))
    check(done, bad.status, bad.words, bad.hint)
    assert done.stdout == ""
    assert seen(tmp_path, RECORDS) == before


@pytest.mark.parametrize("command", ["plan", "status", "validate", "graph", "rehearse"])
def test_every_command_tells_a_problem(command: str, tmp_path: Path) -> None:
    (tmp_path / "lab.yml").write_text("lab: l\nhosts: {a: {dokcer: {}}}\n")
    done = crosprov(command, str(tmp_path / "lab.yml"))
    check(done, 1, "2:13: host a: dokcer: is not a section of a host", "did you mean docker?")


@pytest.mark.parametrize(
    ("arguments", "words", "hint"),
    [
        (("apply", "LAB"), "there is no terminal to ask on", "apply with --yes"),
        (("apply", "LAB", "--limit", "hots"), "hots matches no host", "did you mean host1?"),
        (("plan", "LAB", "--role", "comon"), "comon is not a role", "did you mean common?"),
        (("plan", "LAB", "--role", "dut"), "no host", ""),
        (("plan", "LAB", "--parallel", "0"), "'--parallel'", "plan --help"),
        (("plan", "LAB", "--format", "yaml"), "'--format'", "plan --help"),
    ],
)
def test_wrong_usage_touches_no_host(
    arguments: tuple[str, ...], words: str, hint: str, tmp_path: Path
) -> None:
    inventory = tmp_path / "lab.yml"
    inventory.write_text(lab_text(tmp_path, "host: 127.0.0.1, port: 1"))
    before = seen(tmp_path, RECORDS)
    done = crosprov(*(str(inventory) if word == "LAB" else word for word in arguments))
    check(done, 64, words, hint)
    assert seen(tmp_path, RECORDS) == before


def lab_text(folder: Path, *hosts: str) -> str:
    """Word an inventory whose hosts want a file below a folder; `hosts` are ssh settings."""
    lines = ["lab: l", "hosts:"]
    for number, ssh in enumerate(hosts, 1):
        lines += [
            f"  host{number}:",
            f"    ssh: {{user: {getpass.getuser()}, {ssh}}}",
            f"    common: {{files: {{{folder}/wanted: {{content: new}}}}}}",
        ]
    return "\n".join(lines) + "\n"


def reach(server: Sshd, **changes: object) -> str:
    """Word the ssh settings that reach a server, with some of them changed."""
    settings: dict[str, object] = {
        "host": server.address, "port": server.port, "identity_file": server.client_key,
        "known_hosts": server.known_hosts, "connect_timeout": 5, "command_timeout": 2,
    }  # fmt: skip
    return ", ".join(f"{key}: {value}" for key, value in (settings | changes).items())


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sshd]:
    with sshd(tmp_path_factory.mktemp("sshd") / "server") as running:
        yield running


@pytest.fixture(scope="module")
def hanging(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sshd]:
    """Run a server that lets in, and then never says anything."""
    with sshd(
        tmp_path_factory.mktemp("sshd") / "hanging", options=["ForceCommand sleep 60"]
    ) as running:
        yield running


def wrong_key(server: Sshd, folder: Path) -> str:
    return reach(server, identity_file=keygen(folder / "other"))


def no_key(server: Sshd, folder: Path) -> str:
    return reach(server, identity_file=folder / "nothing")


def changed_host_key(server: Sshd, folder: Path) -> str:
    keygen(folder / "other")
    kind, blob, *_ = (folder / "other.pub").read_text().split()
    place = f"[{server.address}]:{server.port}"
    (folder / "known_hosts").write_text(f"{place} {kind} {blob}\n")
    return reach(server, known_hosts=folder / "known_hosts")


def unknown_host_key(server: Sshd, folder: Path) -> str:
    return reach(server, known_hosts=folder / "known_hosts")


def nobody_listens(server: Sshd, folder: Path) -> str:
    with socket.socket() as taken:
        taken.bind((server.address, 0))
        return reach(server, port=taken.getsockname()[1])


def no_such_name(server: Sshd, folder: Path) -> str:
    return reach(server, host="no-such-host.invalid")


HOSTS: list[tuple[Callable[[Sshd, Path], str], str, str]] = [
    (wrong_key, "refused the login of", "authorized_keys"),
    (no_key, "nothing", ""),
    (changed_host_key, "has another key for it", "ssh-keygen -f"),
    (unknown_host_key, "is not known", "--accept-new-host-keys"),
    (nobody_listens, "refused the connection", "Check that sshd runs there"),
    (no_such_name, "could not be resolved", "ssh.host"),
]


@needs_sshd
@pytest.mark.parametrize(("harm", "words", "hint"), HOSTS)
@pytest.mark.parametrize("command", [("plan",), ("apply", "--yes")], ids=" ".join)
def test_a_host_that_does_not_let_in(
    harm: Callable[[Sshd, Path], str],
    words: str,
    hint: str,
    command: tuple[str, ...],
    server: Sshd,
    tmp_path: Path,
) -> None:
    inventory = tmp_path / "lab.yml"
    inventory.write_text(lab_text(tmp_path, harm(server, tmp_path)))
    before = seen(tmp_path, RECORDS)
    done = crosprov(*command, str(inventory), HOME=str(tmp_path), SSH_AUTH_SOCK="")
    check(done, 4, words, hint)
    assert "host1" in done.stdout
    assert seen(tmp_path, RECORDS) == before


@needs_sshd
def test_a_host_that_hangs_after_the_login(hanging: Sshd, tmp_path: Path) -> None:
    inventory = tmp_path / "lab.yml"
    inventory.write_text(lab_text(tmp_path, reach(hanging)))
    before = seen(tmp_path, RECORDS)
    done = crosprov("apply", "--yes", str(inventory), HOME=str(tmp_path))
    check(done, 4, "did not end within 2 s", "ssh.command_timeout")
    assert seen(tmp_path, RECORDS) == before


@needs_sshd
def test_a_bad_host_does_not_keep_others_from_being_planned(server: Sshd, tmp_path: Path) -> None:
    inventory = tmp_path / "lab.yml"
    inventory.write_text(
        lab_text(tmp_path, nobody_listens(server, tmp_path), reach(server, command_timeout=60))
    )
    done = crosprov("plan", str(inventory), "--format", "json", HOME=str(tmp_path))
    assert done.returncode == 4, done.stderr
    made = json.loads(done.stdout)
    assert [host["host"] for host in made["hosts"]] == ["host2"]
    assert [failure["host"] for failure in made["failures"]] == ["host1"]
    assert made["failures"][0]["error"] == "Unreachable"


@pytest.fixture
def saved(server: Sshd, tmp_path: Path) -> Path:
    """Save a plan of one file for the server of the module; the host is this machine."""
    inventory = tmp_path / "lab.yml"
    inventory.write_text(lab_text(tmp_path, reach(server, command_timeout=60)))
    done = crosprov("plan", str(inventory), "--out", str(tmp_path / "saved"), HOME=str(tmp_path))
    assert done.returncode == 0, done.stderr
    assert "create file" in done.stdout or "+ file" in done.stdout
    return tmp_path / "saved"


def stale(saved: Path) -> None:
    (saved.parent / "wanted").write_text("by somebody else")


def other_version(saved: Path) -> None:
    raw = json.loads(saved.read_text())
    raw["plan"]["crosprov"] = "9.9.9"
    saved.write_text(json.dumps(raw))


def other_format(saved: Path) -> None:
    raw = json.loads(saved.read_text())
    raw["plan"]["format"] = 99
    saved.write_text(json.dumps(raw))


def truncated(saved: Path) -> None:
    saved.write_text(saved.read_text()[:-100])


def truncated_early(saved: Path) -> None:
    saved.write_text(saved.read_text()[:20])


def emptied(saved: Path) -> None:
    saved.write_text("")


def edited(saved: Path) -> None:
    saved.write_text(saved.read_text().replace("/wanted", "/hunted"))


def binary(saved: Path) -> None:
    saved.write_bytes(b"{\xff\xfe\x00")


def of_another_program(saved: Path) -> None:
    saved.write_text('{"format_version": "1.2", "resource_changes": []}\n')


PLAN_FILES: list[tuple[Callable[[Path], None], int, str, str]] = [
    (stale, 3, "host1 no longer looks as it did when the plan was made: ", "make a new plan"),
    (other_version, 1, "was made by crosprov 9.9.9, and this is ", "with this version"),
    (other_format, 1, "was made by crosprov ", "with this version"),
    (truncated, 1, "is not JSON: it may have been cut off", "--out FILE"),
    (truncated_early, 1, "is not JSON: it may have been cut off", "--out FILE"),
    (emptied, 1, "the file is empty", ""),
    (edited, 1, "was changed after it was saved", "exactly or not at all"),
    (binary, 1, "is not JSON", "--out FILE"),
    (of_another_program, 1, "is not a plan file", "makes one"),
]


@needs_sshd
@pytest.mark.parametrize(("harm", "status", "words", "hint"), PLAN_FILES)
def test_a_plan_file_that_is_not_what_was_saved(
    harm: Callable[[Path], None], status: int, words: str, hint: str, saved: Path
) -> None:
    harm(saved)
    before = seen(saved.parent, RECORDS)
    done = crosprov("apply", str(saved), "--yes", HOME=str(saved.parent))
    check(done, status, words, hint)
    assert seen(saved.parent, RECORDS) == before


@needs_sshd
@pytest.mark.parametrize(
    "option", [("--limit", "host1"), ("--role", "common"), ("--twin",), ("--accept-new-host-keys",)]
)
def test_a_saved_plan_is_not_bent(option: tuple[str, ...], saved: Path) -> None:
    before = seen(saved.parent, RECORDS)
    done = crosprov("apply", str(saved), "--yes", *option, HOME=str(saved.parent))
    check(done, 64, "a saved plan is applied exactly", "make another plan with them")
    assert seen(saved.parent, RECORDS) == before


@needs_sshd
def test_a_saved_plan_is_not_applied_unasked(saved: Path) -> None:
    before = seen(saved.parent, RECORDS)
    done = crosprov("apply", str(saved), HOME=str(saved.parent))
    check(done, 64, "there is no terminal to ask on", "--yes")
    assert seen(saved.parent, RECORDS) == before


@needs_sshd
def test_a_plan_file_where_none_can_be_written(saved: Path) -> None:
    inventory = saved.parent / "lab.yml"
    out = saved.parent / "no/such/folder/saved"
    done = crosprov("plan", str(inventory), "--out", str(out), HOME=str(saved.parent))
    check(done, 1, "cannot be written: No such file or directory")
