from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from crosprov.errors import ChangeFailed, HostSilent, PlanError
from crosprov.operations import docker_daemon
from crosprov.operations.json_merging import Json
from crosprov.operations.units import unit
from tests.support.machine import Machine, summary

HERE = Path(__file__).parent
CHANGED = "~ file /etc/docker/daemon.json"
ROTATION: dict[str, Json] = {"log-opts": {"max-size": "10m", "max-file": "3"}}


@pytest.fixture
def engine(etc_machine: Machine) -> Machine:
    """A host whose Docker runs with a configuration of the admin's."""
    stubs = ("systemctl", "journalctl", "sleep")
    etc_machine.install(*(HERE / "stubs" / name for name in stubs), *(HERE / "engine").iterdir())
    assert etc_machine.transport().run("rm -rf /etc/docker").status == 0
    folder = etc_machine.stubs / "systemd" / "docker.service"
    folder.mkdir(parents=True)
    for name, value in (("ActiveState", "active"), ("UnitFileState", "enabled")):
        (folder / name).write_text(f"{value}\n")
    write(etc_machine, '{"debug": false}\n')
    return etc_machine


def write(machine: Machine, text: str) -> None:
    command = "mkdir -p /etc/docker && cat > /etc/docker/daemon.json"
    assert machine.transport().run(command, stdin=text.encode()).status == 0


def content(machine: Machine) -> str:
    return machine.transport().run("cat /etc/docker/daemon.json").stdout.decode()


def files(machine: Machine) -> list[str]:
    return machine.transport().run("ls -A /etc/docker").stdout.decode().split()


def wanting(values: Mapping[str, Json], **more: Any) -> Callable[[], None]:
    def wanted() -> None:
        docker_daemon.configuration(values, **more)
        docker_daemon.stopping()
        unit(docker_daemon.UNIT)

    return wanted


def test_a_daemon_is_restarted_once_and_then_left_alone(engine: Machine) -> None:
    wanted = wanting({"data-root": "/data"})
    (change,) = engine.apply(wanted)
    assert change.restarts == ("docker.service",)
    assert content(engine) == '{"debug": false, "data-root": "/data"}\n'
    assert engine.calls == ["systemctl restart docker.service"]
    assert (engine.due(), files(engine)) == ([], ["daemon.json"])
    assert engine.plan(wanted).empty
    assert (engine.stubs / "validations").read_text().startswith("dockerd --validate --config-file")


@pytest.mark.parametrize(
    ("values", "calls"),
    [
        ({"registry-mirrors": ["https://r.example.com"]}, ["systemctl reload docker.service"]),
        ({"live-restore": True, "debug": True}, ["systemctl reload docker.service"]),
        ({"live-restore": True, "bip": "192.0.2.1/24"}, ["systemctl restart docker.service"]),
        ({"debug": None, "dns": []}, ["systemctl restart docker.service"]),
        ({"debug": False}, []),
        ({"dns": None}, []),
    ],
)
def test_a_restart_is_made_only_for_what_needs_one(
    engine: Machine, values: dict[str, Json], calls: list[str]
) -> None:
    engine.apply(wanting(values))
    assert (engine.calls, engine.due()) == (calls, [])


def test_a_daemon_that_does_not_run_is_only_started(engine: Machine) -> None:
    (engine.stubs / "systemd/docker.service/ActiveState").write_text("inactive\n")
    (engine.stubs / "docker-down").touch()
    assert len(engine.apply(wanting(ROTATION))) == 2
    assert engine.calls == ["systemctl start docker.service"]


@pytest.mark.parametrize(
    ("lay", "values"),
    [
        (lambda stubs: None, {"bad": 1}),
        (lambda stubs: (stubs / "systemd/docker.service/fails").touch(), {"dns": ["x"]}),
        (lambda stubs: (stubs / "deaf").touch(), {"labels": ["x"]}),
    ],
)
def test_a_bad_file_never_stays(
    engine: Machine, lay: Callable[[Path], object], values: dict[str, Json]
) -> None:
    lay(engine.stubs)
    with pytest.raises(ChangeFailed):
        engine.apply(wanting(values))
    assert content(engine) == '{"debug": false}\n'
    assert (engine.due(), files(engine)) == ([], ["daemon.json"])


