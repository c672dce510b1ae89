"""The deployment script from a file, a checkout or the web: whole, or a sentence."""

from __future__ import annotations

import base64
import hashlib
import io
import tarfile
import zipfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crosprov.errors import PlanError
from crosprov.factory import script_source
from crosprov.factory.script_source import decoded, script_of
from crosprov.factory.sources import release_of
from crosprov.inventory.factory import ScriptSource
from tests.factory.releases import VERSION, script, settings
from tests.support.bucket import BucketServer, Rule, bucket_server

SCRIPT = script()
SHA256 = hashlib.sha256(SCRIPT).hexdigest()
Tree = Mapping[str, bytes]


def folder(path: Path, tree: Tree) -> Path:
    for name, content in tree.items():
        file = path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
    path.mkdir(exist_ok=True)
    return path


def tarred(mode: str) -> Callable[[Path, Tree], Path]:
    def make(path: Path, tree: Tree) -> Path:
        with tarfile.open(str(path), mode) as archive:  # type: ignore[call-overload]
            for name, content in tree.items():
                member = tarfile.TarInfo(name)
                member.size = len(content)
                archive.addfile(member, io.BytesIO(content))
        return path

    return make


def zipped(path: Path, tree: Tree) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in tree.items():
            archive.writestr(name, content)
    return path


FORMS = {
    "folder": folder, "tar": tarred("w"), "tar.gz": tarred("w:gz"), "tar.bz2": tarred("w:bz2"),
    "tar.xz": tarred("w:xz"), "zip": zipped,
}  # fmt: skip
NOISE = {"README.md": b"x", "setup/other.sh": b"x", "a/b/c/setup/cros_docker.sh": b"too deep"}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("place", ["", "factory/", "release/factory/"])
def test_a_checkout_or_factory_bundle(form: str, place: str, tmp_path: Path) -> None:
    tree = {**NOISE, f"{place}setup/cros_docker.sh": SCRIPT}
    found = FORMS[form](tmp_path / "source", tree)
    assert script_of(ScriptSource(checkout=found, sha256=SHA256))[0] == SCRIPT


def test_a_checkout_of_all_of_chromiumos(tmp_path: Path) -> None:
    folder(tmp_path, {"src/platform/factory/setup/cros_docker.sh": SCRIPT})
    assert script_of(ScriptSource(checkout=tmp_path))[0] == SCRIPT


@pytest.mark.parametrize("form", FORMS)
def test_the_nearest_one_counts(form: str, tmp_path: Path) -> None:
    tree = {"a/setup/cros_docker.sh": b"#!other\n", "setup/cros_docker.sh": SCRIPT}
    assert script_of(ScriptSource(checkout=FORMS[form](tmp_path / "s", tree)))[0] == SCRIPT


def test_names_of_an_archive_with_a_dot(tmp_path: Path) -> None:
    found = tarred("w:gz")(tmp_path / "s", {"./setup/cros_docker.sh": SCRIPT})
    assert script_of(ScriptSource(checkout=found))[0] == SCRIPT


