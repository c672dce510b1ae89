"""Small trees of ebuilds with their files, for tests of the whole program."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

FROM = "https://files.example.com"


def write_tree(
    folder: Path,
    files: Mapping[str, bytes],
    *,
    package: str = "dev-libs/foo",
    name: str = "one",
    cached: bool = True,
) -> Path:
    """Write a tree whose one ebuild fetches these files, with Manifest and metadata cache.

    When it is not `cached`, an eclass says where they are, which only sourcing finds out.
    """
    (folder / "profiles").mkdir(parents=True, exist_ok=True)
    (folder / "profiles/repo_name").write_text(f"{name}\n")
    (folder / "metadata").mkdir(exist_ok=True)
    (folder / "metadata/layout.conf").write_text("masters =\nthin-manifests = true\n")
    place, stem = folder / package, package.rpartition("/")[2]
    place.mkdir(parents=True, exist_ok=True)
    uris = " ".join(f"{FROM if cached else '${FETCHED_FROM}'}/{file}" for file in files)
    ebuild = place / f"{stem}-1.ebuild"
    inherit = "" if cached else "inherit fetched\n"
    ebuild.write_text(
        f'EAPI=7\n{inherit}DESCRIPTION="x"\nHOMEPAGE="https://example.com"\nSRC_URI="{uris}"\n'
        'LICENSE="BSD"\nSLOT="0"\nKEYWORDS="*"\n'
    )
    (place / "Manifest").write_text(
        "".join(
            f"DIST {file} {len(content)} BLAKE2B {hashlib.blake2b(content).hexdigest()} "
            f"SHA512 {hashlib.sha512(content).hexdigest()}\n"
            for file, content in sorted(files.items())
        )
    )
    if not cached:
        (folder / "eclass").mkdir(exist_ok=True)
        (folder / "eclass/fetched.eclass").write_text(f"FETCHED_FROM={FROM}\n")
        return folder
    cache = folder / "metadata/md5-cache" / package.partition("/")[0]
    cache.mkdir(parents=True, exist_ok=True)
    (cache / f"{stem}-1").write_text(
        "DEFINED_PHASES=-\nDESCRIPTION=x\nEAPI=7\nHOMEPAGE=https://example.com\nKEYWORDS=*\n"
        f"LICENSE=BSD\nSLOT=0\nSRC_URI={uris}\n"
        f"_md5_={hashlib.md5(ebuild.read_bytes()).hexdigest()}\n"
    )
    return folder
