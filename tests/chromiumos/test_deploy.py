"""What is planned for a dev server of a checkout, for a host that says what the checkout is."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

import pytest

from crosprov.errors import PlanError
from crosprov.inventory.load import read_lab
from crosprov.planning.engine import Drawing
from crosprov.planning.plan import Change
from tests.chromiumos.generations import BY_YEAR
from tests.deploys import labs
from tests.deploys.scripted import ScriptedHost

LAB = """
lab: demo
hosts:
  dev1:
    ssh: {{host: 10.0.0.6}}
    dev_server: {{implementation: chromiumos, checkout: /co, python: /py, {more}}}
"""
UNIT = "/etc/systemd/system/devserver.service"
SOUND = "checkout devserver chromite wants_chromite readable sudo build images".split()


def help_of(year: str) -> list[str]:
    return [f"help {line}" for line in BY_YEAR[year].help().splitlines()]


def host_with(*said: str, year: str = "2022") -> ScriptedHost:
    """Make a host whose checkout is sound, of that year, with more said of it."""
    host = labs.fresh()
    lines = [*SOUND, "owner me:us", "python /py", "space enough", "board eve", *said]
    answer = "\n".join([*lines, "status 0", *help_of(year)]) + "\n"

    host._answers["checkout"] = lambda host, name, command: answer
    host._take_in["gsutil"] = _mute
    return host


def _mute(host: ScriptedHost, change: Change) -> None:
    """Take in nothing."""


def planned(tmp_path: Path, host: ScriptedHost, more: str = "port: 8080") -> Drawing:
    lab = read_lab(LAB.format(more=more), tmp_path / "lab.yml")
    return host.plan(labs.model(lab, "dev1"))


def unit_file(drawing: Drawing) -> list[str]:
    """Give the lines of the unit that a plan writes."""
    for change in drawing.changes:
        if change.resource.name == UNIT:
            contents = [step.content for step in change.steps if step.do == "write"]
            return contents[0].decode().splitlines()
    raise AssertionError("the plan writes no unit")


def exec_start(drawing: Drawing) -> str:
    (line,) = [line for line in unit_file(drawing) if line.startswith("ExecStart=")]
    return line


def test_both_implementations_are_the_same_service() -> None:
    ours = import_module("crosprov.deploys.chromiumos")
    caller = import_module("crosprov.deploys.dev_server")
    for name in ("UNIT", "ACCOUNT", "CREDENTIALS"):
        assert getattr(ours, name) == getattr(caller, name)


def test_the_unit_runs_the_checkout_with_what_it_knows(tmp_path: Path) -> None:
    line = exec_start(planned(tmp_path, host_with()))
    assert line == (
        'ExecStart="/py" "/co/src/platform/dev/devserver.py" "--port" "8080" "--static_dir" '
        '"/srv/devserver/static" "--production" "--logfile" "/var/log/devserver/devserver.log" '
        '"--pidfile" "/run/devserver/pid" "--portfile" "/run/devserver/port"'
    )
    older = exec_start(planned(tmp_path, host_with(year="2014"), "production: false"))
    assert "--portfile" not in older and "--production" not in older


@pytest.mark.parametrize(
    ("more", "lines"),
    [
        ("port: 8080", ["User=devserver", "KillSignal=SIGTERM", "ProtectHome=true",
                        "CapabilityBoundingSet=", "PrivateTmp=true",
                        'ReadWritePaths="/srv/devserver/static"']),
        ("port: 80", ["AmbientCapabilities=CAP_NET_BIND_SERVICE"]),
        ("static_dir: /home/me/static", ["ProtectHome=read-only"]),
        ("static_dir: /tmp/static", ["PrivateTmp=false"]),
        ('static_dir: "/srv/a $b%c"', ['ReadWritePaths="/srv/a $b%%c"']),
        ("credentials: {file: boto}", ["Environment=BOTO_CONFIG=/etc/crosprov/devserver.boto"]),
    ],
)  # fmt: skip
def test_the_unit_fits_the_settings(tmp_path: Path, more: str, lines: list[str]) -> None:
    (tmp_path / "boto").write_text("s3cret\n")
    text = unit_file(planned(tmp_path, host_with(), more))
    assert set(lines) <= set(text)
    cache = "CROS_CACHEDIR=/var/cache/devserver HOME=/var/cache/devserver"
    assert any(cache in line for line in text)


def resources(drawing: Drawing) -> list[str]:
    return [str(change.resource) for change in drawing.changes]


@pytest.mark.parametrize(
    ("drop", "said", "planned_too", "not_planned"),
    [
        ("sudo", ["wants_sudo"], ["packages sudo"], []),
        ("sudo", [], [], ["packages sudo"]),
        ("images", ["wants_images"], ["directory /co/src/build/images"],
         ["directory /co/src/build"]),
        ("build images", ["wants_images"],
         ["directory /co/src/build", "directory /co/src/build/images"], []),
        ("build images", [], [], ["directory /co/src/build/images"]),
    ],
)  # fmt: skip
def test_what_an_old_one_fails_without_is_brought(
    tmp_path: Path, drop: str, said: list[str], planned_too: list[str], not_planned: list[str]
) -> None:
    host = host_with(*said, year="2014")
    full = host._answers["checkout"]

    def without(host: ScriptedHost, name: str, command: str) -> str:
        lines = full(host, name, command).splitlines()
        return "\n".join(line for line in lines if line not in drop.split()) + "\n"

    host._answers["checkout"] = without
    drawing = planned(tmp_path, host)
    found = resources(drawing)
    assert set(planned_too) <= set(found)
    assert not set(not_planned) & set(found)
    for change in drawing.changes:
        if change.resource.name.startswith("/co/"):
            assert change.after["owner"] == "me:us"


def test_a_second_plan_is_empty(tmp_path: Path) -> None:
    host = host_with()
    host.take_in(planned(tmp_path, host))
    assert resources(planned(tmp_path, host)) == []


@pytest.mark.parametrize(
    ("said", "more", "words"),
    [
        (["gsutil 5.4"], "port: 1", ["chromite downloads gsutil 5.4"]),
        (["gsutil 5.4", "seed other"], "port: 1", []),
        ([], "port: 1", []),
        (["space little"], "port: 1", ["less than 20 GB is free"]),
        ([], "test_image: true", ["`test_image` does nothing"]),
        ([], "gsutil: gsutil.tar", ["`gsutil` is not used"]),
    ],
)
def test_what_is_worth_knowing_is_said(
    tmp_path: Path, said: list[str], more: str, words: list[str]
) -> None:
    notices = planned(tmp_path, host_with(*said), more).notices
    assert len(notices) == len(words)
    for notice, expected in zip(notices, words, strict=True):
        assert expected in notice


@pytest.mark.parametrize(
    ("said", "more", "sentence"),
    [
        ([], "image: /i", "`image` needs --image"),
        ([], "use_cached: true", "from 2010-09-28 to 2010-11-16"),
        (["listener nginx.service nginx"], "port: 8080", "port 8080 is taken by nginx"),
        (["space none"], "port: 1", "less than 1 GB"),
    ],
)
def test_what_would_fail_is_no_plan(
    tmp_path: Path, said: list[str], more: str, sentence: str
) -> None:
    with pytest.raises(PlanError, match="dev_server") as refused:
        planned(tmp_path, host_with(*said), more)
    assert sentence in refused.value.message
