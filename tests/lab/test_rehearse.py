"""Rehearsing a change, and the virtual lab by hand."""

from __future__ import annotations

import json
import secrets
from pathlib import Path

import pytest

from crosprov.twin import find_labs, why_not
from tests.lab.labs import PROGRAM, run, told

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
    finally:
        down = run([str(PROGRAM), "twin", "down", path])
    assert down.returncode == 0 and name not in labs_up()
