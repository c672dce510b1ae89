"""Manifests written from where the files are, and what is said of each."""

from __future__ import annotations

import hashlib
import http.server
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from crosprov.mirror.digests import hasher
from crosprov.mirror.manifest_file import KEPT, Written, write_manifest
from crosprov.mirror.manifests import read_manifest
from crosprov.mirror.mirrors import Mirror
from crosprov.mirror.model import Fault
from crosprov.mirror.origins import AtAddress, InFolder, OnMirror, Origin, Upstream
from tests.mirror.publishing import bucket_mirror, store_of
from tests.support.bucket import Rule, bucket_server
from tests.support.serving import serving

CONTENTS = {"foo-1.tar.xz": b"one", "foo-2.tar.xz": b"two" * 9, "extra%2F@1.mod": b"mod"}


def _tree(parent: Path, layout: str = "thin-manifests = true\n") -> Path:
    """Make a tree with the package app-misc/foo, and give the package's folder."""
    tree = parent / "tree"
    package = tree / "app-misc" / "foo"
    (tree / "metadata" / "md5-cache" / "app-misc").mkdir(parents=True)
    (tree / "profiles").mkdir()
    (tree / "profiles" / "repo_name").write_text("toy\n")
    (tree / "metadata" / "layout.conf").write_text(f"masters =\n{layout}")
    (package / "files").mkdir(parents=True)
    (package / "files" / "fix.patch").write_text("patch\n")
    (package / "metadata.xml").write_text("<pkgmetadata/>\n")
    return package


def _ebuild(package: Path, version: str, src_uri: str, restrict: str = "") -> Path:
    path = package / f"foo-{version}.ebuild"
    path.write_text(f'EAPI=8\nSRC_URI="{src_uri}"\n')
    digest = hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest()
    cache = package.parents[1] / "metadata" / "md5-cache" / "app-misc" / f"foo-{version}"
    cache.write_text(f"EAPI=8\nRESTRICT={restrict}\nSRC_URI={src_uri}\n_md5_={digest}\n")
    return path


def _distfiles(parent: Path, *names: str) -> Path:
    folder = parent / "distfiles"
    folder.mkdir(exist_ok=True)
    for name in names:
        (folder / name).write_bytes(CONTENTS[name])
    return folder


def _line(name: str, content: bytes, *algorithms: str, tag: str = "DIST") -> str:
    words = [tag, name, str(len(content))]
    for algorithm in algorithms or ("BLAKE2B", "SHA512"):
        one = hasher(algorithm)
        one.update(content)
        words += [algorithm, one.hexdigest()]
    return " ".join(words)


def _origins(folder: Path) -> dict[str, Origin]:
    return {"local folder": InFolder(folder)}


def _text(package: Path) -> list[str]:
    return (package / "Manifest").read_text().splitlines()


def test_a_manifest_is_written_as_portage_does(tmp_path: Path) -> None:
    package = _tree(tmp_path)
    _ebuild(
        package, "1", "https://example.com/foo-1.tar.xz https://example.com/m -> extra%2F@1.mod"
    )
    _ebuild(package, "2", "use? ( https://example.com/foo-2.tar.xz )")
    folder = _distfiles(tmp_path, *CONTENTS)
    found = write_manifest(package, _origins(folder))
    assert _text(package) == [_line(name, CONTENTS[name]) for name in sorted(CONTENTS)]
    assert found.changed and [one.where for one in found.files] == [
        str(folder / name) for name in sorted(CONTENTS)
    ]
    before = (package / "Manifest").stat().st_ino
    again = write_manifest(package, _origins(folder))
    assert not again.changed and {one.where for one in again.files} == {KEPT}
    assert (package / "Manifest").stat().st_ino == before
    assert [path.name for path in package.iterdir() if path.name.startswith(".")] == []


def test_hashes_of_the_tree_s_choice(tmp_path: Path) -> None:
    package = _tree(tmp_path, "thin-manifests = true\nmanifest-hashes = SHA512 SHA256\n")
    _ebuild(package, "1", "https://example.com/foo-1.tar.xz")
    write_manifest(package, _origins(_distfiles(tmp_path, "foo-1.tar.xz")))
    assert _text(package) == [_line("foo-1.tar.xz", b"one", "SHA256", "SHA512")]