def test_a_bad_first_file_is_taken_away(engine: Machine) -> None:
    assert engine.transport().run("rm /etc/docker/daemon.json").status == 0
    (engine.stubs / "old").touch()
    (engine.stubs / "systemd/docker.service/fails").touch()
    with pytest.raises(ChangeFailed, match="did not take the new"):
        engine.apply(wanting({"dns": ["x"]}))
    assert files(engine) == []


@pytest.mark.parametrize("after", [1, 2])
def test_a_restart_that_is_killed_is_made_up_for(engine: Machine, after: int) -> None:
    wanted = wanting({"dns": ["192.0.2.1"]})
    try:
        engine.apply(wanted, STUB_CRASH_AFTER=str(after))
    except HostSilent:
        assert engine.due() == ["docker.service"]
    engine.apply(wanted)
    assert json.loads(content(engine))["dns"] == ["192.0.2.1"]
    assert engine.plan(wanted).empty
    assert engine.calls[-1] == "systemctl restart docker.service"


RESTARTED = "Docker is restarted"


@pytest.mark.parametrize(
    ("running", "live", "values", "notices"),
    [
        ("dome\numpire\n", "false", {"bip": "x"},
         [f"{RESTARTED}, which stops these for a moment: dome, umpire"]),
        ("dome\n", "true", {"bip": "x"},
         [f"{RESTARTED}; what runs goes on (live-restore): dome"]),
        ("", "false", {"bip": "x"}, []),
        ("dome\n", "false", {"labels": ["x"]}, []),
        ("dome\n", "false", {}, []),
    ],
)  # fmt: skip
def test_what_a_restart_stops_is_said(
    engine: Machine, running: str, live: str, values: dict[str, Json], notices: list[str]
) -> None:
    (engine.stubs / "running").write_text(running)
    (engine.stubs / "live").write_text(live)
    assert list(engine.plan(wanting(values)).notices) == notices


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('{\n  "debug": true,\n}\n', "daemon.json: line 3 is not JSON"),
        ("[]\n", "other than a JSON object"),
        ('{"a": 1, "a": 2}', "'a' twice"),
    ],
)
def test_a_file_that_is_not_json_is_said_with_its_line(
    engine: Machine, text: str, says: str
) -> None:
    write(engine, text)
    with pytest.raises(PlanError, match=says):
        engine.plan(wanting({"debug": True}))


@pytest.mark.parametrize("lay", ["running", "images"])
def test_data_is_never_left_behind_in_silence(engine: Machine, lay: str, tmp_path: Path) -> None:
    (engine.stubs / lay).write_text("one\n")
    new = tmp_path / "data"
    wanted = wanting({"data-root": str(new)})
    with pytest.raises(PlanError, match="containers and images are in /var/lib/docker"):
        engine.plan(wanted)
    (new / "containers" / "abc").mkdir(parents=True)
    (notice, *_) = engine.plan(wanted).notices
    assert "stays behind" in notice
    (engine.stubs / "root").write_text(f"{new}\n")
    assert "stays behind" not in " ".join(engine.plan(wanted).notices)


def test_rotation_is_of_a_driver_that_has_it(engine: Machine) -> None:
    write(engine, '{"log-driver": "journald"}\n')
    with pytest.raises(PlanError, match="has journald"):
        engine.plan(wanting(ROTATION))
    plan = engine.plan(wanting(ROTATION, rotation=False))
    assert plan.empty
    assert "journald" in plan.notices[0]
    assert summary(engine.plan(wanting({**ROTATION, "log-driver": "local"}))) == [CHANGED]
