"""xBuddy: names of images such as remote/eve/latest-beta/test, and the builds they mean.

A path is [local|remote]/<board>/<version>/<type>. Parts may be missing: the place is then local,
the version latest, and the type whatever there is (local) or test (remote).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

from crosprov.devserver.aliases import Aliases
from crosprov.devserver.artifacts import chosen
from crosprov.devserver.builds import folder_of, version_key, versions
from crosprov.devserver.failures import Refused
from crosprov.devserver.layout import Layout

ANY = "ANY"
CHANNELS = ("canary", "dev", "beta", "stable")
RELEASES = "gs://chromeos-releases"
NEWEST = ("LATEST-main", "LATEST-master")  # the branch was renamed in 2022

# type -> the artifact it is staged as, and the files it may be called, best first.
TYPES: dict[str, tuple[str, tuple[str, ...]]] = {
    "test": ("test_image", ("chromiumos_test_image.bin",)),
    "dev": ("dev_image", ("chromiumos_image.bin",)),
    "base": ("base_image", ("chromiumos_base_image.bin",)),
    "recovery": ("recovery_image", ("recovery_image.bin",)),
    "signed": ("signed_image", ("signed_image.bin",)),
    "factory_shim": ("factory_shim_image", ("factory_shim/factory_install_shim.bin",)),
    "full_payload": (
        "full_payload",
        ("chromeos_*_full_dev*bin", "chromeos_*_dev.bin", "update.gz"),
    ),
    "delta_payload": ("delta_payload", ("chromeos_*_delta_dev*bin",)),
    "stateful": ("stateful", ("stateful.tgz",)),
    "autotest": ("autotest", ("autotest",)),
}  # fmt: skip

_VERSION = re.compile(r"R[0-9]+-[0-9][A-Za-z0-9.-]*")
_BASE = re.compile(r"[0-9]+(\.[0-9]+)*")
_WORD = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


class Archive(Protocol):
    """What xBuddy asks of a place where builds are kept; names are those below a folder."""

    def names(self, folder: str) -> Iterable[str]:
        """List what lies in a folder: files, and folders by their first part."""

    def text(self, folder: str, name: str) -> str | None:
        """Read a small file, None when there is none."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """A path that was read: every part is there."""

    remote: bool
    board: str
    version: str
    kind: str
    suffix: str


@dataclass(frozen=True, slots=True)
class Found:
    """The build that a path means; `source` is where it comes from, None for one that is here."""

    build: str
    kind: str
    source: str | None

    @property
    def artifact(self) -> str:
        """Name the artifact that holds what is wanted."""
        return TYPES[self.kind][0]


class XBuddy:
    """Translate paths of xBuddy."""

    def __init__(
        self,
        layout: Layout,
        archive: Archive,
        *,
        base: str,
        aliases: Aliases | None = None,
        board: str = "",
    ) -> None:
        self._layout = layout
        self._archive = archive
        self._base = base
        self._aliases = aliases or Aliases()
        self._board = board

    def of_board(self, board: str) -> XBuddy:
        """Translate for a client of this board, where a path names none."""
        if not board or board == self._board:
            return self
        return XBuddy(
            self._layout, self._archive, base=self._base, aliases=self._aliases, board=board
        )

    def find(self, path: str, image_dir: str = "") -> Found:
        """Find the build of a path; `image_dir` is another place of remote builds.

        Raises Refused 400 for a path that cannot be read, 404 for a build that does not exist.
        """
        if image_dir and not image_dir.startswith("gs://"):
            raise Refused(400, "image_dir does not begin with gs://")
        base = image_dir.rstrip("/") or self._base
        wanted = self.read(path)
        if not wanted.remote:
            return self._local(wanted)
        build = self._remote(wanted, base)
        return Found(build, wanted.kind, f"{base}/{build}")

    def read(self, path: str) -> Wanted:
        """Read a path; raises Refused 400 when a part cannot be what it stands for."""
        given = path.strip("/").removeprefix("xbuddy/")
        path, suffix = self._aliases.expand(given, self._board)
        parts = [part for part in path.split("/") if part]
        remote = parts[:1] == ["remote"]
        if parts[:1] in (["remote"], ["local"]):
            parts = parts[1:]
        kind = "test" if remote else ANY
        if parts and parts[-1] in (*TYPES, ANY):
            kind = parts.pop()
        if len(parts) > 2 or not all(_WORD.fullmatch(part) for part in parts):
            kinds = ", ".join(TYPES)
            raise Refused(
                400,
                f"the path {given!r} is not [local|remote]/<board>/<version>/<type>, "
                f"where a type is one of {kinds}",
            )
        board, version = self._board_and_version(parts, given)
        if remote and kind == ANY:
            raise Refused(400, f"the path {given!r} needs a type: ANY is for local builds")
        return Wanted(remote, board, version, kind, suffix)

    def file(self, found: Found) -> str:
        """Give the path below /static/ of what a path means; raises Refused 404 if unknown."""
        name = self._here(found.build, found.kind)
        if name is None and found.source is not None:
            name = self._there(found)
        if name is None:
            what = "any image" if found.kind == ANY else f"the type {found.kind}"
            raise Refused(404, f"{found.build} does not have {what}")
        return f"{found.build}/{name}"

    def _board_and_version(self, parts: list[str], given: str) -> tuple[str, str]:
        if len(parts) == 2:
            return parts[0], parts[1]
        if len(parts) == 1 and not (self._board and _is_version(parts[0])):
            return parts[0], "latest"
        if not self._board:
            raise Refused(400, f"the path {given!r} names no board, and --board was not given")
        return self._board, parts[0] if parts else "latest"

    # --- builds that are here ---------------------------------------------------------------

    def _local(self, wanted: Wanted) -> Found:
        word, prefix = _target(wanted)
        for target in dict.fromkeys((f"{wanted.board}{word}", wanted.board)):
            fitting = [
                version for version in versions(self._layout, target) if _fits(version, prefix)
            ]
            for version in reversed(fitting):
                build = f"{target}/{version}"
                if wanted.kind != ANY:
                    return Found(build, wanted.kind, None)
                kind = next((kind for kind in TYPES if self._here(build, kind)), None)
                if kind:
                    return Found(build, kind, None)
        raise Refused(404, f"no build {wanted.version} of {wanted.board} is on this dev server")

    def _here(self, build: str, kind: str) -> str | None:
        folder = folder_of(self._layout, build)
        for pattern in TYPES[kind][1] if kind in TYPES else ():
            for path in sorted(folder.glob(pattern)):
                name = str(path.relative_to(folder))
                if self._is_served(f"{build}/{name}"):
                    return name
        return None

    def _is_served(self, path: str) -> bool:
        try:
            return self._layout.inside(path).exists()
        except Refused:
            return False

    # --- builds of the archive --------------------------------------------------------------

    def _remote(self, wanted: Wanted, base: str) -> str:
        version = wanted.version
        if _VERSION.fullmatch(version):
            return f"{wanted.board}{wanted.suffix}/{version}"
        channel = "stable" if version == "latest" else version.removeprefix("latest-")
        if channel in CHANNELS:
            version = self._of_channel(wanted.board, channel)
        suffix, prefix = _target(Wanted(True, wanted.board, version, wanted.kind, wanted.suffix))
        folder = f"{base}/{wanted.board}{suffix}"
        if version.startswith("latest-official"):
            found = self._first(folder, NEWEST)
        elif _BASE.fullmatch(version):
            found = self._first(folder, (f"LATEST-{version}",)) or self._newest(folder, version)
        else:
            found = self._newest(folder, prefix)
        if not found:
            raise Refused(404, f"there is no build {wanted.version} of {wanted.board} in {folder}")
        return f"{wanted.board}{suffix}/{found}"

    def _of_channel(self, board: str, channel: str) -> str:
        folder = f"{RELEASES}/{channel}-channel/{board}"
        names = [name for name in self._archive.names(folder) if _BASE.fullmatch(name)]
        if not names:
            raise Refused(404, f"there is no release of {board} in {folder}")
        return max(names, key=version_key)

    def _first(self, folder: str, names: Iterable[str]) -> str | None:
        for name in names:
            text = (self._archive.text(folder, name) or "").strip()
            if _VERSION.fullmatch(text):
                return text
        return None

    def _newest(self, folder: str, prefix: str) -> str | None:
        names = [name for name in self._archive.names(folder) if _VERSION.fullmatch(name)]
        return max((name for name in names if _fits(name, prefix)), key=version_key, default=None)

    def _there(self, found: Found) -> str | None:
        """Name a file that is not here yet, by what the archive has."""
        (artifact,) = chosen((found.artifact,))
        patterns = TYPES[found.kind][1]
        if artifact.is_archive or not any("*" in pattern for pattern in patterns):
            return patterns[0]
        names = sorted(name for name in self._archive.names(str(found.source)) if "/" not in name)
        for pattern in artifact.sources:
            for name in names:
                if pattern.fits(name, found.build) and not name.endswith(".json"):
                    return artifact.stored or name
        return None


def _is_version(word: str) -> bool:
    return bool(word.startswith("latest") or _VERSION.fullmatch(word) or _BASE.fullmatch(word))


def _target(wanted: Wanted) -> tuple[str, str]:
    """Give the board's suffix and the beginning of the versions that fit."""
    version = wanted.version
    if version in ("latest", "latest-official"):
        return wanted.suffix, ""
    if version.startswith("latest-official-"):
        return f"-{version.removeprefix('latest-official-')}", ""
    prefix = version.removeprefix("latest-")
    if prefix in CHANNELS and not wanted.remote:
        raise Refused(400, f"{version} is a channel: such builds are remote")
    return wanted.suffix, prefix


def _fits(version: str, prefix: str) -> bool:
    """Tell whether a version begins with a prefix, which may leave the milestone out."""
    without = version.partition("-")[2] if version.startswith("R") else version
    return any(
        text == prefix or not prefix or text.startswith((f"{prefix}-", f"{prefix}."))
        for text in (version, without)
    )
