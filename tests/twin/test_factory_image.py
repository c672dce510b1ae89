from __future__ import annotations

import hashlib
import io
import json
import lzma
import tarfile
import time
from pathlib import Path
from typing import Any

import pytest

from crosprov.errors import TwinError
from crosprov.twin import TwinLab, rootfs
from crosprov.twin.factory import archive, image, programs
from crosprov.twin.factory.interpreter import Layer
from tests.twin.conftest import Run, print_nothing

OTHER = {"timestamp": "20240101000000", "githash": "b" * 40}


@pytest.fixture
def layer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Layer:
    """A first layer that took no packages to make."""
    data = archive.of_files({"bin/busybox": b"\x7fELF"}, mode=0o755)
    digest = hashlib.sha256(data).hexdigest()
    member = archive.member_of(f"{digest}/layer.tar", data)
    (tmp_path / "member").write_bytes(member)
    (tmp_path / "member.xz").write_bytes(lzma.compress(member))
    made = Layer(f"{digest}/layer.tar", digest, tmp_path / "member", tmp_path / "member.xz")
    monkeypatch.setattr("crosprov.twin.factory.interpreter.ensure", lambda rootfs, progress: made)
    return made


def parts(data: bytes) -> tuple[dict[str, Any], dict[str, Any], tarfile.TarFile]:
    """Return the manifest, the configuration and the archive itself."""
    tar = tarfile.open(fileobj=io.BytesIO(data))
    (manifest,) = json.loads(content(tar, "manifest.json"))
    return manifest, json.loads(content(tar, manifest["Config"])), tar


def content(tar: tarfile.TarFile, name: str) -> bytes:
    file = tar.extractfile(name)
    assert file is not None
    return file.read()


