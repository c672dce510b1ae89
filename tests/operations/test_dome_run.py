"""Dome run anew, brought back when that fails, finished when it was cut short; no real Docker."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from subprocess import run

import pytest

from crosprov.errors import ChangeFailed, HostSilent, PlanError
from crosprov.facts import dome_containers
from crosprov.inventory.load import read_lab
from crosprov.operations import dome as operation
from crosprov.operations.effects import effects
from crosprov.roles.factory_server import Settings
from tests.support.machine import Machine
from tests.support.serving import serving

PARTS = Path(__file__).parent / "dome"
OLD, NEW = "20230616101859-aaaaaa", "20240101000000-bbbbbb"
BEFORE = b"of the older Dome\n"


@dataclass
class Server:
    """A factory server on this machine; `id` tells one container from another of its name."""

    machine: Machine
    port: int

    @property
    def wanted(self) -> Callable[[], object]:
        root = self.machine.root
        text = (
            f"lab: l\nhosts: {{f: {{factory_server: {{shared_dir: {root}/shared, "
            f"script_dir: {root}/opt, dome_port: {self.port}}}}}}}\n"
        )
        settings = read_lab(text, root / "lab.yml").hosts["f"].settings(Settings)
        return lambda: operation.dome(settings.shared_dir, wanted=settings)

    @property
    def database(self) -> Path:
        return self.machine.root / "shared/dome/db.sqlite3"

    @property
    def containers(self) -> dict[str, tuple[str, str]]:
        """Give status and image of each container."""
        found = sorted((self.machine.stubs / "containers").iterdir())
        return {
            one.name: ((one / "status").read_text().strip(), (one / "image").read_text().strip())
            for one in found
        }

    def answer(self) -> int:
        """Answer as the Dome that runs would; 0 when none does."""
        seen = self.containers
        if any(seen.get(name, ("",))[0] != "running" for name in ("dome_uwsgi", "dome_nginx")):
            return 0
        return 500 if (self.machine.stubs / f"bad-{seen['dome_uwsgi'][1]}").exists() else 200

    def runs(self, image: str, port: int | None = None) -> None:
        """Let a Dome of an image run."""
        self.current(image)
        self.database.parent.mkdir(parents=True, exist_ok=True)
        self.database.write_bytes(BEFORE)
        added = {
            "STUB_STATE": str(self.machine.stubs), "DOME_PORT": str(port or self.port),
            "HOST_SHARED_DIR": f"{self.machine.root}/shared",
        }  # fmt: skip
        for name in ("dome_uwsgi", "dome_nginx"):
            docker = [str(self.machine.root / "bin/docker"), "create", name]
            run(docker, env={**os.environ, **added}, check=True)
        (self.machine.stubs / "calls").unlink()

    def current(self, image: str) -> None:
        """Let an image be the current one."""
        (self.machine.stubs / "images/cros_factory_server").write_text(f"{image}\n")


RUNS_NEW = {"dome_uwsgi": ("running", "new"), "dome_nginx": ("running", "new")}
RUNS_OLD = {"dome_uwsgi": ("running", "old"), "dome_nginx": ("running", "old")}


@pytest.fixture
def server(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """A host with both images; the newer one is current, and nothing runs."""
    monkeypatch.setattr(operation, "_READY_WITHIN", 1)
    machine.install(PARTS / "docker")
    (machine.root / "opt").mkdir()
    (machine.root / "opt/cros_docker.sh").write_bytes((PARTS / "cros_docker.sh").read_bytes())
    for folder in ("env", "images", "containers"):
        (machine.stubs / folder).mkdir()
    for image, version in (("old", OLD), ("new", NEW)):
        time, _, githash = version.partition("-")
        lines = f"DOCKER_IMAGE_TIMESTAMP={time}\nDOCKER_IMAGE_GITHASH={githash}00\n"
        (machine.stubs / "env" / image).write_text(lines)
    made = Server(machine, 0)

    class Dome(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if status := made.answer():
                self.send_response(status)
                self.send_header("Content-Length", "0")
                self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    with serving(ThreadingHTTPServer(("127.0.0.1", 0), Dome)) as web:
        made.port = web.server_port
        made.current("new")
        yield made


def as_declared(server: Server) -> None:
    """Check that all is of the newer version, and that nothing is left over."""
    assert server.containers == RUNS_NEW
    assert server.machine.plan(server.wanted).empty
    assert not (server.machine.state_dir / "dome-phase").exists()


def test_a_bare_host_gets_dome_once(server: Server) -> None:
    (server.machine.root / "shared/dome").mkdir(parents=True)
    (change,) = server.machine.apply(server.wanted)
    assert (change.action, change.after["version"]) == ("create", NEW)
    as_declared(server)


@pytest.mark.parametrize(
    ("status", "does"), [("exited", "start"), ("paused", "unpause"), ("dead", "restart")]
)
def test_what_only_stopped_is_started(server: Server, status: str, does: str) -> None:
    server.runs("new")
    (server.machine.stubs / "containers/dome_nginx/status").write_text(f"{status}\n")
    server.machine.apply(server.wanted)
    assert server.machine.calls == [f"{does} dome_nginx"]
    assert server.database.read_bytes() == BEFORE
    as_declared(server)


def test_another_port_needs_a_run_and_no_copy_of_the_database(server: Server) -> None:
    server.runs("new", port=1)
    (change,) = server.machine.apply(server.wanted)
    assert change.before == {"dome_nginx port 80/tcp": "1"}
    assert list(server.database.parent.glob("*before*")) == []
    as_declared(server)


def test_another_image_is_run_after_the_database_was_copied(server: Server) -> None:
    server.runs("old")
    server.current("new")
    server.machine.apply(server.wanted)
    assert Path(f"{server.database}.before-{NEW}").read_bytes() == BEFORE
    assert (server.machine.root / "opt/kept/previous").read_text() == f"{OLD}\n"
    as_declared(server)


@pytest.mark.parametrize(
    ("fault", "says"),
    [
        ("run-fails", r"(?s)run failed \(status 3\).*no space left on the device.*runs again"),
        ("bad-new", r"(?s)is not ready after 1 s; last: 500.*last words of dome_nginx.*runs again"),
    ],
)
def test_what_fails_is_shown_and_the_dome_of_before_runs_again(
    server: Server, fault: str, says: str
) -> None:
    server.runs("old")
    server.current("new")
    (server.machine.stubs / fault).touch()
    with pytest.raises(ChangeFailed, match=says):
        server.machine.apply(server.wanted)
    assert server.containers == RUNS_OLD
    assert server.database.read_bytes() == BEFORE
    assert (server.machine.stubs / "images/cros_factory_server").read_text() == "old\n"
    (server.machine.stubs / fault).unlink()
    server.current("new")  # the image is an operation of its own
    server.machine.apply(server.wanted)
    as_declared(server)


@pytest.mark.parametrize("fault", [None, "run-fails"])
def test_a_run_that_is_killed_is_finished(server: Server, fault: str | None) -> None:
    steps = 1 if fault is None else 2
    while True:
        reset(server)
        if fault is not None:
            (server.machine.stubs / fault).touch()
        with contextlib.suppress(HostSilent, ChangeFailed):
            server.machine.apply(server.wanted, STUB_CRASH_AFTER=str(steps))
        if len(server.machine.calls) < steps:
            break
        (server.machine.stubs / "run-fails").unlink(missing_ok=True)
        server.current("new")
        server.machine.apply(server.wanted)
        as_declared(server)
        for copy in server.database.parent.glob("*before*"):
            assert copy.read_bytes() == BEFORE
        steps += 3  # all of them take long; the lab's tests kill at more places
    assert steps > 6


PROCESS = "77"


def forget_docker(server: Server, monkeypatch: pytest.MonkeyPatch, *, link: bool = True) -> None:
    """Let Docker have another socket than the one that both containers have."""
    root = server.machine.root
    monkeypatch.setattr(dome_containers, "SOCKET", str(root / "docker.sock"))
    monkeypatch.setattr(dome_containers, "PROCESSES", str(root / "proc"))
    inside = root / "proc" / PROCESS / "root/run/docker.sock"
    inside.parent.mkdir(parents=True)
    inside.touch()
    mount = "9 8 0:24 /docker.sock /run/docker.sock rw - tmpfs tmpfs rw\n"
    (root / "proc" / PROCESS / "mountinfo").write_text(mount)
    if link:
        (root / "docker.sock").hardlink_to(inside)
    else:
        (root / "docker.sock").touch()
    for name in RUNS_NEW:
        (server.machine.stubs / "containers" / name / "pid").write_text(f"{PROCESS}\n")


def test_dome_is_restarted_when_its_socket_of_docker_is_gone(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.runs("new")
    forget_docker(server, monkeypatch, link=False)
    (change,) = server.machine.apply(server.wanted)
    assert change.after["restart"] == "it talks to a Docker that is gone"
    assert server.machine.calls == ["restart dome_uwsgi", "restart dome_nginx"]
    as_declared(server)


def test_dome_that_has_the_socket_of_docker_is_left_alone(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.runs("new")
    forget_docker(server, monkeypatch)
    assert server.machine.plan(server.wanted).empty


@pytest.mark.parametrize("same", [True, False])
def test_the_socket_is_looked_at_after_docker_was_restarted(
    server: Server, monkeypatch: pytest.MonkeyPatch, same: bool
) -> None:
    def restarted() -> None:
        effects().restart_done("docker.service")
        server.wanted()

    server.runs("new")
    forget_docker(server, monkeypatch)
    assert server.machine.plan(restarted).empty  # without live-restore they stop with Docker
    (server.machine.stubs / "live").write_text("true\n")
    (change,) = server.machine.plan(restarted).changes
    assert change.unknown == ("whether Dome reaches Docker once that was restarted",)
    if not same:
        (server.machine.root / "docker.sock").unlink()
        (server.machine.root / "docker.sock").touch()
    server.machine.apply(restarted)
    restarts = ["restart dome_uwsgi", "restart dome_nginx"]
    assert server.machine.calls == ([] if same else restarts)


def test_a_docker_that_does_not_answer_is_said(server: Server) -> None:
    def started() -> None:
        effects().restart_done("docker.service")
        server.wanted()

    server.runs("new")
    (server.machine.stubs / "stopped").touch()
    plan = server.machine.plan(started)
    assert plan.about["Dome"] == "not known: Docker does not answer"
    assert plan.changes[0].unknown == ("what Docker has on the host: known once Docker answers",)


def moved(server: Server) -> None:
    """Let the data be in another shared folder, of which the containers are."""
    root = server.machine.root
    (root / "shared").rename(root / "former")
    for lines in (server.machine.stubs / "containers").glob("*/lines"):
        text = lines.read_text()
        lines.write_text(text.replace(f"{root}/shared", f"{root}/former"))
    (root / "shared/dome").mkdir(parents=True)


@pytest.mark.parametrize("umpire", [False, True])
def test_data_does_not_stay_behind_in_another_shared_folder(server: Server, umpire: bool) -> None:
    server.runs("new")
    moved(server)
    root = server.machine.root
    if umpire:  # all that is left
        containers = server.machine.stubs / "containers"
        shutil.rmtree(containers / "dome_uwsgi")
        (containers / "dome_nginx").rename(containers / "umpire_eve")
        mount = f"mount /var/db/factory/umpire\t{root}/former/umpire/eve\n"
        (containers / "umpire_eve/lines").write_text(mount)
    with pytest.raises(PlanError, match=rf"is in {root}/former, and would stay .* {root}/shared"):
        server.machine.plan(server.wanted)


def test_another_shared_folder_that_has_data_is_taken(server: Server) -> None:
    server.runs("new")
    moved(server)
    server.database.write_bytes(BEFORE)
    server.machine.apply(server.wanted)
    as_declared(server)


def test_what_is_missing_is_said(server: Server) -> None:
    server.runs("new")
    shutil.rmtree(server.machine.stubs / "containers/dome_nginx")
    (change,) = server.machine.apply(server.wanted)
    assert change.before == {"dome_nginx state": "missing"}
    assert change.after["dome_nginx state"] == "running"
    as_declared(server)


def reset(server: Server) -> None:
    """Let the older Dome run again."""
    for folder in (server.machine.stubs / "containers").iterdir():
        for file in folder.iterdir():
            file.unlink()
        folder.rmdir()
    for copy in server.database.parent.glob("*before*"):
        copy.unlink()
    server.runs("old")
    server.current("new")
