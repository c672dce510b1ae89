from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from crosprov.debian_package import read_package
from crosprov.errors import HostSilent, PlanError
from crosprov.operations.package_files import package_files
from tests.support.debs import deb
from tests.support.machine import Machine, summary


@pytest.fixture
def debian(machine: Machine) -> Machine:
    """A host with containerd in an older version."""
    (machine.root / "dpkg" / "updates").mkdir(parents=True)
    machine.environ["DPKG_ADMINDIR"] = str(machine.root / "dpkg")
    (machine.stubs / "dpkg").write_text("containerd amd64 installed 1.5\n")
    return machine


def given_files(machine: Machine, **versions: str) -> list[str]:
    for name, version in versions.items():
        (machine.stubs / f"version-{name}").write_text(f"{version}\n")
    return [str(deb(machine.root / "debs" / f"{n}.deb", n, v)) for n, v in versions.items()]


def test_versions_are_in_the_plan_and_then_on_the_host(debian: Machine) -> None:
    paths = given_files(debian, docker="20.10.24+dfsg1-1", containerd="1.6", runc="1.1")
    (debian.stubs / "dpkg").write_text("containerd amd64 installed 1.5\nrunc amd64 installed 1.1\n")
    (change,) = debian.apply(lambda: package_files(paths))
    assert str(change.resource) == "packages docker, containerd"
    assert change.before == {"containerd": "1.5"}
    assert change.after == {"docker": "20.10.24+dfsg1-1", "containerd": "1.6"}
    folder = f"{debian.state_dir}/packages"
    assert debian.calls == [f"apt-get install {folder}/docker.deb {folder}/containerd.deb"]
    assert not Path(folder).exists()
    assert debian.plan(lambda: package_files(paths)).empty


def test_nothing_is_asked_for_no_files(debian: Machine) -> None:
    assert debian.plan(lambda: package_files([])).empty


def test_an_installation_that_is_killed_is_finished(debian: Machine) -> None:
    paths = given_files(debian, docker="2", runc="1")
    (debian.stubs / "cut").touch()
    with pytest.raises(HostSilent):
        debian.apply(lambda: package_files(paths))
    (debian.stubs / "cut").unlink()
    assert summary(debian.plan(lambda: package_files(paths))) == ["+ packages runc"]
    debian.apply(lambda: package_files(paths))
    assert debian.plan(lambda: package_files(paths)).empty
    assert not (debian.state_dir / "packages").exists()


def test_an_interrupted_dpkg_is_repaired_first(debian: Machine) -> None:
    paths = given_files(debian, docker="2")
    (debian.stubs / "dpkg").write_text("docker amd64 half-configured 2\n")
    (change,) = debian.apply(lambda: package_files(paths))
    assert change.before == {"docker": "half-configured"}
    assert debian.calls[0] == "dpkg --configure"


def test_two_files_of_one_package_are_refused(debian: Machine) -> None:
    one = str(deb(debian.root / "one.deb", "docker", "1"))
    two = str(deb(debian.root / "two.deb", "docker", "2"))
    with pytest.raises(PlanError, match=r"one.deb and .*two.deb are both of docker"):
        debian.plan(lambda: package_files([one, two]))


def test_another_architecture_is_refused(debian: Machine) -> None:
    path = str(deb(debian.root / "one.deb", "docker", "1", "arm64"))
    with pytest.raises(PlanError, match="is for arm64, and the host is amd64"):
        debian.plan(lambda: package_files([path]))


@pytest.mark.parametrize("packing", ["", ".gz", ".xz"])
def test_a_file_says_what_it_is(tmp_path: Path, packing: str) -> None:
    found = read_package(str(deb(tmp_path / "x.deb", "docker.io", "5:20.10~1-2", "all", packing)))
    assert (found.name, found.version, found.architecture) == ("docker.io", "5:20.10~1-2", "all")


def test_what_is_packed_with_zstd_is_known_by_its_name(tmp_path: Path) -> None:
    path = deb(tmp_path / "docker-ce_5%3a24.0.9-1_amd64.deb", "x", "1", packing=".zst")
    found = read_package(str(path))
    assert (found.name, found.version, found.architecture) == ("docker-ce", "5:24.0.9-1", "amd64")
    with pytest.raises(PlanError, match="packed with zstd"):
        read_package(str(path.rename(tmp_path / "docker.deb")))


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("x.deb", None, "cannot be read: No such file"),
        ("x.deb", b"", "not a Debian package file"),
        ("x.deb", b"<html>not found</html>", "not a Debian package file"),
        ("x.deb", b"!<arch>\n", "not a whole Debian package file"),
        ("x.txt", b"!<arch>\n", "not named as a package file"),
    ],
)
def test_what_is_no_package_file_is_said(
    tmp_path: Path, name: str, content: bytes | None, says: str
) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(PlanError, match=says):
        read_package(str(tmp_path / name))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=25)
@given(part=st.floats(0, 1, exclude_max=True))
def test_a_file_that_is_cut_short_is_refused(tmp_path: Path, part: float) -> None:
    whole = deb(tmp_path / "whole.deb", "docker", "1").read_bytes()
    cut = tmp_path / "cut.deb"
    cut.write_bytes(whole[: int(len(whole) * part)])
    with pytest.raises(PlanError, match="Debian package file"):
        read_package(str(cut))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40)
@given(place=st.integers(0, 400), byte=st.binary(min_size=1, max_size=1))
def test_a_damaged_file_is_read_or_refused(tmp_path: Path, place: int, byte: bytes) -> None:
    whole = deb(tmp_path / "whole.deb", "docker", "1").read_bytes()
    bad = tmp_path / "bad.deb"
    bad.write_bytes(whole[:place] + byte + whole[place + 1 :])
    try:
        assert read_package(str(bad)).name
    except PlanError as error:
        assert str(bad) in error.message