BAD_TREES = {
    "none": (NOISE, "has no setup/cros_docker.sh"),
    "two": (
        {"a/setup/cros_docker.sh": SCRIPT, "b/setup/cros_docker.sh": SCRIPT},
        "several deployment scripts",
    ),
    "large": ({"setup/cros_docker.sh": b"#" * 5_300_000}, "more than 5 MB"),
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("case", BAD_TREES)
def test_a_checkout_without_one_script(form: str, case: str, tmp_path: Path) -> None:
    tree, said = BAD_TREES[case]
    source = FORMS[form](tmp_path / "source", tree)
    with pytest.raises(PlanError) as caught:
        script_of(ScriptSource(checkout=source))
    assert said in caught.value.message and str(source) in caught.value.message


@pytest.mark.parametrize("name", ["../setup/cros_docker.sh", "/setup/cros_docker.sh"])
@pytest.mark.parametrize("form", ["tar", "zip"])
def test_names_that_lead_out_of_an_archive_are_not_the_script(
    form: str, name: str, tmp_path: Path
) -> None:
    source = FORMS[form](tmp_path / "source", {name: SCRIPT})
    with pytest.raises(PlanError, match="has no setup"):
        script_of(ScriptSource(checkout=source))


def test_a_link_in_a_tar_is_not_the_script(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "t", "w") as archive:
        link = tarfile.TarInfo("setup/cros_docker.sh")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(link)
    with pytest.raises(PlanError, match="has no setup"):
        script_of(ScriptSource(checkout=tmp_path / "t"))


@pytest.mark.parametrize("form", ["tar", "tar.gz", "tar.bz2", "tar.xz", "zip"])
@pytest.mark.parametrize("part", [0.0, 0.3, 0.6])
def test_a_cut_archive_is_a_sentence(form: str, part: float, tmp_path: Path) -> None:
    source = FORMS[form](
        tmp_path / "source", {"big": bytes(50_000), "setup/cros_docker.sh": SCRIPT}
    )
    content = source.read_bytes()
    source.write_bytes(content[: int(len(content) * part)])
    with pytest.raises(PlanError) as caught:
        script_of(ScriptSource(checkout=source))
    assert "damaged" in caught.value.message or "has no setup" in caught.value.message


@pytest.mark.parametrize("form", ["tar", "tar.gz", "tar.bz2", "tar.xz", "zip"])
@given(data=st.data())
def test_a_damaged_archive_is_a_sentence_at_worst(
    form: str, data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    source = FORMS[form](tmp_path_factory.mktemp("a") / "s", {"setup/cros_docker.sh": SCRIPT})
    content = bytearray(source.read_bytes())
    places = st.integers(0, min(len(content), 2000) - 1)
    for at, value in data.draw(st.dictionaries(places, st.integers(0, 255), min_size=1)).items():
        content[at] = value
    source.write_bytes(content)
    try:
        assert len(script_of(ScriptSource(checkout=source))[0]) <= 5_300_000
    except PlanError as error:
        assert str(source) in error.message


@pytest.mark.parametrize("key", ["file", "checkout"])
def test_a_source_that_is_not_there(key: str, tmp_path: Path) -> None:
    with pytest.raises(PlanError, match="cannot be read: No such file"):
        script_of(ScriptSource.model_validate({key: tmp_path / "none"}))


def test_a_pinned_sha256_is_compared(tmp_path: Path) -> None:
    path = tmp_path / "s.sh"
    path.write_bytes(SCRIPT)
    assert script_of(ScriptSource(file=path, sha256=SHA256))[0] == SCRIPT
    with pytest.raises(PlanError) as caught:
        script_of(ScriptSource(file=path, sha256="0" * 64))
    assert SHA256 in caught.value.message and "0" * 64 in caught.value.message


# What the web gives.


@pytest.fixture
def web(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[BucketServer]:
    monkeypatch.setattr(script_source, "_fetched", {})
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with bucket_server(tmp_path / "contents") as server:
        server.bucket("web", public=True)
        yield server


ENCODED = base64.b64encode(SCRIPT)
GOOD = {"plain": SCRIPT, "base64": ENCODED, "lines of base64": base64.encodebytes(SCRIPT)}


@pytest.mark.parametrize("case", GOOD)
def test_a_download_is_decoded_and_asked_for_once(
    case: str, web: BucketServer, tmp_path: Path
) -> None:
    web.put("web", "s.sh", GOOD[case])
    wanted = settings(tmp_path, script={"url": f"{web.endpoint}/web/s.sh", "sha256": SHA256})
    for _ in range(3):
        found = release_of(wanted)
        assert found is not None and found.script == SCRIPT and str(found.version) == VERSION
    assert len(web.downloads("web", "s.sh")) == 1


BAD = {
    "empty": (b"", "is empty"),
    "page": (b"<!doctype html><p>Sign in\n", "is a web page"),
    "cut base64": (ENCODED[:-7], "base64 that was cut short"),
    "cut between bytes": (ENCODED[: (SCRIPT.index(b"publish") + 6) // 3 * 4], "cut short"),
    "of something else": (base64.b64encode(b"hello\n"), "has no #! line"),
    "large": (b"#!" + bytes(11_000_000), "it has more than"),
}


@pytest.mark.parametrize("case", BAD)
def test_a_download_that_is_no_script(case: str, web: BucketServer, tmp_path: Path) -> None:
    content, said = BAD[case]
    web.put("web", "s.sh", content)
    with pytest.raises(PlanError) as caught:
        release_of(settings(tmp_path, script={"url": f"{web.endpoint}/web/s.sh"}))
    assert said in caught.value.message and "/web/s.sh" in caught.value.message


FAULTS = {
    "missing": (Rule(status=404), "there is no such file"),
    "forbidden": (Rule(status=403), "does not give it to everybody"),
    "broken": (Rule(status=500), "answers with status 500"),
    "page": (Rule(html=True), "it is a web page"),
    "reset": (Rule(reset=True), "the connection broke off"),
    "cut": (Rule(cut=100), "are missing"),
}


@pytest.mark.parametrize("case", FAULTS)
def test_a_fault_of_the_web_is_a_sentence_and_the_next_try_may_do(
    case: str, web: BucketServer, tmp_path: Path
) -> None:
    rule, said = FAULTS[case]
    web.put("web", "s.sh", SCRIPT)
    web.fail(rule)
    wanted = settings(tmp_path, script={"url": f"{web.endpoint}/web/s.sh"})
    with pytest.raises(PlanError) as caught:
        release_of(wanted)
    assert said in caught.value.message and "checkout" in (caught.value.hint or "")
    assert release_of(wanted) is not None


def test_silence_is_bounded(
    web: BucketServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(script_source, "WITHIN", 0.3)
    web.put("web", "s.sh", SCRIPT)
    armed = web.fail(Rule(stall=10))
    with pytest.raises(PlanError, match="silent for too long"):
        release_of(settings(tmp_path, script={"url": f"{web.endpoint}/web/s.sh"}))
    armed.release()


def test_nobody_listens(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    url = "http://me:s3cret@127.0.0.1:9/s.sh"
    for address in (url, url.replace("me:s3cret@", "")):
        with pytest.raises(PlanError) as caught:
            script_of(ScriptSource(url=address))
        assert "cannot be fetched from http://127.0.0.1:9/s.sh" in caught.value.message
        assert "s3cret" not in caught.value.message


def test_a_proxy_of_the_environment_is_asked(
    web: BucketServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    monkeypatch.setenv("no_proxy", "")
    web.put("web", "s.sh", SCRIPT)
    with pytest.raises(PlanError, match="takes no connection"):
        release_of(settings(tmp_path, script={"url": f"{web.endpoint}/web/s.sh"}))
    assert web.downloads("web", "s.sh") == []


def test_what_is_no_base64_stays() -> None:
    assert decoded(b"not base64!\n", "here") == b"not base64!\n"
