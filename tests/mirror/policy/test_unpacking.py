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
        # the program by other names
        "$(tc-getTAR) xf x.tar",
        '"$(tc-getTAR)" -C "${S}" -xf x.tar',
        "$(type -P bsdtar) -xf x.tar",
        "`which tar` xf x.tar",
        "${TAR} xf x.tar",
        '"${TAR:-gtar}" xf x.tar',
        '"${packer:-bsdtar}" xf x.tar',
        "${packer-tar} xf x.tar",
        "local TAR=bsdtar; ${TAR} xf x.tar",
        'local run="tar --wildcards"; ${run} -xf x.tar',
        'local run=( tar -C x ); "${run[@]}" -xf x.tar',
        'local run=( "$(tc-getTAR)" -C x ); "${run[@]}" -xf x.tar',
        'local run="$(tc-getTAR)"; ${run} -xf x.tar',
        'local a=tar b=${a}; "${b}" xf x.tar',
        "use x && y=unzip || y=:; ${y} x.zip",
        # behind others
        "busybox tar xf x.tar",
        "busybox unzip x.zip",
        "/bin/busybox tar xf x.tar",
        'sh -c "tar xf x.tar"',
        "bash -ec 'cd x && unzip y.zip'",
        "sh -c \"bash -c 'unzip x.zip'\"",
        'eval "tar xf ${x}"',
        "eval tar xf x.tar",
        "find . -exec sh -c 'unzip \"${1}\"' _ {} +",
        "find . -name x -exec nice unzip {} +",
        "nice -n 19 tar xf x.tar",
        "xargs -I {} tar xf {} < list",
        "timeout 60 unzip x.zip",
        # others of their kind
        "ar x x.deb",
        "ar -xv x.deb",
        "$(tc-getAR) x x.deb",
        "dpkg-deb -x x.deb .",
        "dpkg --extract x.deb .",
        "dpkg-deb --fsys-tarfile x.deb | tar x",
        "jar xf x.jar",
        "jar --extract --file x.jar",
        "7z -y x y.7z",
        "bsdcpio -id < x.cpio",
        "zcat x.cpio.gz | cpio -i --make-directories",
        "rpm2cpio x.rpm > x.cpio",
        "rpm2tar -O x.rpm | tar -x",
        "( cd x && tar xf y.tar )",
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
        # programs and archives that are made, listed or only spoken of
        "$(tc-getTAR) cf x.tar y",
        "$(tc-getAR) rcs libx.a x.o",
        "${AR} crs libx.a x.o",
        "ar t x.a",
        "ar",
        "jar cfe x.jar y z",
        "jar uf x.jar y",
        "dpkg --print-architecture",
        "dpkg-deb --build x",
        "rpm2cpio --version",
        "local TAR=bsdtar; ${TAR} cf x.tar y",
        'local list=( x.tar y ); doins "${list[@]}"',
        'local run="tar -t"; ${run} -f x.tar',
        'einfo "run tar xf x.tar"',
        "sh -c \"echo 'then; tar xf x.tar'\"",
        "bash -c 'echo \"now; unzip x.zip\"'",
        "sh x.sh -c",
        "sh -c",
        "eval",
        'eval "$(x)"',
        "export TAR=tar",
        "tc-export AR TAR",
        'emake TAR="tar xf" unpack x',
        "emake ar x",
        'sed -i "s/tar xf/unzip/" Makefile',
        "grep -q unzip x || die 'tar xf'",
        "[[ -x $(type -P unzip) ]] && y",
        "if type -P unzip; then :; fi",
        "which tar xf",
        "tar cf - . | ( cd x && tar xf - )",
        "sh -c 'tar cf - . | tar xf - -C x'",
        "tar cf - . | sh -c 'tar xf - -C x'",
        "python <<-EOF\n\tx = 1\n\ttar xf y\n\tEOF\n",
        "cat <<< 'tar xf x'",
        'a="${a} tar"; ${a} xf x',  # it leads to itself
        # what gives no full path
        'unpack "$(basename "${DISTDIR}"/x.zip)"',
        'unpack $(ls "${DISTDIR}")',
        'unpack $(ls -d "${WORKDIR}")',
        "unpack $(find . -name '*.zip')",
        'unpack $(printf "%s.tar" x)',
        "unpack $(realpath --relative-to=. x.tar)",
        "unpack $(readlink x)",
        "unpack $(:)",
        "unpack x~/y",
        'unpack "~/x.tar"',
        'unpack "${P%/*}"',
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
        '"${DISTDIR%/}"/x.tar',
        "$(pwd)/x.tar",
        '"$(pwd)"/x.tar',
        "`pwd`/x.tar",
        "${PWD}/x.tar",
        "~/x.tar",
        "$(printf '%s ' \"${DISTDIR}\"/*.zip)",
        '$(echo "${DISTDIR}"/*.zip)',
        '$(ls -1 "${DISTDIR}"/*.zip)',
        '$(find "${WORKDIR}" -name x.tar)',
        '$(find "${WORKDIR}" -name x.tar | sort | head -n 1)',
        "$(realpath x.tar)",
        '"$(readlink -f x.tar)"',
    ],
)
def test_full_paths_are_found(tmp_path: Path, argument: str) -> None:
    grove = Grove(tmp_path)
    path = grove.ebuild(f"{HEAD}src_unpack() {{\n\tdefault\n\tunpack {argument}\n}}\n")
    assert [(f.rule, str(f.place)) for f in grove.found()] == [("unpack-path", f"{path}:4")]


@pytest.mark.parametrize(
    "code",
    [
        'x="${DISTDIR}/y.zip"\nunpack "${x}"',
        'for x in "${S}"/*.zip; do\nunpack ${x}; done',
        'x=$(pwd)/y.zip\nunpack "${x}"',
        'x=( "${DISTDIR}"/*.zip )\nunpack "${x[@]}"',
    ],
)
def test_full_paths_are_followed_through_variables(tmp_path: Path, code: str) -> None:
    grove = Grove(tmp_path)
    grove.ebuild(f"{HEAD}src_unpack() {{\n{code}\n}}\n")
    assert grove.rules() == ["unpack-path"]


@pytest.mark.parametrize(
    ("code", "found"),
    [
        ("x\nsh -c 'y\n\ttar xf x'\n", [("tar", 5)]),
        ("local t=bsdtar\nx\n${t} -xf x\n", [("bsdtar", 5)]),
        ("rpm2cpio x |\n\tcpio -id\n", [("cpio", 4)]),
        ("use x && y=unzip || y='7z x'\n${y} z\n", [("7z", 4), ("unzip", 4)]),
    ],
)
def test_a_finding_names_the_program_and_its_line(
    tmp_path: Path, code: str, found: list[tuple[str, int]]
) -> None:
    grove = Grove(tmp_path)
    grove.ebuild(f"{HEAD}src_unpack() {{\n{code}}}\n")
    assert [(f.subject, f.place.line) for f in grove.found()] == found


@pytest.mark.timeout(20)
def test_no_code_takes_long(tmp_path: Path) -> None:
    grove = Grove(tmp_path)
    values = "".join(f'a="${{b}} {n} tar"\nb="${{a}} {n} tar"\n' for n in range(300))
    grove.ebuild(HEAD + values + "${a} xf x\n" * 300)
    assert grove.rules() == []