def test_a_full_manifest_lists_the_package_s_own_files(tmp_path: Path) -> None:
    package = _tree(tmp_path, "")
    ebuild = _ebuild(package, "1", "https://example.com/foo-1.tar.xz")
    write_manifest(package, _origins(_distfiles(tmp_path, "foo-1.tar.xz")))
    assert _text(package) == [
        _line("fix.patch", b"patch\n", tag="AUX"),
        _line("foo-1.tar.xz", b"one"),
        _line(ebuild.name, ebuild.read_bytes(), tag="EBUILD"),
        _line("metadata.xml", b"<pkgmetadata/>\n", tag="MISC"),
    ]
    assert not write_manifest(package, _origins(tmp_path)).changed


def test_entries_of_other_versions_stay_until_they_are_pruned(tmp_path: Path) -> None:
    package = _tree(tmp_path)
    first = _ebuild(package, "1", "https://example.com/foo-1.tar.xz")
    _ebuild(package, "2", "https://example.com/foo-2.tar.xz")
    old = _line("gone-0.tar.xz", b"gone", "SHA256", "SHA512")
    (package / "Manifest").write_text(f"{old}\n")
    origins = _origins(_distfiles(tmp_path, *CONTENTS))
    alone = write_manifest(first, origins, prune=True)
    assert alone.kept == ("gone-0.tar.xz",) and [f.archive.name for f in alone.files] == [
        "foo-1.tar.xz"
    ]
    assert write_manifest(package, origins).kept == ("gone-0.tar.xz",)
    assert _text(package)[-1] == old
    looked = write_manifest(package, origins, prune=True, dry_run=True)
    assert looked.changed and old in _text(package)
    assert write_manifest(package, origins, prune=True).dropped == ("gone-0.tar.xz",)
    assert old not in _text(package)


def test_the_first_origin_that_has_a_file_counts(tmp_path: Path) -> None:
    package = _tree(tmp_path)
    _ebuild(package, "1", "https://example.com/foo-1.tar.xz https://example.com/foo-2.tar.xz")
    folder = _distfiles(tmp_path, "foo-1.tar.xz", "foo-2.tar.xz")
    kept = tmp_path / "mirror"
    kept.mkdir()
    (kept / "foo-2.tar.xz").write_bytes(b"as it is on the mirror")
    mirror = OnMirror(Mirror("m", str(kept), True).open(), str(kept))
    found = write_manifest(package, {"mirror": mirror, "local folder": InFolder(folder)})
    assert [(one.kind, one.where) for one in found.files] == [
        ("local folder", f"{folder}/foo-1.tar.xz"),
        ("mirror", f"{kept}/foo-2.tar.xz"),
    ]


