"""Generated trees of ebuilds like those that are in use, and a mirror that has the files of one."""

from __future__ import annotations

from hashlib import blake2b, md5, sha512
from pathlib import Path

PACKAGES = 2_000


def grow(folder: Path, entries: int) -> None:
    """Write a tree as large community overlays are: few packages name most of the files.

    A third of the files are new to each package that names them, the others are shared, as
    modules of Go and crates are.
    """
    (folder / "profiles").mkdir(parents=True)
    (folder / "profiles/repo_name").write_text("generated\n")
    (folder / "metadata").mkdir()
    (folder / "metadata/layout.conf").write_text("masters =\nthin-manifests = true\n")
    shared = [f"github.com%2Fone%2Fmodule%2F@v%2Fv{number}.mod" for number in range(entries // 10)]
    heavy = PACKAGES // 10
    share = entries // 2 // heavy
    left = entries
    for number in range(PACKAGES):
        many = share if number < heavy else max(1, left // (PACKAGES - number))
        names = [f"package{number}-{i}.tar.gz" for i in range(many // 3 + 1)]
        names += [shared[(number * 37 + i) % len(shared)] for i in range(many - len(names))]
        _package(folder, number, names)
        left -= len(names)


def _package(folder: Path, number: int, names: list[str]) -> None:
    category, name = f"cat-{number % 40}", f"package{number}"
    home = folder / category / name
    home.mkdir(parents=True)
    (home / "Manifest").write_text("".join(map(_entry, sorted(names))))
    uris = " ".join(f"https://example.com/{number}/{i} -> {n}" for i, n in enumerate(names))
    for version in ("1.0", "1.1"):
        ebuild = home / f"{name}-{version}.ebuild"
        ebuild.write_text(f'EAPI=8\n# {version}\nSLOT="0"\nSRC_URI="{uris}"\n')
        digest = md5(ebuild.read_bytes(), usedforsecurity=False).hexdigest()
        entry = folder / "metadata/md5-cache" / category / ebuild.stem
        entry.parent.mkdir(parents=True, exist_ok=True)
        entry.write_text(f"DEFINED_PHASES=-\nEAPI=8\nSRC_URI={uris}\nSLOT=0\n_md5_={digest}\n")


def grow_bare(folder: Path, ebuilds: int) -> None:
    """Write a tree without cached metadata, as a lab's own overlay is, with an eclass."""
    (folder / "profiles").mkdir(parents=True)
    (folder / "profiles/repo_name").write_text("bare\n")
    (folder / "metadata").mkdir()
    (folder / "metadata/layout.conf").write_text("masters =\nthin-manifests = true\n")
    (folder / "eclass").mkdir()
    (folder / "eclass/site.eclass").write_text('SITE="https://example.com/${PN}"\n')
    for number in range(ebuilds):
        home = folder / f"cat-{number % 10}" / f"bare{number}"
        home.mkdir(parents=True)
        text = 'EAPI=8\ninherit site\nSLOT="0"\nSRC_URI="${SITE}/${P}.tar.gz"\n'
        (home / f"bare{number}-1.ebuild").write_text(text)
        (home / "Manifest").write_text(_entry(f"bare{number}-1.tar.gz"))


def _entry(name: str) -> str:
    content = name.encode()
    hashes = f"BLAKE2B {blake2b(content).hexdigest()} SHA512 {sha512(content).hexdigest()}"
    return f"DIST {name} {len(content)} {hashes}\n"


def fill(folder: Path, tree: Path) -> None:
    """Write the files that a generated tree names: the content of each is its own name."""
    folder.mkdir()
    for manifest in tree.glob("*/*/Manifest"):
        for line in manifest.read_text().splitlines():
            name = line.split()[1]
            (folder / name).write_bytes(name.encode())
