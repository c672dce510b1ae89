"""Rehearsing a change, and the virtual lab by hand."""

from __future__ import annotations

import json
import secrets
import signal
from pathlib import Path

import pytest

from crosprov.inventory.load import load_lab
from crosprov.twin import find_labs, why_not
from crosprov.twinning import twin_lab
from tests.lab.labs import PROGRAM, Started, run, told

pytestmark = [
    pytest.mark.lab,
    pytest.mark.skipif(bool(why_not()), reason=why_not() or ""),
]

SOUND = """\
lab: NAME
hosts:
  server1:
    ssh: {host: 10.0.0.5}
    common:
      files: {/etc/motd: {content: "rehearsed\\n"}}
      directories: {/srv/lab: {mode: "0750"}}
  dut01:
    ssh: {host: 10.0.1.1}
    dut: {board: eve, lsb_release: {CHROMEOS_RELEASE_TRACK: dev-channel}}
"""
# One file under two names, which shall be two things: no number of runs can satisfy that.
AT_ODDS = SOUND.replace(
    "      directories:",
    "      links: {/srv/alias: /etc}\n"
    "      settings: {/srv/alias/motd: {KEY: value}}\n"
    "      directories:",
)
# A service that takes its time to start, so that a run is under way until it is stopped.
SLOW = """\
lab: NAME
hosts:
  server1:
    ssh: {host: 10.0.0.5}
    common:
      files:
        /etc/systemd/system/slow.service:
          content: |
            [Service]
            Type=oneshot
            ExecStart=/bin/sleep 600
            [Install]
            WantedBy=multi-user.target
          restarts: [slow.service]
"""


@pytest.fixture
def name() -> str:
    return f"rehearsal-{secrets.token_hex(3)}"


def inventory(folder: Path, name: str, text: str) -> Path:
    path = folder / "lab.yml"
    path.write_text(text.replace("NAME", name))
    return path


def labs_up() -> list[str]:
    return [lab.spec.lab for lab in find_labs()]


def test_a_sound_inventory_passes_and_leaves_nothing(tmp_path: Path, name: str) -> None:
    done = run([str(PROGRAM), "rehearse", str(inventory(tmp_path, name, SOUND))])
    assert done.returncode == 0, told(done)
    assert "+ directory /srv/lab" in done.stdout
    assert done.stdout.rstrip().splitlines()[-1].startswith("Plan: nothing to do")
    assert name not in labs_up()


def test_an_inventory_at_odds_with_itself_fails_and_names_the_resource(
    tmp_path: Path, name: str
) -> None:
    done = run([str(PROGRAM), "rehearse", str(inventory(tmp_path, name, AT_ODDS))])
    assert done.returncode != 0, told(done)
    assert "still to do: update file /etc/motd" in done.stdout, told(done)
    assert name not in labs_up()


def test_a_rehearsal_is_stopped_by_ctrl_c(tmp_path: Path, name: str) -> None:
    path = inventory(tmp_path, name, SLOW)
    rehearsal = Started([str(PROGRAM), "rehearse", str(path)], tmp_path / "run", None)
    rehearsal.wait_for("2/2 ", within=120)
    rehearsal.signal(signal.SIGINT)
    done = rehearsal.end()
    assert done.returncode == 130, told(done)
    assert "the rehearsal was stopped by the keyboard\nhint: its twin is taken down" in done.stderr
    assert name not in labs_up()


def at_a_terminal(path: str) -> None:
    """See that a DUT has nothing to warn of when somebody logs in to it at a terminal."""
    lab = load_lab(Path(path))
    command = list(twin_lab(lab).ssh_command("dut01"))
    for _ in range(2):
        done = run([command[0], "-tt", *command[1:], "true"])
        assert (done.returncode, "lastlog" in done.stdout + done.stderr) == (0, False), told(done)


def a_twin_that_is_off(path: str) -> None:
    """See that a twin without power is as a real host that is off, and no more than that."""
    assert run([str(PROGRAM), "twin", "stop", path, "dut01"]).returncode == 0
    whole = run([str(PROGRAM), "plan", "--twin", path])
    assert whole.returncode == 4 and "directory /srv/lab" in whole.stdout, told(whole)
    part = run([str(PROGRAM), "plan", "--twin", path, "--limit", "server1"])
    assert part.returncode == 0, told(part)
    assert run([str(PROGRAM), "twin", "start", path, "dut01"]).returncode == 0
    again = run([str(PROGRAM), "plan", "--twin", path])
    assert again.returncode == 0, told(again)


def a_host_that_was_not_booted(folder: Path, name: str) -> None:
    """See that an inventory with one host more says what to do, and works for the others."""
    more = "  server2: {ssh: {host: 10.0.0.6}, common: {}}\n"
    path = str(inventory(folder, name, SOUND + more))
    refused = run([str(PROGRAM), "plan", "--twin", path])
    assert refused.returncode == 1, told(refused)
    assert f"take it down first: crosprov twin down {name}" in refused.stderr
    part = run([str(PROGRAM), "plan", "--twin", path, "--limit", "server1"])
    assert part.returncode == 0, told(part)


def test_a_twin_by_hand(tmp_path: Path, name: str) -> None:
    path = str(inventory(tmp_path, name, SOUND))
    try:
        refused = run([str(PROGRAM), "plan", "--twin", path])
        assert refused.returncode == 1 and f"crosprov twin up {path}" in refused.stderr
        assert run([str(PROGRAM), "twin", "up", path]).returncode == 0
        listed = json.loads(run([str(PROGRAM), "twin", "list", path, "--format", "json"]).stdout)
        assert {(t["host"], t["kind"], t["address"], t["running"]) for t in listed} == {
            ("server1", "server", "10.0.0.5", True),
            ("dut01", "dut", "10.0.1.1", True),
        }
        said = run([str(PROGRAM), "twin", "ssh", path, "dut01", "--", "echo $HOME; exit 7"])
        assert (said.returncode, said.stdout) == (7, "/root\n")
        nobody = run([str(PROGRAM), "twin", "ssh", path, "dut99"])
        assert nobody.returncode == 64 and "dut99 is no host" in nobody.stderr
        at_a_terminal(path)
        a_twin_that_is_off(path)
        a_host_that_was_not_booted(tmp_path, name)
    finally:
        down = run([str(PROGRAM), "twin", "down", name])
    assert down.returncode == 0 and name not in labs_up()