@contextmanager
def _serving(answers: dict[str, tuple[int, bytes]]) -> Iterator[str]:
    """Serve paths with a status and a body each."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, body = answers.get(self.path, (404, b""))
            self.send_response(status)
            self.send_header("Content-Length", str(len(body) + (status == 206)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with serving(http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)) as server:
        yield f"http://127.0.0.1:{server.server_port}"


def _from_http(
    tmp_path: Path, answers: dict[str, tuple[int, bytes]], restrict: str = ""
) -> Written:
    package = _tree(tmp_path)
    with _serving(answers) as base:
        sources = f"{base}/dead/foo-1.tar.xz {base}/foo-1.tar.xz {base}/m -> extra%2F@1.mod"
        _ebuild(package, "1", sources, restrict)
        origins: dict[str, Origin] = {
            "mirror": AtAddress(f"{base}/distfiles"),
            "upstream": Upstream(),
        }
        return write_manifest(package, origins)


def test_upstream_is_asked_where_the_ebuild_says(tmp_path: Path) -> None:
    answers = {
        "/foo-1.tar.xz": (200, b"one"),
        "/distfiles/extra%252F@1.mod": (200, b"from the mirror"),
        "/m": (200, b"from upstream"),
    }
    found = _from_http(tmp_path, answers)
    where = {one.archive.name: (one.kind, one.where.partition("/")[2]) for one in found.files}
    assert {name: kind for name, (kind, _) in where.items()} == {
        "extra%2F@1.mod": "mirror",
        "foo-1.tar.xz": "upstream",
    }
    assert where["extra%2F@1.mod"][1].endswith("/distfiles/extra%252F@1.mod")


@pytest.mark.parametrize(
    ("answer", "restrict", "expected"),
    [
        ((404, b""), "", "status 404"),
        ((200, b""), "", "empty"),
        ((200, b"\n<!DOCTYPE html><p>sign in"), "", "a web page"),
        ((206, b"one"), "", "status 206"),
        ((200, b"one"), "fetch", "RESTRICT=fetch"),
    ],
)
def test_files_that_cannot_be_had_leave_the_manifest_alone(
    tmp_path: Path, answer: tuple[int, bytes], restrict: str, expected: str
) -> None:
    answers = {"/foo-1.tar.xz": answer, "/distfiles/extra%252F@1.mod": (200, b"m")}
    with pytest.raises(Fault, match="1 of 2 files cannot be had") as raised:
        _from_http(tmp_path, answers, restrict)
    assert expected in str(raised.value)
    assert not (tmp_path / "tree" / "app-misc" / "foo" / "Manifest").exists()


def test_a_private_bucket_is_read_with_credentials(tmp_path: Path) -> None:
    package = _tree(tmp_path)
    _ebuild(package, "1", "gs://local-private/distfiles/foo-1.tar.xz", "mirror")
    with bucket_server(tmp_path / "contents") as server:
        mirror = bucket_mirror(server, public=False)
        server.put(mirror.bucket, "distfiles/foo-1.tar.xz", b"one")
        armed = server.fail(Rule(path="foo-1.tar.xz", query="alt=media", cut=1, reset=True))
        with store_of(server, mirror) as store:
            upstream = Upstream(lambda place: store)
            found = write_manifest(package, {"upstream": upstream})
            assert found.files[0].where == "gs://local-private/distfiles/foo-1.tar.xz"
            assert armed.hit == 1
            (package / "Manifest").unlink()
            on_mirror = OnMirror(store, mirror.store)
            assert write_manifest(package, {"mirror": on_mirror}).files[0].kind == "mirror"
    assert _text(package) == [_line("foo-1.tar.xz", b"one")]


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        (_line("foo-1.tar.xz", b"One"), "has BLAKE2B"),
        (_line("foo-1.tar.xz", b"longer"), "has 6 bytes here, and 3"),
        (_line("foo-1.tar.xz", b"one", "SHA1"), "only SHA1"),
    ],
)
def test_proving_anew_never_changes_what_was_said(
    tmp_path: Path, entry: str, expected: str
) -> None:
    package = _tree(tmp_path)
    _ebuild(package, "1", "https://example.com/foo-1.tar.xz")
    (package / "Manifest").write_text(f"{entry}\n")
    origins = _origins(_distfiles(tmp_path, "foo-1.tar.xz"))
    assert write_manifest(package, origins).files[0].where == KEPT
    with pytest.raises(Fault, match=expected) as raised:
        write_manifest(package, origins, again=True)
    assert raised.value.where == f"{package}/Manifest:1"
    assert _text(package) == [entry]


def test_proving_anew_brings_today_s_hashes(tmp_path: Path) -> None:
    package = _tree(tmp_path)
    _ebuild(package, "1", "https://example.com/foo-1.tar.xz")
    (package / "Manifest").write_text(_line("foo-1.tar.xz", b"one", "SHA512", "SHA1") + "\n")
    write_manifest(package, _origins(_distfiles(tmp_path, "foo-1.tar.xz")), again=True)
    assert _text(package) == [_line("foo-1.tar.xz", b"one")]


SIGNED = "-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA256\n\nDIST a-1 1 SHA512 {}\n{}\n".format(
    "0" * 128, "-----BEGIN PGP SIGNATURE-----\n\nx\n-----END PGP SIGNATURE-----"
)


@pytest.mark.parametrize(
    ("manifest", "layout", "src_uri", "expected"),
    [
        (SIGNED, "thin-manifests = true\n", "https://example.com/foo-1.tar.xz", "is signed"),
        ("DIST ../f 1 SHA1 00\n", "", "https://example.com/foo-1.tar.xz", "another folder"),
        ("", "use-manifests = false\n", "https://example.com/foo-1.tar.xz", "has no Manifests"),
        ("", "manifest-hashes = WHIRLPOOL\n", "https://example.com/foo-1.tar.xz", "WHIRLPOOL"),
        ("", "", "https://example.com/ -> ../up", "cannot be the name"),
        ("", "", "( https://example.com/foo-1.tar.xz", "SRC_URI"),
    ],
)
def test_what_a_person_has_to_mend_first(
    tmp_path: Path, manifest: str, layout: str, src_uri: str, expected: str
) -> None:
    package = _tree(tmp_path, layout)
    _ebuild(package, "1", src_uri)
    if manifest:
        (package / "Manifest").write_text(manifest)
    with pytest.raises(Fault, match=expected):
        write_manifest(package, _origins(_distfiles(tmp_path, "foo-1.tar.xz")))
    assert (package / "Manifest").exists() == bool(manifest)


def test_an_ebuild_that_the_cache_does_not_know_is_sourced(tmp_path: Path) -> None:
    package = _tree(tmp_path)
    path = package / "foo-1.ebuild"
    path.write_text(
        'EAPI=7\nSLOT=0\nDESCRIPTION="d"\nSRC_URI="https://example.com/${P}.tar.xz"\n'
        'HOMEPAGE="https://example.com/"\nLICENSE="BSD"\nKEYWORDS="amd64"\n'
    )
    (package.parents[1] / "profiles" / "categories").write_text("app-misc\n")
    write_manifest(path, _origins(_distfiles(tmp_path, "foo-1.tar.xz")))
    assert _text(package) == [_line("foo-1.tar.xz", b"one")]


@pytest.mark.parametrize(
    ("where", "expected"),
    [
        ("absent", "there is no such package"),
        (".", "this is a whole tree, and no package"),
        ("app-misc", "this is a category of a tree, and no package"),
        ("app-misc/foo/files", "this is no package of a tree of ebuilds"),
        ("..", "this is no package of a tree of ebuilds"),
        ("app-misc/foo/bar-1.ebuild", "it is no ebuild of app-misc/foo"),
        ("app-misc/none", "has no package app-misc/none with an ebuild"),
    ],
)
def test_what_is_no_package(tmp_path: Path, where: str, expected: str) -> None:
    package = _tree(tmp_path)
    _ebuild(package, "1", "https://example.com/foo-1.tar.xz")
    (package / "bar-1.ebuild").write_text("")
    (package.parent / "none").mkdir()
    (package / "files").mkdir(exist_ok=True)
    with pytest.raises(Fault, match=expected):
        write_manifest(package.parents[1] / where, {})


def test_what_is_written_reads_back_as_what_was_measured(tmp_path: Path) -> None:
    package = _tree(tmp_path)
    _ebuild(package, "1", " ".join(f"https://example.com/x -> {name}" for name in CONTENTS))
    found = write_manifest(package, _origins(_distfiles(tmp_path, *CONTENTS)))
    text = (package / "Manifest").read_bytes()
    read = read_manifest(text, "Manifest")
    assert read.sound and dict(read.archives) == {f.archive.name: f.archive for f in found.files}


@pytest.mark.parametrize("name", ["a b.patch", "a\tb.patch", "a\\b.patch", "a\udcff.patch"])
def test_a_name_that_no_line_can_hold_is_refused(tmp_path: Path, name: str) -> None:
    package = _tree(tmp_path, "")
    _ebuild(package, "1", "https://example.com/foo-1.tar.xz")
    Path(package, "files", name).write_bytes(b"x")
    with pytest.raises(Fault, match="cannot stand in a Manifest") as raised:
        write_manifest(package, _origins(_distfiles(tmp_path, "foo-1.tar.xz")))
    assert str(raised.value).isprintable() and not (package / "Manifest").exists()
