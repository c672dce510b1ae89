"""Fetching the tarball for a bundle: gone on with, compared, and never half of it in a bundle."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from crosprov.cli.app import run
from crosprov.errors import PlanError
from crosprov.factory import bundle
from crosprov.factory.download import Patience, download
from crosprov.factory.packing import Packer
from crosprov.factory.release import release
from tests.factory.releases import TARBALL, VERSION, packed, script, tar
from tests.support.bucket import BucketServer, Rule, bucket_server
from tests.support.serving import serving

IMAGE = packed()["xz"]
QUICK = Patience(silence=5.0, pauses=(0.0, 0.0))
RELEASE = release(script(), "here")
PART = f".{TARBALL}.part"


@pytest.fixture
def web(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[BucketServer]:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with bucket_server(tmp_path / "contents") as server:
        server.bucket("web")
        server.put("web", TARBALL, IMAGE)
        yield server


def packer(web: BucketServer, folder: Path, **changes: object) -> Packer:
    folder.mkdir(exist_ok=True)
    made = Packer(folder / "b", f"{web.endpoint}/web/", patience=QUICK)
    return replace(made, **changes)  # type: ignore[arg-type]


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


PASSING = {
    "none": Rule(path="nothing"),
    "cut": Rule(cut=10_000),
    "cut twice": Rule(cut=10_000, times=2),
    "reset": Rule(cut=10_000, reset=True),
    "no answer": Rule(reset=True),
    "too many requests": Rule(status=429),
    "server error": Rule(status=503),
    "damaged on the way": Rule(corrupt=77),
}


@pytest.mark.parametrize("fault", PASSING)
def test_what_passes_is_overcome(fault: str, web: BucketServer, tmp_path: Path) -> None:
    web.fail(PASSING[fault])
    told: list[tuple[int, int | None]] = []
    made = packer(web, tmp_path / "o", moved=lambda *far: told.append(far)).pack(RELEASE)
    assert made.written and names(tmp_path / "o") == ["b"]
    found = bundle.read(tmp_path / "o" / "b")
    assert found.image is not None and found.image.size == len(IMAGE)
    assert told[-1] == (len(IMAGE), len(IMAGE))


LASTING = {
    "missing": (Rule(status=404, times=None), "there is no such file"),
    "forbidden": (Rule(status=403, times=None), "does not give it to everybody"),
    "page": (Rule(html=True, times=None), "it is a web page"),
    "server error": (Rule(status=500, times=None), "status 500"),
    "no answer": (Rule(reset=True, times=None), "the connection broke off"),
    "damaged": (Rule(corrupt=77, times=None), "its MD5 differs"),
    "wrong hash": (Rule(wrong_hash=True, times=None), "its MD5 differs"),
}


@pytest.mark.parametrize("fault", LASTING)
def test_what_lasts_is_a_sentence_and_leaves_nothing(
    fault: str, web: BucketServer, tmp_path: Path
) -> None:
    rule, said = LASTING[fault]
    armed = web.fail(rule)
    with pytest.raises(PlanError) as caught:
        packer(web, tmp_path / "o").pack(RELEASE)
    assert said in caught.value.message and TARBALL in caught.value.message
    assert "--site" in (caught.value.hint or "") and names(tmp_path / "o") == []
    assert armed.hit <= len(QUICK.pauses) + 1


def test_a_run_goes_on_where_another_was_broken_off(web: BucketServer, tmp_path: Path) -> None:
    web.fail(Rule(cut=10_000, nth=1))
    web.fail(Rule(status=500, nth=2, times=None)).release()
    failing = packer(web, tmp_path / "o", patience=replace(QUICK, pauses=()))
    with pytest.raises(PlanError) as caught:
        failing.pack(RELEASE)
    assert PART in (caught.value.hint or "") and names(tmp_path / "o") == [PART]
    assert (tmp_path / "o" / PART).read_bytes() == IMAGE[:10_000]
    packer(web, tmp_path / "o").pack(RELEASE)
    asked = [request.headers.get("Range") for request in web.downloads("web", TARBALL)]
    assert asked == [None, "bytes=10000-"] and names(tmp_path / "o") == ["b"]


LEFT = {
    "all of it": IMAGE,
    "more than all": IMAGE + bytes(100),
    "another content": b"<html>" * 100,
    "nothing": b"",
}


@pytest.mark.parametrize("case", LEFT)
@pytest.mark.parametrize("fault", [None, Rule(ignore_range=True), Rule(shift=5)])
def test_whatever_an_earlier_run_left(
    case: str, fault: Rule | None, web: BucketServer, tmp_path: Path
) -> None:
    made = packer(web, tmp_path / "o")
    (tmp_path / "o" / PART).write_bytes(LEFT[case])
    if fault is not None:
        web.fail(fault)
    made.pack(RELEASE)
    found = bundle.read(tmp_path / "o" / "b")
    assert found.image is not None and found.image.size == len(IMAGE)
    assert names(tmp_path / "o") == ["b"]


@pytest.mark.parametrize("content", [b"", IMAGE[:-400], b"x" * 5000], ids=["empty", "cut", "other"])
def test_what_the_server_itself_has_only_in_part(
    content: bytes, web: BucketServer, tmp_path: Path
) -> None:
    web.put("web", TARBALL, content)
    with pytest.raises(PlanError, match="gives is no whole tarball"):
        packer(web, tmp_path / "o").pack(RELEASE)
    assert names(tmp_path / "o") == []


def test_a_bundle_that_is_there_needs_no_web(web: BucketServer, tmp_path: Path) -> None:
    packer(web, tmp_path / "o").pack(RELEASE)
    assert not packer(web, tmp_path / "o").pack(RELEASE).written
    assert len(web.downloads("web", TARBALL)) == 1


def test_two_runs_at_once_make_one_bundle(web: BucketServer, tmp_path: Path) -> None:
    written: list[bool] = []
    one = packer(web, tmp_path / "o")
    threads = [
        threading.Thread(target=lambda: written.append(one.pack(RELEASE).written))
        for _ in range(3)
    ]  # fmt: skip
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert sorted(written) == [False, False, True] and names(tmp_path / "o") == ["b"]


class _Elsewhere(BaseHTTPRequestHandler):
    """Lead to a page of another host, as networks do that want a login."""

    page = ""
    site = ""

    def do_GET(self) -> None:  # its name is the library's
        if self.path == "/login":
            body = b"<html>sign in</html>"
            self.send_response(200)
            self.send_header("Content-Type", "text/html; charset=utf-8")
        else:
            body = b""
            self.send_response(302)
            self.send_header("Location", self.page)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def portal(monkeypatch: pytest.MonkeyPatch) -> Iterator[type[_Elsewhere]]:
    monkeypatch.setenv("no_proxy", "127.0.0.1,localhost")

    class Handler(_Elsewhere):
        """Keep the addresses of this test."""

    with serving(ThreadingHTTPServer(("127.0.0.1", 0), Handler)) as server:
        Handler.page = f"http://localhost:{server.server_port}/login"
        Handler.site = f"http://127.0.0.1:{server.server_port}"
        yield Handler


@pytest.mark.parametrize(
    ("target", "said"),
    [
        (None, "it leads to a web page of localhost, as places do that want a login"),
        ("ftp://example.com/x", "neither of http nor of https"),
        ("/again", "the server sends in circles"),
    ],
)
def test_redirections_that_lead_to_no_file(
    target: str | None,
    said: str,
    portal: type[_Elsewhere],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    portal.page = target or portal.page
    out = tmp_path / "b"
    lab = inventory(tmp_path)
    assert run(["factory", "bundle", lab, "--out", str(out), "--script", f"{portal.site}/s"]) == 1
    assert said in capsys.readouterr().err and not out.exists()


def inventory(folder: Path, *servers: str) -> str:
    """Write an inventory with these settings of factory servers."""
    lines = ["lab: test", "hosts:"]
    for number, keys in enumerate(servers or ("",), 1):
        address = f"ssh: {{host: 192.0.2.{number}}}"
        lines += [f"  factory{number}:", f"    {address}", f"    factory_server: {{{keys}}}"]
    (folder / "lab.yml").write_text("\n".join(lines) + "\n")
    return str(folder / "lab.yml")


def test_the_command_makes_a_bundle_and_tells_what_is_in_it(
    web: BucketServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "s.sh").write_bytes(script())
    lab = inventory(tmp_path, f"script: {{file: s.sh}}, version: {VERSION}")
    words = [
        "factory",
        "bundle",
        lab,
        "--out",
        str(tmp_path / "b"),
        "--site",
        f"{web.endpoint}/web",
    ]
    assert run(words) == 0
    told = capsys.readouterr()
    assert f"b holds version {VERSION} (" in told.out and TARBALL in told.out
    assert f"fetching {TARBALL}" in told.err
    assert run([*words, "--format", "json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["written"], found["version"]) == (False, VERSION)
    assert found["size"] == (tmp_path / "b").stat().st_size
    assert found["image"]["size"] == len(IMAGE) and found["script"]["name"] == "cros_docker.sh"


def test_sources_of_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "image").write_bytes(tar())
    (tmp_path / "factory" / "setup").mkdir(parents=True)
    (tmp_path / "factory" / "setup" / "cros_docker.sh").write_bytes(script())
    lab = inventory(tmp_path, "bundle: not-there-yet")
    words = ["factory", "bundle", lab, "--out", str(tmp_path / "b"),
             "--image", str(tmp_path / "image")]  # fmt: skip
    assert run([*words, "--script", str(tmp_path / "factory")]) == 0
    assert run([*words, "--script", str(tmp_path / "factory/setup/cros_docker.sh")]) == 0
    assert "is there already" in capsys.readouterr().out


WRONG = {
    "no script": (("",), (), 64, "does not say where the deployment script comes from"),
    "two": (("script: {file: a}", "script: {file: b}"), (), 64, "factory1 and factory2"),
    "no such file": (("script: {file: a}",), (), 1, "cannot be read: No such file"),
    "no factory server": (("",), ("--limit", "none"), 64, "none"),
    "no address": (("script: {file: a}",), ("--site", "gs://x"), 64, "--site gs://x is no address"),
    "script of no address": (
        ("",),
        ("--script", "https://host"),
        64,
        "--script https://host names",
    ),
    "bad address": (("",), ("--script", "http://[::/x"), 1, "the address cannot be asked"),
    "bad number": (("",), ("--script", "http://h:x/x"), 1, "the address cannot be asked"),
    "other version": (
        ("script: {file: s.sh}, version: 20990101000000-000000",),
        (),
        1,
        "the inventory says version 2099",
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_wrong_usage(case: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    servers, words, status, said = WRONG[case]
    (tmp_path / "s.sh").write_bytes(script())
    lab = inventory(tmp_path, *servers)
    assert run(["factory", "bundle", lab, "--out", str(tmp_path / "b"), *words]) == status
    told = capsys.readouterr().err
    assert said in told and "error: " in told and not (tmp_path / "b").exists()


def test_one_of_two_releases_is_chosen_by_limit(tmp_path: Path) -> None:
    (tmp_path / "s.sh").write_bytes(script())
    (tmp_path / "image").write_bytes(IMAGE)
    lab = inventory(tmp_path, "script: {file: a}", "script: {file: s.sh}, image_archive: image")
    words = ["factory", "bundle", lab, "--out", str(tmp_path / "b")]
    assert run([*words, "--limit", "factory2"]) == 0
    assert bundle.read(tmp_path / "b").script == script()


def test_the_disk_is_full(web: BucketServer, tmp_path: Path) -> None:
    (tmp_path / "part").symlink_to("/dev/full")
    with pytest.raises(PlanError, match="part cannot be written: No space left"):
        download(f"{web.endpoint}/web/{TARBALL}", tmp_path / "part", lambda *_: None, QUICK)
    assert len(web.downloads("web", TARBALL)) == 1


def test_what_a_killed_run_left_of_a_bundle_is_replaced(web: BucketServer, tmp_path: Path) -> None:
    made = packer(web, tmp_path / "o")
    (tmp_path / "o" / ".b.part").write_bytes(bytes(1_000_000))
    assert made.pack(RELEASE).written and names(tmp_path / "o") == ["b"]
    assert bundle.read(tmp_path / "o" / "b").script == script()
