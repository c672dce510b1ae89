"""The version of a deployment script: read from its lines, or refused with a sentence."""

from __future__ import annotations

from pathlib import Path

import pytest

from crosprov.errors import PlanError
from crosprov.factory.release import Version, read_version, release
from crosprov.factory.sources import release_of
from tests.factory.releases import GITHASH, TARBALL, TIMESTAMP, VERSION, script, settings


def test_a_version_and_what_it_implies() -> None:
    version = read_version(script(), "here")
    assert version == Version(TIMESTAMP, GITHASH, "1.10.3")
    assert (str(version), version.tarball) == (VERSION, TARBALL)


def changed(old: str, new: str) -> bytes:
    assert old.encode() in script()
    return script().replace(old.encode(), new.encode())


@pytest.mark.parametrize(
    "content",
    [
        changed(f'"{GITHASH}"  # of the source', GITHASH),
        changed(f'"{TIMESTAMP}"', f"'{TIMESTAMP}'"),
        changed('"1.10.3"', '"1.10.3"  '),
        changed("publish() {", f'DOCKER_IMAGE_TIMESTAMP="{TIMESTAMP}"\npublish() {{'),
    ],
)
def test_other_ways_to_write_it(content: bytes) -> None:
    assert str(read_version(content, "here")) == VERSION


BAD = {
    "empty": (b"", "here is empty"),
    "page": (b"<!DOCTYPE html><title>Login</title>\n", "here is a web page"),
    "page without a type": (b"\n <html>\n", "here is a web page"),
    "no script": (b"hello\n", "has no #! line"),
    "windows": (script().replace(b"\n", b"\r\n"), "line ends of Windows"),
    "cut": (script()[:-3], "cut short"),
    "cut within a function": (script()[: script().index(b"}")], "cut short"),
    "cut after a function": (script()[: script().index(b"}") + 2], "cut short"),
    "no version": (b'#!/bin/sh\nexec true "$@"\n', "does not set DOCKER_IMAGE_TIMESTAMP"),
    "binary": (b"#!\xff\xfe\n", "not a text in UTF-8"),
    "zeros": (b"#!/bin/bash\n\0\n", "zero bytes"),
    "large": (b"#!" + b"x" * 5_300_000 + b"\n", "more than 5 MB"),
    "no hash": (changed("DOCKER_IMAGE_GITHASH=", "GITHASH="), "does not set DOCKER_IMAGE_GITHASH"),
    "no docker": (changed("DOCKER_VERSION=", "X="), "does not set DOCKER_VERSION"),
    "twice": (changed("set -e", 'DOCKER_VERSION="1.9"'), "to 1.9 and to 1.10.3"),
    "short hash": (script(githash="adb3ce"), "'adb3ce', which is no commit of 40 hex digits"),
    "bad time": (script(timestamp="2023"), "'2023', which is no time of 14 digits"),
    "bad docker": (script(docker="new"), "'new', which is no version of Docker"),
    "computed": (changed(f'"{TIMESTAMP}"', '"$(date +%s)"'), "which is no time"),
    "unclean": (script(githash="*" + GITHASH), "changes that no commit has (githash *adb3ce…)"),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_what_is_no_deployment_script(case: str) -> None:
    content, said = BAD[case]
    with pytest.raises(PlanError) as caught:
        release(content, "here")
    assert said in caught.value.message and caught.value.message.startswith("here ")
    assert caught.value.hint


def test_a_pinned_version_is_compared(tmp_path: Path) -> None:
    found = release_of(settings(tmp_path, version=VERSION))
    assert found is not None and str(found.version) == VERSION and found.script == script()
    with pytest.raises(PlanError, match=f"of version {VERSION}, .* 20990101000000-000000"):
        release_of(settings(tmp_path, version="20990101000000-000000"))


def test_without_a_source_the_hosts_own_script_stays(tmp_path: Path) -> None:
    assert release_of(settings(tmp_path, script=None)) is None


def test_no_cut_goes_unnoticed() -> None:
    whole = script()
    for length in range(len(whole)):
        with pytest.raises(PlanError):
            read_version(whole[:length], "here")
