"""The image of a factory server: installed, refused, brought back, kept; no real Docker."""

from __future__ import annotations

import contextlib
import lzma
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from crosprov.errors import ChangeFailed, HostSilent
from crosprov.inventory.load import read_lab
from crosprov.operations import images
from crosprov.operations.deployment_script import script
from crosprov.roles.factory_server import Settings
from tests.support.machine import Machine, summary

PARTS = Path(__file__).parent / "dome"
REPOSITORY = "cros/factory_server"
VERSIONS = {
    "older": "20220101000000-cccccc", "old": "20230616101859-aaaaaa",
    "new": "20240101000000-bbbbbb",
}  # fmt: skip
SENT = "script: {file: given.sh}, image_archive: image.txz"
PULLED = "script: {file: given.sh}"
KEPT = f"version: {VERSIONS['old']}"
TEXT = (PARTS / "cros_docker.sh").read_text()


def script_of(version: str) -> str:
    time, _, githash = version.partition("-")
    return TEXT.replace("20240101000000", time).replace("bbbbbb", githash)


@dataclass
class Server:
    """A factory server on this machine, with the older image in force."""

    machine: Machine

    @property
    def folder(self) -> Path:
        return self.machine.root / "opt"

    @property
    def images(self) -> dict[str, str]:
        """Give what each name of an image points at."""
        found = (self.machine.stubs / "images").iterdir()
        return {
            one.name.removeprefix("cros_factory_server").lstrip(":"): one.read_text().strip()
            for one in found
        }

    @property
    def scripted(self) -> list[str]:
        """List what the deployment script was called with."""
        log = self.machine.stubs / "scripted"
        return log.read_text().split() if log.exists() else []

    def left(self) -> list[str]:
        """List tarballs and half-written files."""
        found = [*self.folder.rglob("factory-server-*"), *self.folder.rglob(".*")]
        return [path.name for path in found]

    def wanted(self, source: str) -> Callable[[], None]:
        root = self.machine.root
        text = (
            f"lab: l\nhosts: {{f: {{factory_server: {{shared_dir: {root}/shared, "
            f"script_dir: {self.folder}, {source}}}}}}}\n"
        )
        settings = read_lab(text, root / "lab.yml").hosts["f"].settings(Settings)

        def deploy() -> None:
            images.server_image(REPOSITORY, wanted=settings)
            script(settings.script_dir, wanted=settings)
            images.kept_versions(REPOSITORY, wanted=settings)

        return deploy

    def moved(self, source: str = SENT) -> None:
        self.machine.apply(self.wanted(source))


@pytest.fixture
def server(machine: Machine) -> Server:
    machine.install(PARTS / "docker")
    made = Server(machine)
    made.folder.mkdir()
    (made.folder / "cros_docker.sh").write_text(script_of(VERSIONS["old"]))
    (made.folder / "cros_docker.sh").chmod(0o711)
    (machine.root / "given.sh").write_text(script_of(VERSIONS["new"]))
    (machine.root / "image.txz").write_bytes(lzma.compress(b"new\n"))
    for folder in ("env", "images", "containers"):
        (machine.stubs / folder).mkdir()
    for image, version in VERSIONS.items():
        time, _, githash = version.partition("-")
        lines = f"DOCKER_IMAGE_TIMESTAMP={time}\nDOCKER_IMAGE_GITHASH={githash}00\n"
        (machine.stubs / "env" / image).write_text(lines)
    (machine.stubs / "images/cros_factory_server").write_text("old\n")
    return made


BOTH = {"": "new", VERSIONS["old"]: "old", VERSIONS["new"]: "new"}


@pytest.mark.parametrize(("source", "calls"), [(SENT, ["install"]), (PULLED, ["pull", "install"])])
def test_another_version_is_installed_once_and_the_one_before_is_kept(
    server: Server, source: str, calls: list[str]
) -> None:
    (server.machine.stubs / "site").write_bytes(lzma.compress(b"new\n"))
    server.moved(source)
    assert (server.images, server.scripted, server.left()) == (BOTH, calls, [])
    assert (server.folder / "cros_docker.sh").stat().st_mode & 0o777 == 0o755
    for name in ("old", "new"):
        kept = server.folder / "kept" / VERSIONS[name] / "cros_docker.sh"
        assert kept.read_text() == script_of(VERSIONS[name])
    assert server.machine.plan(server.wanted(source)).empty


def test_the_way_back_sends_nothing_and_a_third_version_goes(server: Server) -> None:
    (server.machine.stubs / "images" / f"cros_factory_server:{VERSIONS['older']}").write_text(
        "older\n"
    )
    server.moved()
    assert server.images == BOTH
    (server.machine.root / "image.txz").unlink()
    server.moved(KEPT)
    assert server.images == {**BOTH, "": "old"}
    assert (server.folder / "cros_docker.sh").read_text() == script_of(VERSIONS["old"])
    assert server.scripted == ["install"]
    assert server.machine.plan(server.wanted(KEPT)).empty


@pytest.mark.parametrize(
    ("source", "fault", "content", "says"),
    [
        (SENT, "install-fails", b"new\n", r"(?s)not installed \(status 3\).*no space left.*"
         rf"{VERSIONS['old']}, is current again"),
        (SENT, "", b"older\n", rf"(?s)holds an image of version {VERSIONS['older']}.*is current"),
        (SENT, "", b"other\n", "(?s)holds an image of version -.*is current again"),
        (PULLED, "pull-fails", b"new\n", "(?s)could not be pulled.*no space left on the device"),
        (PULLED, "", None, "pulled no factory-server-20240101000000-bbbbbb-docker-1.10.3.txz"),
    ],
)  # fmt: skip
def test_what_fails_leaves_the_server_as_it_was(
    server: Server, source: str, fault: str, content: bytes | None, says: str
) -> None:
    if content is not None:
        (server.machine.root / "image.txz").write_bytes(lzma.compress(content))
        (server.machine.stubs / "site").write_bytes(lzma.compress(content))
    if fault:
        (server.machine.stubs / fault).touch()
    with pytest.raises(ChangeFailed, match=says):
        server.moved(source)
    assert server.images[""] == "old"
    assert VERSIONS["new"] not in server.images
    assert (server.folder / "cros_docker.sh").read_text() == script_of(VERSIONS["old"])
    assert server.left() == []
    assert not (server.folder / "kept" / VERSIONS["new"]).exists()


def test_room_is_looked_for_before_anything_is_sent(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(images, "UNPACKED", 10**12)
    with pytest.raises(ChangeFailed, match="MiB free, and loading the image may need"):
        server.moved()
    assert (server.scripted, server.images) == ([], {"": "old"})


@pytest.mark.parametrize("back", [False, True], ids=["forward", "back"])
def test_a_run_that_is_killed_is_finished(server: Server, back: bool) -> None:
    step = 1
    while True:
        server.moved(SENT)
        if not back:
            server.moved(KEPT)
            (server.machine.stubs / f"images/cros_factory_server:{VERSIONS['new']}").unlink()
        (server.machine.stubs / "calls").unlink()
        source = KEPT if back else SENT
        with contextlib.suppress(HostSilent, ChangeFailed):
            server.machine.apply(server.wanted(source), STUB_CRASH_AFTER=str(step))
        if len(server.machine.calls) < step:
            break
        server.moved(source)
        assert server.images == {**BOTH, "": "old" if back else "new"}
        assert server.left() == []
        assert summary(server.machine.plan(server.wanted(source))) == []
        step += 1
    assert step > 1
