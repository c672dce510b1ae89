"""Where builds lie below the static folder, and which of its paths a client may name."""

from __future__ import annotations

import os
import re
from pathlib import Path
from urllib.parse import unquote, urlsplit

from crosprov.devserver.failures import Refused

LONGEST_PATH = 2048  # characters, so that no system call refuses a path for its length
LONGEST_NAME = 255  # bytes of one component, the limit of Linux's file systems

# Folders at the top of the static folder that are no build's: of genuine dev servers, and of
# their clients.
RESERVED = frozenset({"cache", "pkgroot", "xbuddy_UpdateTimestamps", "forced_payload"})

BUCKET = re.compile(r"[a-z0-9][a-z0-9._-]{2,221}")
CONTROL = re.compile(r"[\x00-\x1f\x7f]")

RECORD = ".build"  # says in a build's folder that builds are staged into it
USED = "staged.timestamp"  # its time is that of the build's last use, as in genuine dev servers
PINNED = ".pinned"  # a build with this file is not removed from the cache


class Layout:
    """Know the places below a static folder.

    A build is named by its path below that folder, such as `eve-release/R120-15662.0.0`.
    Names that begin with a dot are the dev server's own at the top of the static folder and in
    the folder of a build: clients do not see them, and no source can write them.
    """

    def __init__(self, static_dir: Path) -> None:
        self.static_dir = Path(os.path.realpath(static_dir))

    @property
    def incoming(self) -> Path:
        """Give the folder of what is not whole yet; nothing in it is served."""
        return self.static_dir / ".incoming"

    @property
    def failures(self) -> Path:
        """Give the folder of what went wrong with attempts to stage."""
        return self.static_dir / ".failures"

    def build(self, source: str) -> str:
        """Name the build of a source: its path without the bucket or the host.

        `gs://bucket/a/b/version` and `https://host/a/b/version` are `a/b/version`; a local
        folder is its parent's name and its own. Raises Refused(400) where the source has none
        of these forms, or a part that could not be a folder.
        """
        source = self.source(source)
        if source.startswith("/"):
            name = "/".join(Path(source).parts[-2:])
        elif source.startswith("gs://"):
            name = source.removeprefix("gs://").partition("/")[2]
        else:
            name = unquote(urlsplit(source).path).strip("/")
        if not name:
            raise Refused(400, f"{source} names no build: a path is missing behind its beginning")
        self.folder(name)
        return name

    def source(self, source: str) -> str:
        """Write a source the one way it is compared by: without slashes at its end.

        Raises Refused(400) when it is neither gs://, nor http(s)://, nor a folder below the
        static folder.
        """
        if CONTROL.search(source) or len(source) > LONGEST_PATH:
            raise Refused(400, "the source of a build holds a control character or is too long")
        written = source.rstrip("/")
        if written.startswith("gs://"):
            _check_bucket(written)
        elif written.startswith(("https://", "http://")):
            _check_address(written)
        elif written.startswith("/"):
            self._check_local(written)
        else:
            raise Refused(
                400,
                f"{source!r} is no source of builds: archive_url begins with gs:// or https://, "
                "and local_path is an absolute path below the static folder",
            )
        return written

    def folder(self, build: str) -> Path:
        """Give the folder of a build; raises Refused(400) for what cannot be a build's name."""
        parts = build.split("/")
        for part in parts:
            if part in ("", ".", "..") or part.startswith("."):
                raise Refused(400, f"{build!r} cannot be a build: {part!r} is no name of a folder")
            if CONTROL.search(part) or _bytes(part) > LONGEST_NAME:
                raise Refused(400, f"{build!r} cannot be a build: {part!r} is no name of a file")
        if parts[0] in RESERVED or len(build) > LONGEST_PATH:
            raise Refused(400, f"{build!r} cannot be a build: that place is used otherwise")
        return self.static_dir.joinpath(*parts)

    def inside(self, relative: str) -> Path:
        """Resolve a client's decoded path below the static folder; it need not exist.

        Raises Refused(404) for whatever leads out of the folder (`..`, an absolute path, a
        link), could be no path at all, or names a file of the dev server's own.
        """
        missing = Refused(404, "there is no such file below /static/")
        if relative.startswith("/") or "\0" in relative or len(relative) > LONGEST_PATH:
            raise missing
        parts = [part for part in relative.split("/") if part not in ("", ".")]
        if ".." in parts or any(_bytes(part) > LONGEST_NAME for part in parts):
            raise missing
        try:
            found = Path(os.path.realpath(self.static_dir.joinpath(*parts)))
        except (OSError, ValueError):
            raise missing from None
        for path in (self.static_dir.joinpath(*parts), found):
            if path != self.static_dir and self.static_dir not in path.parents:
                raise missing
            if self._is_own(path):
                raise missing
        return found

    def build_of(self, relative: str) -> str | None:
        """Name the build that a path below the static folder belongs to, None without one."""
        parts = [part for part in relative.split("/") if part not in ("", ".")]
        for count in range(1, len(parts)):
            if os.path.lexists(self.static_dir.joinpath(*parts[:count], RECORD)):
                return "/".join(parts[:count])
        return None

    def _is_own(self, path: Path) -> bool:
        parts = path.relative_to(self.static_dir).parts
        if not parts:
            return False
        if parts[0].startswith("."):
            return True
        return parts[-1].startswith(".") and os.path.lexists(path.parent / RECORD)

    def _check_local(self, source: str) -> None:
        real = Path(os.path.realpath(source))
        if ".." in Path(source).parts or self.static_dir not in real.parents:
            raise Refused(400, f"local_path {source} is not below {self.static_dir}")
        if real.relative_to(self.static_dir).parts[0].startswith("."):
            raise Refused(400, f"local_path {source} is a folder of the dev server's own")
        build = self.static_dir.joinpath(*Path(source).parts[-2:])
        if real == build or real in build.parents or build in real.parents:
            raise Refused(
                400, f"local_path {source} would be staged into itself; name a folder elsewhere"
            )


def _check_bucket(source: str) -> None:
    bucket = source.removeprefix("gs://").partition("/")[0]
    if not BUCKET.fullmatch(bucket):
        raise Refused(
            400, f"{bucket!r} in {source} is no bucket's name: 3 or more of a-z, 0-9, - _ and ."
        )


def _check_address(source: str) -> None:
    try:
        parts = urlsplit(source)
        fine = bool(parts.hostname) and parts.port != 0
    except ValueError:
        fine = False
    if not fine:
        raise Refused(400, f"{source!r} is no address of a web server")
    if parts.username is not None or parts.password is not None:
        raise Refused(400, "the address of a build must not hold a user's name or a password")
    if parts.query or parts.fragment:
        raise Refused(400, f"{source} is no folder: nothing may follow a ? or # in it")


def _bytes(name: str) -> int:
    """Count the bytes of a file's name; one that cannot be written has too many."""
    try:
        return len(os.fsencode(name))
    except UnicodeEncodeError:
        return LONGEST_PATH
