"""A sync that a mirror's host carries out: followed from here, and told with its own reasons."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from crosprov import mirror_host
from crosprov.execution.fleet import Fleet
from crosprov.mirror import report_json
from crosprov.mirror.commands import there
from crosprov.mirror.commands.answers import Context
from crosprov.mirror.config import Config
from crosprov.mirror.display import display
from crosprov.mirror.hosts import Done
from crosprov.mirror.model import Fault
from crosprov.mirror.options import options_of
from crosprov.mirror.report import Failure, Kind, NeededBy, Report, Tried, as_text
from crosprov.mirror.report_reading import report_in
from crosprov.transport.base import SshTarget
from crosprov.transport.local import LocalTransport

# What a start does is told by files: `fails` and `cancels` end it badly, after what was followed.
SYSTEMCTL = """\
#!/bin/sh
cd "$(dirname "$0")" || exit 1
case $1 in
cat) [ ! -e no-unit ] ;;
show)
  if [ "$3" = InvocationID ]; then echo 0123
  elif [ -e failed ]; then echo failed
  elif [ -e joined ]; then echo activating
  else echo inactive
  fi ;;
start)
  echo '35 % of 1.2 GB' >states/gentoo/progress
  n=0
  while [ -e unheard ] && [ "$n" -lt 999 ]; do n=$((n + 1)); command -p sleep 0.01; done
  rm -f joined
  if [ -e fails ]; then : >failed; echo "Job for $2 failed." >&2; exit 1; fi
  if [ -e cancels ]; then echo "Job for $2 canceled." >&2; exit 1; fi ;;
--no-pager) echo 'systemd: no such account' ;;
esac
"""
JOURNALCTL = '#!/bin/sh\n[ "$1" = --sync ] || cat "$(dirname "$0")/said"\n'
SLEEP = "#!/bin/sh\ncommand -p sleep 0.02\n"

REPORT = Report(
    what="sync", mirror="gentoo", began=0.0, ended=61.0, needed=5, present=3, fetched=1,
    fetched_bytes=3000, remarks=("an upstream is slow",), last_good=0.0,
    failures=(
        Failure("foo-1.tar", 7, Kind.UPSTREAM_LACKS, "no upstream has it", "ask them",
                (NeededBy("t", "a/foo", "a/foo/foo-1.ebuild", "a/foo/Manifest:1"),),
                (Tried("https://example.com", "lacks", "it answers 404"),)),
    ),
)  # fmt: skip


class Here(mirror_host.ReachedHost):
    """A host that is this machine, whose mirror's program answers with a report."""

    report: Report = REPORT

    def run(self, words: Any, say: Callable[[str], object]) -> Done:
        return Done(2, json.dumps({"last_sync": report_json.as_json(self.report)}))


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name, text in (("systemctl", SYSTEMCTL), ("journalctl", JOURNALCTL), ("sleep", SLEEP)):
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o755)
    (tmp_path / "states/gentoo").mkdir(parents=True)
    (tmp_path / "said").write_text("1 file to fetch\nerror: /srv/t: no tree\nhint: bring it\n")
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setattr(mirror_host, "STATES", str(tmp_path / "states"))
    return tmp_path


@pytest.fixture
def config() -> Config:
    fleet = Fleet(lambda target: LocalTransport(target.name, sudo=False))
    host = Here("gentoo", "/srv/gentoo", SshTarget("mirror1", "192.0.2.1"), fleet, syncs=True)
    return Config(name="gentoo", store="/srv/gentoo", host=host)


def sync(config: Config, said: Callable[[str], object], *words: str) -> tuple[str, int]:
    given = options_of(["sync", "lab.yml", "gentoo", *words], "crosprov mirror")
    context = Context(None, said, lambda tell: display(open(os.devnull, "w"), tell))
    answer = there.synced_there(config, given, context)
    return answer.text, answer.status


@pytest.mark.parametrize("joined", [False, True])
def test_a_sync_there_is_followed_and_reported_as_one_here(
    programs: Path, config: Config, joined: bool
) -> None:
    (programs / "unheard").touch()
    if joined:
        (programs / "joined").touch()
    lines: list[str] = []

    def said(line: str) -> None:
        lines.append(line)
        if "%" in line:
            (programs / "unheard").unlink()

    text, status = sync(config, said)
    already = " already" if joined else ""
    begun = f"the sync is under way on mirror1{already}; it goes on when this is stopped"
    assert lines == [begun, "35 % of 1.2 GB"]
    assert text.splitlines() == list(as_text(REPORT)) and status == 2


def test_a_report_is_the_same_after_its_way_through_json(programs: Path, config: Config) -> None:
    content = json.loads(json.dumps(report_json.as_json(REPORT)))
    assert report_in(content) == REPORT
    text, status = sync(config, lambda line: None, "--format", "json")
    assert json.loads(text) == content and status == 2
    for wrong in ({}, {**content, "failures": [{}]}, {**content, "failures": 3}):
        with pytest.raises(ValueError, match="no report"):
            report_in(wrong)


TOLD = [
    (["fails"], "on mirror1 failed: /srv/t: no tree", "bring it; `journalctl -u crosprov-mirror@"),
    (
        ["fails", "mute"],
        "failed: systemd: no such account",
        "`journalctl -u crosprov-mirror@gentoo",
    ),
    (["cancels"], "failed: Job for crosprov-mirror@gentoo.service canceled.", "on mirror1 tells"),
    (["no-unit"], "mirror1 has no program for the mirror gentoo yet", "crosprov apply brings it"),
]


@pytest.mark.parametrize(("harms", "sentence", "hint"), TOLD)
def test_why_a_sync_there_failed_is_told(
    programs: Path, config: Config, harms: list[str], sentence: str, hint: str
) -> None:
    for harm in harms:
        (programs / harm).touch()
    if "mute" in harms:
        (programs / "said").write_text("")
    with pytest.raises(Fault) as caught:
        sync(config, lambda line: None)
    assert sentence in str(caught.value) and hint in (caught.value.hint or "")


def test_whoever_stops_following_is_told_that_the_sync_goes_on(
    programs: Path, config: Config
) -> None:
    def said(line: str) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt, match="stopped; the sync goes on on mirror1"):
        sync(config, said)
