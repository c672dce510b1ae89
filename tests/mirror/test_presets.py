"""The documented mirrors of ChromiumOS: what they are, where they are, who may name them."""

from __future__ import annotations

import pytest

from crosprov.mirror.presets import GENTOO_MIRRORS, PRESETS, Preset, bucket_of, may_use, preset_of

LOCAL = "chromeos-localmirror"

PLACES = {
    # address -> bucket, preset
    "gs://chromeos-localmirror/distfiles/a-1.tbz2": (LOCAL, LOCAL),
    "gs://chromeos-localmirror/distfiles//a-1.tbz2": (LOCAL, LOCAL),
    "GS://chromeos-localmirror": (LOCAL, LOCAL),
    "https://commondatastorage.googleapis.com/chromeos-localmirror/distfiles/x": (LOCAL, LOCAL),
    "http://storage.googleapis.com/chromeos-localmirror/distfiles/x": (LOCAL, LOCAL),
    "https://storage.googleapis.com:443//chromeos-localmirror/x": (LOCAL, LOCAL),
    "https://chromeos-localmirror.storage.googleapis.com/distfiles/x": (LOCAL, LOCAL),
    "gs://chromeos-localmirror-private/distfiles/x": (f"{LOCAL}-private", f"{LOCAL}-private"),
    "gs://chromeos-mirror/gentoo/distfiles/x": ("chromeos-mirror", "chromeos-mirror/gentoo"),
    "gs://chromeos-binaries/HOME/bcs-eve/x": ("chromeos-binaries", "chromeos-binaries"),
    "gs://chromiumos-sdk/x": ("chromiumos-sdk", None),
    "https://example.com/chromeos-localmirror/x": (None, None),
    "https://storage.googleapis.com.example.com/chromeos-localmirror/x": (None, None),
    "a-1.zip": (None, None),
    "gs://": (None, None),
}


@pytest.mark.parametrize("uri", PLACES)
def test_addresses_are_recognised(uri: str) -> None:
    bucket, name = PLACES[uri]
    preset = preset_of(uri)
    assert bucket_of(uri) == bucket
    assert (preset.name if preset else None) == name


def test_portage_is_told_the_public_mirrors_as_the_project_does() -> None:
    assert GENTOO_MIRRORS == (
        "https://commondatastorage.googleapis.com/chromeos-localmirror",
        "https://commondatastorage.googleapis.com/chromeos-mirror/gentoo",
    )


def test_public_trees_may_name_public_mirrors_only() -> None:
    allowed = {name for name, preset in PRESETS.items() if may_use(preset, public_tree=True)}
    assert allowed == {"chromeos-localmirror", "chromeos-mirror/gentoo"}
    assert all(may_use(preset, public_tree=False) for preset in PRESETS.values())


@pytest.mark.parametrize("found", PRESETS.values(), ids=PRESETS)
def test_no_private_mirror_is_readable_by_everybody(found: Preset) -> None:
    assert found.acl == ("public-read" if found.public else "project-private")
    assert found.address.startswith("https://" if found.public else "gs://")
    assert found.forced is found.public
    assert preset_of(found.store) is found and preset_of(found.address) is found


def test_only_one_is_filled_by_a_program() -> None:
    assert [name for name, p in PRESETS.items() if p.kind == "automatic"] == [
        "chromeos-mirror/gentoo"
    ]
    assert [name for name, p in PRESETS.items() if not p.filled_by_us] == ["chromeos-binaries"]
