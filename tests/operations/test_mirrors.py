"""Syncs of mirrors as a host knows them: what is observed, and how the first one is followed."""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path

import pytest

from crosprov.facts.mirrors import SyncAgeFact, Synced, SyncFact, SyncState
from crosprov.last_words import LAST_WORDS, taken_apart
from crosprov.operations import mirrors
from crosprov.planning.preamble import PROGRESS
from tests.support.machine import Machine

DAY = 86_400

# systemctl of a service that is at work as often as `turns` has lines, and then leaves `result`.
SYSTEMCTL = """\
#!/bin/sh
cd "$(dirname "$0")" || exit 1
echo "$*" >>calls
case $1 in
show)
  if [ "$3" = InvocationID ]; then echo 0123; exit 0; fi
  if [ -s turns ]; then
    sed 1d turns >rest; cp rest turns
    echo activating; exit 0
  fi
  [ ! -e started ] || cp result state/outcome 2>/dev/null
  if [ -e fails ] && [ -e started ]; then echo failed; else echo inactive; fi;;
start) : >started; [ ! -e refuses ];;
--no-pager) echo 'crosprov.mirror: there is no such folder' ;;
esac
"""


def observe(folder: Path) -> SyncState:
    fact = SyncFact()
    command = fact.command(str(folder / "states"), str(folder / "crosprov-mirror"))
    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=True)
    assert done.stderr == ""
    return fact.process(done.stdout.splitlines())


