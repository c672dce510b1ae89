"""twin and rehearse, with labs on record of which nothing runs."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from ipaddress import IPv4Network
from pathlib import Path
from types import SimpleNamespace

import pytest

from crosprov import rehearsal
from crosprov.cli import session as cli_session
from crosprov.cli.app import run
from crosprov.execution.apply import Report
from crosprov.inventory.load import load_lab
from crosprov.planning.plan import Plan
from crosprov.rehearsal import Rehearsal
from crosprov.twin import TwinLab, lab, record, registry
from crosprov.twin.subnets import lab_addresses
from crosprov.twinning import twin_lab

INVENTORY = """\
lab: one
hosts:
  server1: {ssh: {host: 10.0.0.5}, common: {}}
  dut01: {ssh: {host: 10.0.1.1}, dut: {board: eve}}
"""
Captured = pytest.CaptureFixture[str]


@dataclass
class Bench:
    """A machine whose labs are records only; `calls` tells what was done to them."""

    folder: Path
    calls: list[str] = field(default_factory=list)
    up: Callable[[], None] = lambda: None
    down: Callable[[], None] = lambda: None

    def inventory(self, text: str = INVENTORY) -> str:
        path = self.folder / "my lab.yml"
        path.write_text(text)
        return str(path)

    def boot(self, name: str = "one") -> TwinLab:
        """Put a lab on record as if it had been booted."""
        path = self.folder / f"{name}.yml"
        path.write_text(INVENTORY.replace("one", name))
        twin = twin_lab(load_lab(path))
        addresses = lab_addresses(twin.spec.hosts)
        twin.state_dir.mkdir(parents=True, exist_ok=True)
        subnet = IPv4Network("10.80.1.0/24")
        record.save(twin.state_dir / "lab.json", record.LabRecord(twin.spec, subnet, addresses))
        return twin


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    made = Bench(tmp_path)

    def up(twin: TwinLab, progress: object) -> None:
        made.calls.append(f"up {twin.spec.lab}")
        made.boot(twin.spec.lab)
        made.up()

    def down(twin: TwinLab, progress: object) -> None:
        made.calls.append(f"down {twin.spec.lab}")
        made.down()
        (twin.state_dir / "lab.json").unlink(missing_ok=True)

    monkeypatch.setattr(lab, "STATE", tmp_path / "labs")
    monkeypatch.setattr(registry, "_HOME", tmp_path / "claims")
    monkeypatch.setattr(TwinLab, "up", up)
    monkeypatch.setattr(TwinLab, "down", down)
    monkeypatch.setattr(TwinLab, "exists", property(lambda twin: bool(twin.list())))
    return made


def test_the_list_has_a_heading_and_columns(bench: Bench, capsys: Captured) -> None:
    bench.boot()
    assert run(["twin", "list"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "HOST     LAB  KIND    ADDRESS   REACHED AT  STATE",
        "server1  one  server  10.0.0.5  10.80.1.2   is off",
        "dut01    one  dut     10.0.1.1  10.80.1.3   is off",
    ]


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(INVENTORY, id="sound"),
        pytest.param(INVENTORY.replace("server1", "server2"), id="changed"),
        pytest.param(INVENTORY.replace("board", "bord"), id="with-problems"),
        pytest.param("lab: one\n", id="without-hosts"),
    ],
)
def test_down_takes_an_inventory_that_says_which_lab_it_is(bench: Bench, text: str) -> None:
    bench.boot()
    bench.boot("two")
    assert run(["twin", "down", bench.inventory(text)]) == 0
    assert bench.calls == ["down one"]


@pytest.mark.parametrize(
    ("text", "status"),
    [("hosts: {a: {}}\n", 64), ("lab: [one]\n", 64), ("lab: one\nhosts: [\n", 1), ("", 64)],
)
def test_down_says_how_else_when_an_inventory_does_not_tell(
    bench: Bench, text: str, status: int, capsys: Captured
) -> None:
    bench.boot()
    assert run(["twin", "down", bench.inventory(text)]) == status
    assert "hint: crosprov twin down LAB" in capsys.readouterr().err
    assert bench.calls == []


def test_down_takes_a_lab_by_its_name(bench: Bench, capsys: Captured) -> None:
    bench.boot()
    bench.boot("two")
    assert run(["twin", "down", "two"]) == 0
    assert bench.calls == ["down two"]
    assert run(["twin", "down", "three"]) == 64
    assert capsys.readouterr().err.splitlines() == [
        "error: three is neither an inventory nor a lab that is up",
        "hint: labs that are up: one",
    ]


def test_down_finds_what_is_left_of_a_lab_without_a_record(bench: Bench) -> None:
    (bench.boot().state_dir / "lab.json").write_text("{")
    assert run(["twin", "down", "one"]) == 0
    assert bench.calls == ["down one"]


@pytest.mark.parametrize(
    ("terminal", "answer", "arguments", "status", "calls"),
    [
        (False, "", [], 64, []),
        (False, "", ["--yes"], 0, ["down one", "down two"]),
        (True, "n", [], 0, []),
        (True, "y", [], 0, ["down one", "down two"]),
        (True, "", ["-y"], 0, ["down one", "down two"]),
        (True, "", ["one"], 64, []),
    ],
)
def test_all_labs_go_only_when_that_is_meant(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, capsys: Captured,
    terminal: bool, answer: str, arguments: list[str], status: int, calls: list[str],
) -> None:  # fmt: skip
    bench.boot()
    bench.boot("two")
    monkeypatch.setattr("sys.stdin", SimpleNamespace(isatty=lambda: terminal))
    monkeypatch.setattr("typer.confirm", lambda question: answer == "y")
    assert run(["twin", "down", "--all", *arguments]) == status
    assert sorted(bench.calls) == calls
    assert ("hint: " in capsys.readouterr().err) == (not terminal and not arguments)


@pytest.mark.parametrize(
    ("booted", "text", "host", "status", "said"),
    [
        (False, INVENTORY, "dut01", 1, "crosprov twin up 'FOLDER/my lab.yml' boots it"),
        (True, INVENTORY, "dut01", 1, "crosprov twin start 'FOLDER/my lab.yml' dut01"),
        (True, INVENTORY, "dut9", 64, "hosts: server1, dut01"),
        (
            *(True, INVENTORY.replace("dut01", "dut02"), "dut02", 1),
            "take it down first: crosprov twin down one, then crosprov twin up",
        ),
    ],
)
def test_ssh_hints_at_what_helps(
    bench: Bench, capsys: Captured,
    booted: bool, text: str, host: str, status: int, said: str,
) -> None:  # fmt: skip
    if booted:
        bench.boot()
    assert run(["twin", "ssh", bench.inventory(text), host]) == status
    assert f"hint: {said.replace('FOLDER', str(bench.folder))}" in capsys.readouterr().err


def test_a_rehearsal_never_replaces_a_twin_unasked(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    bench.boot()
    rehearsed(monkeypatch, stop=False)
    path = bench.inventory()
    assert run(["rehearse", path]) == 64
    assert bench.calls == []
    assert f"hint: crosprov twin down '{path}' takes it down, --fresh" in capsys.readouterr().err
    assert run(["rehearse", path, "--fresh"]) == 4
    assert bench.calls == ["down one", "up one", "down one"]


def test_a_rehearsal_that_is_stopped_says_so_and_takes_its_twin_down(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    rehearsed(monkeypatch, stop=True)
    assert run(["rehearse", bench.inventory()]) == 130
    assert bench.calls == ["down one", "up one", "down one"]
    told = capsys.readouterr()
    assert told.err.endswith(
        "error: the rehearsal was stopped by the keyboard\nhint: its twin is taken down\n"
    )
    assert "Nothing to do" in told.out


@pytest.mark.parametrize("stop", [True, False])
def test_a_rehearsal_that_is_cut_short_says_that_its_twin_is_there(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, capsys: Captured, stop: bool
) -> None:
    def second() -> None:
        if len(bench.calls) > 1:
            raise KeyboardInterrupt

    bench.down = second
    if not stop:
        bench.up = second
    rehearsed(monkeypatch, stop=stop)
    path = bench.inventory()
    assert run(["rehearse", path]) == 130
    assert capsys.readouterr().err.endswith(
        f"hint: its twin is still there: crosprov twin down '{path}'\n"
    )


def test_a_twin_that_is_kept_is_told(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    rehearsed(monkeypatch, stop=False)
    path = bench.inventory()
    assert run(["rehearse", path, "--keep"]) == 4
    assert bench.calls == ["down one", "up one"]
    assert f"take it down with: crosprov twin down '{path}'" in capsys.readouterr().err


def rehearsed(monkeypatch: pytest.MonkeyPatch, *, stop: bool) -> None:
    """Let a rehearsal end after its first run, by Ctrl-C or because a host failed."""
    session = SimpleNamespace(stop=threading.Event(), chosen=())
    monkeypatch.setattr(cli_session, "open_session", lambda *arguments: session)

    def rehearse(given: object, show: object) -> Rehearsal:
        if stop:
            session.stop.set()
        plan = Plan(crosprov="0", lab="one", inventory="", created="", hosts=())
        report = Report(lab="one", run="", by="", hosts=())
        return Rehearsal(first=plan, report=report, second=None)

    monkeypatch.setattr(rehearsal, "rehearse", rehearse)
