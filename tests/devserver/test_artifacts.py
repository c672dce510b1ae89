"""The table of artifacts, and the places of builds."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crosprov.devserver.artifacts import ARTIFACTS, RELATED, chosen
from crosprov.devserver.failures import Refused
from crosprov.devserver.layout import Layout

BUILD = "eve-release/R120-15662.0.0"

FITTING = [
    ("full_payload", "chromeos_R120-15662.0.0_eve_full_dev.bin", 0),
    ("full_payload", "chromeos_R120-15662.0.0_eve_full_dev.bin.json", 0),
    ("full_payload", "chromeos_R120-15662.0.0_eve_dev.bin", 1),
    ("full_payload", "chromeos_R120-15662.0.0_eve_dev.bin.json", 1),
    ("full_payload", "chromeos_R120-15662.0.0_R119-1.0.0_eve_delta_dev.bin", None),
    ("full_payload", "chromeos_R121-1.0.0_eve_dev.bin", None),
    ("full_payload", "chromeos_R120-15662.0.0_eve_full_dev.bin.log", None),
    ("delta_payload", "chromeos_R119-1.0.0_R120-15662.0.0_eve_delta_dev.bin.json", 0),
    ("quick_provision", "full_dev_part_ROOT.bin.gz", 0),
    ("signed_image", "chromeos_15662.0.0_eve_recovery_dev-channel_mp-v3.bin", 0),
    ("factory_image", "ChromeOS-factory-R120.zip", 0),
    ("base_image", "chromiumos_base_image.tar.xz", 0),
    ("base_image", "image.zip", 1),
]


@pytest.mark.parametrize(("artifact", "name", "alternative"), FITTING)
def test_names_fit_an_alternative_of_their_artifact(
    artifact: str, name: str, alternative: int | None
) -> None:
    fits = [pattern.fits(name, BUILD) for pattern in ARTIFACTS[artifact].sources]
    assert (fits.index(True) if True in fits else None) == alternative


def test_relatives_are_artifacts() -> None:
    assert set(RELATED) <= set(ARTIFACTS)
    assert {name for names in RELATED.values() for name in names} <= set(ARTIFACTS)


def test_artifacts_are_chosen_once_each() -> None:
    assert [artifact.name for artifact in chosen(["stateful", "autotest", "stateful"])] == [
        "stateful",
        "autotest",
    ]


SOURCES = [
    ("gs://bucket/eve-release/R1-1.0.0", "eve-release/R1-1.0.0"),
    ("gs://bucket/eve-release/R1-1.0.0/", "eve-release/R1-1.0.0"),
    ("gs://bucket/a/b/c", "a/b/c"),
    ("gs://bucket/a", "a"),
    ("https://example.com/a/b%20c", "a/b c"),
    ("http://example.com:8080/a/b/", "a/b"),
]


@pytest.mark.parametrize(("source", "build"), SOURCES)
def test_a_build_is_named_by_its_source(tmp_path: Path, source: str, build: str) -> None:
    assert Layout(tmp_path).build(source) == build


def test_a_local_build_is_named_by_its_last_two_folders(tmp_path: Path) -> None:
    layout = Layout(tmp_path)
    assert layout.build(f"{layout.static_dir}/up/loads/eve/R1-1.0.0/") == "eve/R1-1.0.0"


@pytest.fixture(scope="module")
def layout(tmp_path_factory: pytest.TempPathFactory) -> Layout:
    """A static folder with links to everywhere."""
    static = tmp_path_factory.mktemp("layout") / "static"
    (static / "eve" / "R1").mkdir(parents=True)
    (static / ".incoming").mkdir()
    (static / "eve" / "R1" / ".build").write_text("{}")
    (static / "eve" / "R1" / "file").write_text("content")
    (static.parent / "outside").write_text("outside")
    for name, target in {
        "out": "../outside",
        "root": "/",
        "loop": "loop",
        "hidden": ".incoming",
        "fine": "eve/R1",
    }.items():
        (static / name).symlink_to(target)
    return Layout(static)


STEPS = [".incoming", ".build", "...", "\0", "\udcff", "\ud800", "x" * 300]
STEPS += ["..", ".", "", "eve", "R1", "file", "out", "root", "loop", "hidden", "fine", "etc"]
paths = st.one_of(st.lists(st.sampled_from(STEPS), max_size=7).map("/".join), st.text())


@given(paths)
def test_a_path_of_a_client_stays_inside_or_is_refused(layout: Layout, path: str) -> None:
    try:
        found = layout.inside(path)
    except Refused as refused:
        assert refused.status == 404
        assert "\n" not in refused.sentence
    else:
        assert found == layout.static_dir or layout.static_dir in found.parents
        assert found == Path(os.path.realpath(found)) or "loop" in path
        parts = found.relative_to(layout.static_dir).parts
        assert parts[:1] != (".incoming",) and parts != ("eve", "R1", ".build")


INSIDE = [
    ("", ""),
    ("eve/R1/file", "eve/R1/file"),
    ("eve//R1/./file", "eve/R1/file"),
    ("fine/file", "eve/R1/file"),
    ("not/there", "not/there"),
]


@pytest.mark.parametrize(("path", "real"), INSIDE)
def test_a_good_path_is_resolved(layout: Layout, path: str, real: str) -> None:
    assert layout.inside(path) == layout.static_dir / real


@pytest.mark.parametrize(
    ("path", "build"), [("eve/R1/file", "eve/R1"), ("eve/R1/a/b", "eve/R1"), ("eve", None)]
)
def test_the_build_of_a_path_is_known(layout: Layout, path: str, build: str | None) -> None:
    assert layout.build_of(path) == build


@given(st.one_of(st.text(), st.text().map("gs://bucket/".__add__), paths.map("gs://b-/".__add__)))
def test_any_source_names_a_build_inside_or_is_refused(layout: Layout, source: str) -> None:
    try:
        folder = layout.folder(layout.build(source))
    except Refused as refused:
        assert refused.status == 400
        assert "\n" not in refused.sentence
    else:
        assert layout.static_dir in folder.parents
        assert not any(part.startswith(".") for part in folder.relative_to(layout.static_dir).parts)
