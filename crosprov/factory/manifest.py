"""The list of what a backup holds, and how a folder or an archive is held against it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

from pydantic import BaseModel, ConfigDict, ValidationError

FORMAT = 1
PREFIX = "crosprov-backup-"
SUFFIX = ".json"


class Entry(BaseModel):
    """What stands at a path: its kind as `find` letters it, and all that a restore must bring back.

    `size` and `sha256` are a file's, `target` is a link's; owners are numbers, the time is in
    whole seconds.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: str
    mode: int
    uid: int
    gid: int
    time: int
    size: int = 0
    sha256: str = ""
    target: str = ""


class Project(BaseModel):
    """A project as Dome's database has it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    enabled: bool
    port: int | None = None


class Manifest(BaseModel):
    """Say what a backup is of, and list its content by path relative to the shared folder."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: int = FORMAT
    made: str
    host: str
    shared_dir: str
    logs: bool
    image_version: str = ""
    script_version: str = ""
    script_sha256: str = ""
    projects: tuple[Project, ...] = ()
    changed: tuple[str, ...] = ()
    entries: dict[str, Entry]

    @property
    def text(self) -> bytes:
        """Give the manifest as JSON in ASCII; names that are no UTF-8 keep their bytes."""
        import json

        return json.dumps(self.model_dump(), indent=1, sort_keys=True).encode("ascii")

    @property
    def name(self) -> str:
        """Name the archive's member: its own digest is in it, so damage shows."""
        return f"{PREFIX}{hashlib.sha256(self.text).hexdigest()}{SUFFIX}"

    @property
    def size(self) -> int:
        """Count the bytes of all files."""
        return sum(entry.size for entry in self.entries.values())


def read(name: str, text: bytes) -> Manifest | None:
    """Read a manifest; None when it is damaged or of a format that is not known."""
    import json

    digest = name.removeprefix(PREFIX).removesuffix(SUFFIX)
    if hashlib.sha256(text).hexdigest() != digest:
        return None
    try:
        # Not by pydantic's own parser, which refuses names that are no UTF-8.
        found = Manifest.model_validate(json.loads(text))
    except (ValueError, ValidationError):
        return None
    return found if found.format == FORMAT else None


def differences(wanted: Mapping[str, Entry], found: Mapping[str, Entry]) -> list[str]:
    """Name the paths that differ in any way, in order."""
    paths = wanted.keys() | found.keys()
    return sorted(path for path in paths if wanted.get(path) != found.get(path))


def worded(paths: list[str], most: int = 3) -> str:
    """Word a list of paths for a sentence, however long it is and whatever is in the names."""
    shown = ", ".join(ascii(path)[1:-1] for path in paths[:most])
    more = len(paths) - most
    return f"{shown} and {more} more" if more > 0 else shown
