"""Ebuilds that unpack on their own, and those that only speak of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from .growing import HEAD, Grove


@pytest.mark.parametrize(
    "code",
    [
        'tar xf "${DISTDIR}/x.tar"',
        'tar -xzf x.tar.gz -C "${S}"',
        "tar --wildcards -xpf x.tar",
        "tar --extract --file=x.tar",
        "tar -C /x -jxf x.tbz2",
        "if ! tar x; then die; fi",
        "cat x.tar | tar xf -",
        "unzip x.zip || die",
        "nonfatal unzip -q x.zip",
        'find . -name "*.zip" -exec unzip {} +',
        "ls *.zip | xargs -n1 unzip",
        "LC_ALL=C /usr/bin/unzip x.zip",
        'x="$(unzip -p x.zip)"',
        "7z x y.7z",
        "bsdtar -xf x.iso",
        "rpm2cpio x.rpm | cpio -idm",
        "unrar e x.rar",
    ],
)
def test_unpackers_are_found(tmp_path: Path, code: str) -> None:
    grove = Grove(tmp_path)
    path = grove.ebuild(f"{HEAD}src_unpack() {{\n\t{code}\n}}\n")
    assert [(f.rule, str(f.place)) for f in grove.found()] == [("self-unpack", f"{path}:3")]


@pytest.mark.parametrize(
    "code",
    [
        "# tar xf x.tar",
        'die "tar xf x.tar failed"',
        "elog 'use unzip x.zip'",
        "cat > x.sh <<EOF\ntar xf x.tar\nunzip x.zip\nEOF",
        "tar -czf x.tar.gz .",
        'tar cf - . | tar xf - -C "${D}"',
        "tar -C a -cf - . | tar -xf - -C b",
        "tar --exclude=x -cf y.tar z",
        "tar tf x.tar",
        "unzip -l x.zip",
        "has unzip ${x}",
        "local tar=xf",
        "unpack_gpkg x",
        "my_tar xf x",
        "tar() { :; }",
        "case ${x} in\n tar) y ;;\n unzip) z ;;\nesac",
        "local x=( tar xf y )",
        "[[ tar == x ]]",
        "unpack ./x.tar",
        'unpack "${P}.tar.gz"',
        "unpack ${A}",
        'unpack "${A[@]}"',
        "cpio -o < list",
        "7z a x.7z y",
        'unpack "${f##*/}"',
        'f="${DISTDIR}/x.zip"; unpack "$(basename "${f}")"',
        "for f in a b; do unpack ${f}.tar; done",
        "unpack ../x.tar",
    ],
)
def test_what_only_looks_so_is_passed_over(tmp_path: Path, code: str) -> None:
    grove = Grove(tmp_path)
    grove.ebuild(f"{HEAD}BDEPEND='app-arch/unzip'\nsrc_unpack() {{\n{code}\n}}\n")
    assert grove.rules() == []


@pytest.mark.parametrize(
    "argument",
    [
        '"${DISTDIR}/x.tar"',
        '"${DISTDIR}"/x.tar',
        "$DISTDIR/x.tar",
        "/opt/x.tar",
        '"${S}"/a/x.tar',
        '"${WORKDIR}/x.tar"',
        "ok.tar '/x.tar'",
    ],
)
def test_full_paths_are_found(tmp_path: Path, argument: str) -> None:
    grove = Grove(tmp_path)
    path = grove.ebuild(f"{HEAD}src_unpack() {{\n\tdefault\n\tunpack {argument}\n}}\n")
    assert [(f.rule, str(f.place)) for f in grove.found()] == [("unpack-path", f"{path}:4")]


@pytest.mark.parametrize(
    "code",
    ['x="${DISTDIR}/y.zip"\nunpack "${x}"', 'for x in "${S}"/*.zip; do\nunpack ${x}; done'],
)
def test_full_paths_are_followed_through_variables(tmp_path: Path, code: str) -> None:
    grove = Grove(tmp_path)
    grove.ebuild(f"{HEAD}src_unpack() {{\n{code}\n}}\n")
    assert grove.rules() == ["unpack-path"]