@pytest.mark.parametrize("name", ["image.tar", "image.txz"])
def test_the_image_has_the_same_bytes_each_time(
    tmp_path: Path, layer: Layer, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    image.write(tmp_path / f"1-{name}", tmp_path)
    monkeypatch.setattr(time, "time", lambda: 2e9)
    image.write(tmp_path / f"2-{name}", tmp_path)
    assert (tmp_path / f"1-{name}").read_bytes() == (tmp_path / f"2-{name}").read_bytes()
    image.write(tmp_path / f"3-{name}", tmp_path, timestamp="20240101000000")
    assert (tmp_path / f"1-{name}").read_bytes() != (tmp_path / f"3-{name}").read_bytes()


def test_another_version_differs_in_its_configuration_alone(tmp_path: Path, layer: Layer) -> None:
    first = image.build(tmp_path, tmp_path)
    second = image.build(tmp_path, tmp_path, **OTHER, umpire_version=9)
    assert first.name == "factory-server-20230616101859-adb3ce-docker-1.10.3.txz"
    assert second.name == "factory-server-20240101000000-bbbbbb-docker-1.10.3.txz"
    images = [parts(lzma.decompress(path.read_bytes())) for path in (first, second)]
    (one, one_config, tar), (two, two_config, _) = images
    assert one["RepoTags"] == two["RepoTags"] == ["cros/factory_server:latest"]
    assert one["Layers"] == two["Layers"] and one["Config"] != two["Config"]
    assert one_config["rootfs"] == two_config["rootfs"]
    digests = [hashlib.sha256(content(tar, name)).hexdigest() for name in one["Layers"]]
    assert one_config["rootfs"]["diff_ids"] == [f"sha256:{digest}" for digest in digests]
    assert {
        "DOCKER_IMAGE_TIMESTAMP=20240101000000",
        f"DOCKER_IMAGE_GITHASH={'b' * 40}",
        "DOCKER_IMAGE_ISLOCAL=0",
        "STANDIN_UMPIRE_VERSION=9",
    } <= set(two_config["config"]["Env"])


def test_a_compressed_archive_holds_the_same_as_a_plain_one(tmp_path: Path, layer: Layer) -> None:
    image.write(tmp_path / "image.tar", tmp_path)
    image.write(tmp_path / "image.txz", tmp_path)
    plain = (tmp_path / "image.tar").read_bytes()
    assert lzma.decompress((tmp_path / "image.txz").read_bytes()) == plain


@pytest.mark.parametrize("version", [{"timestamp": "2024"}, {"githash": "xyz"}])
def test_what_is_no_version_is_refused(
    tmp_path: Path, layer: Layer, version: dict[str, Any]
) -> None:
    with pytest.raises(TwinError, match="no version"):
        image.build(tmp_path, tmp_path, **version)


def test_programs_have_the_original_s_names_and_bring_all_they_import() -> None:
    files = programs.files()
    for path in (
        *("usr/bin/uwsgi", "usr/sbin/nginx", "usr/sbin/dnsmasq"),
        *("usr/local/factory/bin/umpired", "usr/local/factory/py/multicast/server.py"),
        *("usr/local/factory/py/dome/manage.py", "usr/local/factory/py/dome/uwsgi.ini"),
    ):
        assert path in files
    ours = f"{programs.PACKAGES}/"
    held = {path.removeprefix(ours) for path in files if path.startswith(f"{ours}crosprov/")}
    wanted = {
        f"{line.split()[1].replace('.', '/')}.py"
        for path in held
        for line in files[ours + path].decode().splitlines()
        if line.startswith("from crosprov.twin.factory.")
    }
    assert wanted <= held | {f"{path.rsplit('/', 1)[0]}.py" for path in held}


def test_a_tree_s_archive_depends_on_its_content_alone(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name / "folder").mkdir(parents=True)
        (tmp_path / name / "folder/file").write_text("text")
        (tmp_path / name / "link").symlink_to("folder/file")
    one, two = (archive.of_tree(tmp_path / name) for name in ("one", "two"))
    assert one == two
    with tarfile.open(fileobj=io.BytesIO(one)) as tar:
        assert tar.getnames() == ["folder", "folder/file", "link"]
        assert tar.getmember("link").linkname == "folder/file"


@pytest.mark.lab
def test_real_docker_runs_the_factory_server(lab: TwinLab, run: Run) -> None:
    def sh(command: str) -> str:
        done = run("mirror1", command)
        assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
        return done.stdout

    sh("apt-get install -y -q --no-install-recommends docker.io xz-utils")
    # Put on the host's disk while the host is off, as if an operator had carried it there.
    lab.stop("mirror1")
    folder = lab.upper("mirror1") / "root"
    folder.mkdir(mode=0o700, exist_ok=True)
    base = rootfs.ensure(lab.cache_dir, print_nothing)
    tarball = image.build(folder, base)
    lab.start("mirror1")

    assert "cros/factory_server:latest" in sh(f"docker load -q -i /root/{tarball.name}")
    shown = sh("docker image inspect -f '{{json .Config.Env}} {{.Size}}' cros/factory_server")
    assert f"DOCKER_IMAGE_TIMESTAMP={image.TIMESTAMP}" in shown
    assert int(shown.split()[-1]) < 60_000_000
    dome = (
        "-v /var/run/docker.sock:/var/run/docker.sock -v /cros_docker/dome:/var/db/factory/dome"
        " -v /cros_docker/umpire:/var/db/factory/umpire -w /usr/local/factory/py/dome"
    )
    sh(f"docker run --rm {dome} cros/factory_server python3 manage.py migrate")
    sh(
        f"docker run -d --name dome_uwsgi --restart unless-stopped -v /run {dome}"
        " cros/factory_server uwsgi --ini uwsgi.ini"
    )
    sh(
        "docker run -d --name dome_nginx --restart unless-stopped --volumes-from dome_uwsgi"
        " -p 8000:80 cros/factory_server nginx -g 'daemon off;'"
    )
    fetch = "curl -fsS --retry 10 --retry-all-errors --retry-delay 1"
    info = json.loads(run("dut01", f"{fetch} http://mirror1.example.com:8000/info").stdout)
    assert info["dockerImageGithash"] == image.GITHASH
    assert info["dockerImageIslocal"] is False
    assert "Dome" in run("dut01", f"{fetch} http://mirror1.example.com:8000/").stdout
    assert run("dut01", "curl -fsS http://mirror1.example.com:8000/projects/").returncode == 22

    ask = f"{fetch} -H 'Content-Type: application/json' http://127.0.0.1:8000/projects/"
    assert json.loads(sh(f"""{ask} -d '{{"name": "eve"}}'"""))["umpireEnabled"] is False
    enable = """-X PUT -d '{"umpireEnabled": true, "umpirePort": 8080}'"""
    assert json.loads(sh(f"{ask}eve/ {enable}"))["hasExistingUmpire"] is True
    (bundle,) = json.loads(sh(f"{ask}eve/bundles/"))
    assert (bundle["name"], bundle["active"]) == ("empty", True)
    ping = "<?xml version='1.0'?><methodCall><methodName>Ping</methodName></methodCall>"
    answer = run("dut01", f'{fetch} -d "{ping}" http://mirror1.example.com:8080/').stdout
    assert "<string>eve</string>" in answer

    sh("docker stop -t 5 dome_uwsgi")
    code = "curl -s -o /dev/null -w '%{http_code}' http://127.0.0.1:8000"
    assert sh(f"{code}/info") == "502"
