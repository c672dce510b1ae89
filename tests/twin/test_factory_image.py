from __future__ import annotations

import json
import lzma
import tarfile
import time
from pathlib import Path

import pytest

from crosprov.errors import TwinError
from crosprov.twin import TwinLab, factory_image, rootfs
from tests.twin.conftest import Run, print_nothing

COMMON = "-v /cros_docker/umpire:/var/db/factory/umpire"


@pytest.fixture
def fake_rootfs(tmp_path: Path) -> Path:
    (tmp_path / "root/usr/bin").mkdir(parents=True)
    (tmp_path / "root/usr/bin/busybox").write_bytes(b"\x7fELF")
    return tmp_path / "root"


@pytest.mark.parametrize("name", ["image.tar", "image.txz"])
def test_the_image_has_the_same_bytes_each_time(
    tmp_path: Path, fake_rootfs: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    factory_image.build(tmp_path / f"1-{name}", fake_rootfs)
    monkeypatch.setattr(time, "time", lambda: 2e9)
    factory_image.build(tmp_path / f"2-{name}", fake_rootfs)
    assert (tmp_path / f"1-{name}").read_bytes() == (tmp_path / f"2-{name}").read_bytes()
    factory_image.build(tmp_path / f"3-{name}", fake_rootfs, timestamp="20240101000000")
    assert (tmp_path / f"1-{name}").read_bytes() != (tmp_path / f"3-{name}").read_bytes()


def test_an_archive_named_as_the_original_s_is_compressed(
    tmp_path: Path, fake_rootfs: Path
) -> None:
    factory_image.build(tmp_path / "image.tar", fake_rootfs)
    factory_image.build(tmp_path / "image.txz", fake_rootfs)
    plain = (tmp_path / "image.tar").read_bytes()
    assert lzma.decompress((tmp_path / "image.txz").read_bytes()) == plain
    with tarfile.open(tmp_path / "image.tar") as archive:
        manifest = archive.extractfile("manifest.json")
        assert manifest is not None
        assert json.load(manifest)[0]["RepoTags"] == ["cros/factory_server:latest"]


def test_a_root_file_system_without_busybox_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TwinError, match="no busybox"):
        factory_image.build(tmp_path / "image.tar", tmp_path)


@pytest.mark.lab
def test_real_docker_runs_the_factory_server(lab: TwinLab, run: Run, tmp_path: Path) -> None:
    def sh(command: str) -> str:
        done = run("mirror1", command)
        assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
        return done.stdout

    sh("apt-get install -y -q --no-install-recommends docker.io xz-utils")
    # Put on the host's disk while the host is off, as if an operator had carried it there.
    lab.stop("mirror1")
    archive = lab.upper("mirror1") / "root/factory-server.txz"
    archive.parent.mkdir(mode=0o700, exist_ok=True)
    factory_image.build(archive, rootfs.ensure(lab.cache_dir, print_nothing))
    lab.start("mirror1")

    assert "cros/factory_server:latest" in sh("docker load -q -i /root/factory-server.txz")
    shown = sh("docker image inspect -f '{{json .Config.Env}}' cros/factory_server")
    assert f"DOCKER_IMAGE_TIMESTAMP={factory_image.TIMESTAMP}" in json.loads(shown)
    assert "overlay2" in sh("docker info -f '{{.Driver}}'")
    sh("docker run --rm cros/factory_server python3 manage.py migrate")

    sh("docker run -d --name dome_uwsgi --restart unless-stopped -v /run cros/factory_server uwsgi")
    sh(
        "docker run -d --name dome_nginx --restart unless-stopped --volumes-from dome_uwsgi"
        " -p 8000:80 cros/factory_server nginx -g 'daemon off;'"
    )
    sh(
        "docker run -d --name umpire_eve --privileged --tmpfs /run:size=16384k -p 8080:8080"
        f" {COMMON} -e UMPIRE_PROJECT_NAME=eve cros/factory_server"
        " /usr/local/factory/bin/umpired"
    )
    fetch = "curl -fsS --retry 10 --retry-all-errors --retry-delay 1"
    info = json.loads(run("dut01", f"{fetch} http://mirror1.example.com:8000/info").stdout)
    assert info["dockerImageGithash"] == factory_image.GITHASH
    assert info["dockerImageIslocal"] is False
    assert "Dome" in run("dut01", f"{fetch} http://mirror1.example.com:8000/").stdout
    assert "Umpire eve" in run("dut01", f"{fetch} http://mirror1.example.com:8080/").stdout

    code = "curl -s -o /dev/null -w '%{http_code}' http://127.0.0.1:8000"
    assert sh(f"{code}/projects/") == "404"
    sh("docker stop -t 5 dome_uwsgi")
    assert sh(f"{code}/info") == "502"