def ages(folder: Path) -> dict[str, Synced]:
    fact = SyncAgeFact()
    done = subprocess.run(
        ["sh", "-c", fact.command(str(folder / "states"), "crosprov-mirror")],
        env={**os.environ, "PATH": f"{folder}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stderr == ""
    return fact.process(done.stdout.splitlines())


def state(folder: Path, name: str, outcome: str | None, good: float | None) -> None:
    place = folder / "states" / name
    place.mkdir(parents=True)
    if outcome is not None:
        (place / "outcome").write_text(f"{outcome}\n")
    if good is not None:
        (place / "good").touch()
        then = time.time() - good
        os.utime(place / "good", (then, then))


def test_a_host_that_syncs_nothing_says_so(tmp_path: Path) -> None:
    assert observe(tmp_path) == SyncState()


def test_what_syncs_left_is_observed_in_days(tmp_path: Path) -> None:
    state(tmp_path, "fresh", "abc 0", 60.0)
    state(tmp_path, "older", "abc 2", 3.5 * DAY)
    state(tmp_path, "oldest", "def 1", 400.0 * DAY)
    state(tmp_path, "never-good", "abc 7", None)
    state(tmp_path, "under-way", None, None)
    state(tmp_path, "of-the-future", "abc 0", -9.0 * DAY)
    assert ages(tmp_path) == {
        "fresh": Synced(0, 0),
        "older": Synced(2, 3),
        "oldest": Synced(1, 7),
        "never-good": Synced(7, None),
        "under-way": Synced(0, None),
        "of-the-future": Synced(0, 0),
    }
    assert observe(tmp_path).brought == {
        "fresh": "abc",
        "older": "abc",
        "oldest": "def",
        "never-good": "abc",
        "of-the-future": "abc",
    }


def test_what_decides_stays_the_same_while_time_passes_and_a_sync_is_under_way(
    tmp_path: Path,
) -> None:
    state(tmp_path, "gentoo", "abc 0", 0.9 * DAY)
    before = observe(tmp_path), ages(tmp_path)
    (tmp_path / "systemctl").write_text("#!/bin/sh\necho activating\n")
    (tmp_path / "systemctl").chmod(0o755)
    (tmp_path / "states/gentoo/outcome").write_text("abc 3\n")
    (tmp_path / "states/gentoo/progress").write_text("35 % of 1.2 GB; 3 left")
    os.utime(tmp_path / "states/gentoo/good", (1.0, 1.0))
    assert before[1] == {"gentoo": Synced(0, 0)}
    assert ages(tmp_path) == {"gentoo": Synced(3, 7, "35 % of 1.2 GB; 3 left")}
    assert observe(tmp_path) == before[0]


def test_why_the_last_sync_was_not_good_is_observed(tmp_path: Path) -> None:
    state(tmp_path, "a", "abc 2", 60.0)
    state(tmp_path, "b", "abc 0", 60.0)
    state(tmp_path, "c", None, None)
    reasons = ("foo-1.tar: no upstream has it; really", "and 1 further file")
    (tmp_path / "states/a/reasons").write_text("".join(f"{line}\n" for line in reasons))
    (tmp_path / "states/b/reasons").write_text("")
    (tmp_path / "states/c/reasons").write_text("it gave up: there is no space left\n")
    assert ages(tmp_path) == {
        "a": Synced(2, 0, reasons=reasons),
        "b": Synced(0, 0),
        "c": Synced(0, None, reasons=("it gave up: there is no space left",)),
    }


@pytest.mark.parametrize(
    ("configuration", "beginning"),
    [("abc", "good sync 5 days ago, 1 file lacking"), ("new", "not synced since")],
)
def test_the_status_tells_why_the_last_sync_was_not_good(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, configuration: str, beginning: str
) -> None:
    state(tmp_path, "a", "abc 1", 5.5 * DAY)
    (tmp_path / "states/a/reasons").write_text("foo-1.tar: no upstream has it\n")
    monkeypatch.setattr(mirrors, "STATES", str(tmp_path / "states"))
    machine = Machine(tmp_path)
    machine.install()
    plan = machine.plan(lambda: mirrors.first_sync("a", configuration=configuration))
    assert plan.about["mirror a"].startswith(beginning)
    assert plan.about["last sync of a"] == "foo-1.tar: no upstream has it"
    told = "lacks 1 file that its trees need: foo-1.tar: no upstream has it; `journalctl"
    assert any(told in notice for notice in plan.notices) == (configuration == "abc")


@pytest.mark.parametrize("reason", ["it gave up: a is empty", "it was interrupted: it goes on"])
def test_the_status_tells_that_a_sync_broke_off(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reason: str
) -> None:
    state(tmp_path, "a", "abc 0", 60.0)
    (tmp_path / "states/a/reasons").write_text(f"{reason}\nhint: mount it\n")
    (tmp_path / "states/a/unclear").write_text("7\n")
    monkeypatch.setattr(mirrors, "STATES", str(tmp_path / "states"))
    machine = Machine(tmp_path)
    machine.install()
    plan = machine.plan(lambda: mirrors.first_sync("a", configuration="abc"))
    assert plan.about["mirror a"] == (
        "good sync less than a day ago, the last one broke off, not clear what its trees need: "
        "7 notes"
    )
    assert plan.about["last sync of a"] == f"{reason}; hint: mount it"
    (notice,) = plan.notices
    assert f"did not come to its end: {reason}" in notice
    plan = machine.plan(lambda: mirrors.first_sync("a", configuration="other"))
    assert plan.about["mirror a"].endswith("changed, the last one broke off")


def test_units_of_mirrors_are_observed(tmp_path: Path) -> None:
    for name in ("a.b-c", "gentoo"):
        (tmp_path / f"crosprov-mirror@{name}.service").touch()
        (tmp_path / f"crosprov-mirror@{name}.timer").touch()
    assert observe(tmp_path).units == ("a.b-c", "gentoo")
    (tmp_path / "crosprov-mirror-verify@gentoo.service").touch()
    assert observe(tmp_path) == SyncState({}, ("a.b-c", "gentoo"), ("gentoo",))


def test_when_all_was_read_is_observed_in_days(tmp_path: Path) -> None:
    cases = (("a", "0\n", 0.5), ("b", "12\n", 8.2), ("c", "1\n", 999.0), ("d", "", 1.0))
    for name, text, age in cases:
        state(tmp_path, name, "abc 0", 60.0)
        file = tmp_path / "states" / name / "verified"
        file.write_text(text)
        os.utime(file, (time.time() - age * DAY,) * 2)
    assert ages(tmp_path) == {
        "a": Synced(0, 0, verified=0, findings=0),
        "b": Synced(0, 0, verified=8, findings=12),
        "c": Synced(0, 0, verified=60, findings=1),
        "d": Synced(0, 0),
    }


@pytest.fixture
def host(tmp_path: Path) -> Path:
    (tmp_path / "systemctl").write_text(SYSTEMCTL)
    (tmp_path / "systemctl").chmod(0o755)
    (tmp_path / "sleep").write_text("#!/bin/sh\n")
    (tmp_path / "sleep").chmod(0o755)
    (tmp_path / "state").mkdir()
    (tmp_path / "result").write_text("abc 0\n")
    return tmp_path


def follow(host: Path, listened: str = ":") -> subprocess.CompletedProcess[str]:
    """Carry the change out; its progress goes to standard output."""
    script = mirrors._FOLLOW.format(unit="u.service", state=host / "state", configuration="abc")
    script = LAST_WORDS + script
    listens = 'with_progress() { "$@"; }; progress() { echo "$@"; }; listened() { '
    return subprocess.run(
        ["sh", "-c", f"{listens}{listened}; }}\n{PROGRESS}{script}"],
        env={**os.environ, "PATH": f"{host}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        timeout=60,
    )


def starts(host: Path) -> int:
    return (host / "calls").read_text().count("start --no-block u.service")


def test_a_first_sync_is_started_and_followed(host: Path) -> None:
    done = follow(host)
    assert (done.returncode, done.stdout, starts(host)) == (0, "", 1), done.stderr


def test_one_that_is_under_way_is_followed_and_not_started_again(host: Path) -> None:
    (host / "turns").write_text("1\n2\n")
    (host / "started").touch()
    (host / "state" / "progress").write_text("35 % of 1.2 GB")
    done = follow(host)
    assert (done.returncode, starts(host)) == (0, 0), done.stderr
    assert done.stdout == "35 % of 1.2 GB\n" * 2


def test_nobody_follows_one_for_a_controller_that_has_gone(host: Path) -> None:
    (host / "turns").write_text("1\n" * 50)
    (host / "started").touch()
    done = follow(host, "false")
    assert (done.returncode, starts(host)) == (1, 0), done.stderr
    assert len((host / "turns").read_text().split()) >= 48


def test_one_of_another_configuration_is_waited_for_and_followed_by_ours(host: Path) -> None:
    (host / "turns").write_text("1\n")
    (host / "state" / "outcome").write_text("old 3\n")
    done = follow(host)
    assert (done.returncode, done.stdout, starts(host)) == (0, "", 1), done.stderr


def test_files_that_are_lacking_do_not_fail_the_change(host: Path) -> None:
    (host / "result").write_text("abc 12\n")
    done = follow(host)
    assert done.returncode == 0
    assert done.stdout == "lacking files: 12; journalctl -u u.service tells which\n"


@pytest.mark.parametrize("harm", ["result", "refuses"])
def test_a_sync_that_does_not_end_well_shows_what_it_said(host: Path, harm: str) -> None:
    if harm == "result":
        (host / "result").unlink()
    else:
        (host / "refuses").touch()
        (host / "result").unlink()
    done = follow(host)
    assert done.returncode == 1
    assert harm == "refuses" or "there is no such folder" in done.stderr


JOURNAL = """\
note: /srv/t/metadata/layout.conf: t follows gentoo, whose folder is not known
1 file to fetch (3.0 kB)
error: /srv/t: there is no such folder
hint: check the tree's path
    or bring the tree
"""


def journal(host: Path, said: str) -> None:
    (host / "said").write_text(said)
    text = (
        '#!/bin/sh\ncase "$*" in *_SYSTEMD_INVOCATION_ID=0123) cat "$(dirname "$0")/said" ;; esac\n'
    )
    (host / "journalctl").write_text(text)
    (host / "journalctl").chmod(0o755)


def test_the_program_s_own_reason_is_what_is_told_of_a_failed_sync(host: Path) -> None:
    (host / "result").unlink()
    (host / "fails").touch()
    journal(host, JOURNAL)
    done = follow(host)
    assert (done.returncode, done.stderr) == (1, JOURNAL[JOURNAL.index("error:") :])
    journal(host, "Traceback (most recent call last):\n  File x\nOSError: no\n")
    assert follow(host).stderr.endswith("OSError: no\n")
    journal(host, "")
    assert "there is no such folder" in follow(host).stderr, "what systemctl knows"


@pytest.mark.parametrize(
    ("said", "parts"),
    [
        ("error: a: b\nhint: c\n", ("a: b", "c")),
        ("error: a\nhint: c\n    d", ("a", "c\n    d")),
        ("error: a", ("a", None)),
        ("error: a\nand more", None),
        ("fatal: a\nhint: c", None),
        ("", None),
    ],
)
def test_an_error_of_ours_is_taken_apart(said: str, parts: tuple[str, str | None] | None) -> None:
    assert taken_apart(said) == parts
