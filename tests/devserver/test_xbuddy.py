"""xBuddy: what a path means."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crosprov.devserver import bucket
from crosprov.devserver.aliases import Aliases, read_aliases
from crosprov.devserver.archive import StoreArchive
from crosprov.devserver.failures import Refused
from crosprov.devserver.layout import Layout
from crosprov.devserver.stores import open_store
from crosprov.devserver.xbuddy import XBuddy
from tests.support.bucket import bucket_server

BASE = "gs://archive"
PAYLOAD = "chromeos_R121-15700.1.0_eve_full_dev.bin"
REMOTE = {
    f"{BASE}/eve-release": {
        "LATEST-main": "R122-15800.0.0\n",
        "LATEST-15662.64.0": "R120-15662.64.0",
        "R120-15662.64.0": "", "R121-15700.1.0": "", "R121-15700.10.0": "", "R122-15800.0.0": "",
        "index.html": "",
    },
    f"{BASE}/eve-release/R121-15700.1.0": {f"{PAYLOAD}.json": "", PAYLOAD: "", "stateful.tgz": ""},
    f"{BASE}/eve-paladin": {"LATEST-master": "R119-15600.0.0-rc3"},
    f"{BASE}/eve-full": {"LATEST-main": "<html>no</html>"},
    "gs://other/eve-release": {"LATEST-main": "R99-1.0.0"},
    "gs://chromeos-releases/stable-channel/eve": {"15662.9.0": "", "15662.64.0": "", "notes": ""},
    "gs://chromeos-releases/beta-channel/eve": {"15700.1.0": ""},
}  # fmt: skip


class Bucket:
    """Stand for the archive: folders of small files."""

    def __init__(self, folders: Mapping[str, Mapping[str, str]]) -> None:
        self._folders = folders

    def names(self, folder: str) -> Iterable[str]:
        return list(self._folders.get(folder, {}))

    def text(self, folder: str, name: str) -> str | None:
        return self._folders.get(folder, {}).get(name)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("static")
    for build, names in {
        "eve-release/R120-15662.9.0": ["chromiumos_test_image.bin"],
        "eve-release/R120-15662.10.0": ["stateful.tgz", "chromeos_R120_eve_full_dev.bin"],
        "eve-release/R121-15700.0.0": [],
        "kip/R99-1.2.3": ["update.gz"],
    }.items():
        (root / build).mkdir(parents=True)
        for name in names:
            (root / build / name).touch()
    (root / "outside").symlink_to("/etc")
    return root


@pytest.fixture(scope="module")
def xbuddy(root: Path) -> XBuddy:
    return XBuddy(Layout(root), Bucket(REMOTE), base=BASE)


@pytest.mark.parametrize(
    ("path", "file"),
    [
        ("eve", "eve-release/R120-15662.10.0/chromeos_R120_eve_full_dev.bin"),
        ("local/eve/latest/test", None),
        ("eve/latest-R120/stateful", "eve-release/R120-15662.10.0/stateful.tgz"),
        ("local/eve/R120-15662.9.0/test", "eve-release/R120-15662.9.0/chromiumos_test_image.bin"),
        ("eve/15662.9.0", "eve-release/R120-15662.9.0/chromiumos_test_image.bin"),
        ("eve/R120-15662.9", "eve-release/R120-15662.9.0/chromiumos_test_image.bin"),
        ("eve-release/R120-15662.9.0", "eve-release/R120-15662.9.0/chromiumos_test_image.bin"),
        ("kip/full_payload", "kip/R99-1.2.3/update.gz"),
        ("xbuddy/kip/R99-1.2.3/full_payload", "kip/R99-1.2.3/update.gz"),
        ("kip/update", "kip/R99-1.2.3/update.gz"),
        ("remote/eve/R120-15662.0.0", "eve-release/R120-15662.0.0/chromiumos_test_image.bin"),
        ("remote/eve", "eve-release/R120-15662.64.0/chromiumos_test_image.bin"),
        ("remote/eve/latest-stable/base", "eve-release/R120-15662.64.0/chromiumos_base_image.bin"),
        ("remote/eve/latest-beta/full_payload", f"eve-release/R121-15700.1.0/{PAYLOAD}"),
        ("eve/beta_update", f"eve-release/R121-15700.1.0/{PAYLOAD}"),
        ("remote/eve/latest-official/stateful", "eve-release/R122-15800.0.0/stateful.tgz"),
        ("eve/release", "eve-release/R122-15800.0.0/chromiumos_test_image.bin"),
        ("eve/paladin", "eve-paladin/R119-15600.0.0-rc3/chromiumos_test_image.bin"),
        ("remote/eve/latest-R121/dev", "eve-release/R121-15700.10.0/chromiumos_image.bin"),
        ("remote/eve/15662.64.0/stateful", "eve-release/R120-15662.64.0/stateful.tgz"),
        ("remote/eve/R121-15700.1.0/signed", "eve-release/R121-15700.1.0/signed_image.bin"),
        ("remote/eve/latest-dev/test", None),
        ("remote/eve/latest-R7/test", None),
        ("remote/eve/latest-official-full/test", None),
        ("remote/eve/latest-official/delta_payload", None),
        ("eve/R1-1.0.0", None),
        ("nothing/latest", None),
    ],
)  # fmt: skip
def test_a_path_means_a_file(xbuddy: XBuddy, path: str, file: str | None) -> None:
    try:
        found = xbuddy.file(xbuddy.find(path))
    except Refused as refused:
        assert (refused.status, file) == (404, None), refused.sentence
    else:
        assert found == file


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("", "names no board"),
        ("canary", "needs a board"),
        ("remote/eve/latest/ANY", "needs a type"),
        ("local/eve/latest-beta/test", "such builds are remote"),
        ("a/b/c/d", "is not [local|remote]"),
        ("local/../R1-1.0.0/test", "is not [local|remote]"),
        ("eve/R1-1.0.0/nonsense", "full_payload"),
    ],
)
def test_a_wrong_path_gets_a_sentence(xbuddy: XBuddy, path: str, words: str) -> None:
    with pytest.raises(Refused, match=".") as caught:
        xbuddy.find(path)
    assert caught.value.status == 400
    assert words in caught.value.sentence


def test_another_archive_may_be_named(xbuddy: XBuddy) -> None:
    found = xbuddy.find("remote/eve/latest-official/test", "gs://other/")
    assert found.source == "gs://other/eve-release/R99-1.0.0"
    with pytest.raises(Refused, match="image_dir"):
        xbuddy.find("remote/eve", "/etc")


def test_a_board_may_be_given_before(xbuddy: XBuddy) -> None:
    kip = xbuddy.of_board("kip")
    assert kip.find("latest").build == kip.find("update").build == "kip/R99-1.2.3"
    assert kip.find("").build == "kip/R99-1.2.3"


def test_a_shadow_wins_key_by_key(tmp_path: Path, root: Path) -> None:
    shadow = tmp_path / "shadow.ini"
    shadow.write_text(
        "[GENERAL]\ncapacity: 9\n[PATH_REWRITES]\nours = remote/BOARD/VERSION/stateful\n"
        "fixed = remote/eve/R120-15662.0.0/test\n"
        "update: remote/BOARD/latest-official/test\n[LOCATION_SUFFIXES]\nours: -paladin\n"
    )
    aliases = read_aliases(shadow)
    assert aliases.capacity == 9
    assert aliases.paths["canary"] == Aliases().paths["canary"]
    xbuddy = XBuddy(Layout(root), Bucket(REMOTE), base=BASE, aliases=aliases)
    assert xbuddy.find("eve/R119-15600.0.0/ours").build == "eve-paladin/R119-15600.0.0"
    assert xbuddy.find("eve/update").build == "eve-release/R122-15800.0.0"
    assert xbuddy.find("fixed").build == "eve-release/R120-15662.0.0"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("no section", "is not a configuration"),
        ("[GENERAL]\ncapacity: many", "is not a number"),
        ("[PATHS]\na: b", "there is no section PATHS"),
        ("[GENERAL]\n[GENERAL]\n", "is not a configuration"),
    ],
)
def test_a_wrong_shadow_gets_a_sentence(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "shadow.ini").write_text(text)
    with pytest.raises(Refused, match="shadow.ini") as caught:
        read_aliases(tmp_path / "shadow.ini")
    assert words in caught.value.sentence and "\n" not in caught.value.sentence


words = st.sampled_from(
    ["local", "remote", "eve", "kip", "latest", "latest-beta", "R120-15662.9.0", "test", "ANY",
     "..", "", "outside", "passwd", "xbuddy", "update", "canary", "full_payload", "R1", "15662.9.0"]
)  # fmt: skip


@given(st.one_of(st.lists(words, max_size=6).map("/".join), st.text(max_size=40)))
def test_any_path_means_a_build_or_is_refused(xbuddy: XBuddy, root: Path, path: str) -> None:
    try:
        file = xbuddy.file(xbuddy.find(path))
    except Refused as refused:
        assert refused.status in (400, 404)
    else:
        assert not file.startswith(("/", "outside")) and ".." not in file


def test_the_archive_is_asked_with_googles_client(tmp_path: Path) -> None:
    with bucket_server(tmp_path / "gs") as server:
        server.bucket("archive", public=True)
        server.put("archive", "eve-release/LATEST-main", b"R122-15800.0.0\n")
        server.put("archive", "eve-release/R122-15800.0.0/stateful.tgz", b"x")
        server.put("archive", "eve-release/R121-15700.0.0/stateful.tgz", b"x")
        archive = StoreArchive(lambda source: open_store(source, None, server.endpoint))
        xbuddy = XBuddy(Layout(tmp_path), archive, base=BASE)
        newest = xbuddy.find("remote/eve/latest-official/stateful")
        assert newest.source == f"{BASE}/eve-release/R122-15800.0.0"
        assert xbuddy.find("remote/eve/latest-R121").build == "eve-release/R121-15700.0.0"
        bucket.close_clients()
