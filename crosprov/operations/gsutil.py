"""Give chromite the gsutil that it would otherwise download when a devserver starts.

Chromite looks for `common/gsutil_VERSION.tar.gz/gsutil/gsutil` in its cache, and compiles a module
of it unless `third_party/crcmod/.chromite.tried.build` says that this was tried.
"""

from __future__ import annotations

import os
import re
import shlex
import tarfile
import tempfile
from pathlib import Path

from pyinfra.api import StringCommand

from crosprov.errors import PlanError
from crosprov.localfiles import measured
from crosprov.operations.effects import effects
from crosprov.operations.note import Commands, LocalFile, Note, Noted
from crosprov.operations.operation import operation
from crosprov.planning.plan import Action

_VERSION = re.compile(r"[0-9]+(?:\.[0-9]+)*")
_PROGRAM = "gsutil/gsutil"
_versions: dict[str, str] = {}  # of archives, by their digest

_FILL = """\
rm -rf {part} && mkdir {part} && tar -xf {archive} -C {part} --no-same-owner || exit
rm -f {archive}
[ -x {part}/gsutil/gsutil ] || {{ echo 'the archive has no program gsutil/gsutil' >&2; exit 1; }}
mkdir -p {part}/gsutil/third_party/crcmod &&
: > {part}/gsutil/third_party/crcmod/.chromite.tried.build &&
echo {digest} > {part}/.crosprov && chown -R {user}: {part} && chown {user}: {common} &&
rm -rf {place} && mv {part} {place}"""


@operation
def gsutil(cache: str, version: str, /, *, source: Path, seed: str, user: str) -> Commands:
    """Make chromite's cache hold the gsutil of this version, from the controller.

    `source` is an archive with a folder `gsutil`, as Google publishes it, or that folder. `seed`
    is what the cache was filled from, "" when it is empty; what chromite brought there itself
    ("other") stays. Raises PlanError when the source is none of the two, or another version.
    """
    if not _VERSION.fullmatch(version):
        raise PlanError(f"chromite names {version!r} as the version of its gsutil")
    archive = packed(source) if source.is_dir() else source
    size, digest, held = _looked_into(archive, source)
    if held and held != version:
        raise PlanError(
            f"{source} is gsutil {held}, and the checkout's chromite uses {version}",
            hint=f"take gsutil_{version}.tar.gz",
        )
    if seed in (digest, "other"):
        return
    common = f"{cache}/common"
    place, part = f"{common}/gsutil_{version}.tar.gz", f"{common}/.gsutil.crosprov"
    sent = f"{part}.tar"
    note = Note(
        "gsutil", version, Action.UPDATE if seed else Action.CREATE,
        before={"archive": f"sha256 {seed[:12]}"} if seed else {},
        after={"archive": f"{source} ({size} bytes, sha256 {digest[:12]})"},
        undo=f"rm -rf {shlex.quote(part)} {shlex.quote(sent)}",
    )  # fmt: skip
    effects().paths.add(place)
    quoted = shlex.quote(sent)
    yield Noted(f"mkdir -p {shlex.quote(common)} && rm -f {quoted} && "
                f"( umask 077; : > {quoted} )", note)  # fmt: skip
    yield LocalFile(str(archive), size, digest, sent)
    yield StringCommand(
        _FILL.format(
            part=shlex.quote(part), archive=quoted, place=shlex.quote(place),
            common=shlex.quote(common), digest=digest, user=shlex.quote(user),
        )
    )  # fmt: skip


def packed(folder: Path) -> Path:
    """Pack a folder of gsutil into an archive in the user's cache; the same folder, the same bytes.

    Raises PlanError when the folder has no program, or cannot be read.
    """
    root = folder if (folder / "gsutil").is_file() else folder / "gsutil"
    if not (root / "gsutil").is_file():
        raise PlanError(f"{folder} has no program gsutil, so it is no folder of gsutil")
    base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "crosprov/gsutil"
    part = ""
    try:
        base.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=base, suffix=".part", delete=False) as file:
            part = file.name
            with tarfile.open(fileobj=file, mode="w", format=tarfile.PAX_FORMAT) as tar:
                for path in sorted([root, *root.rglob("*")]):
                    if path.suffix != ".pyc" and path.name != "__pycache__":
                        tar.add(path, f"gsutil/{path.relative_to(root)}".removesuffix("/."),
                                recursive=False, filter=_plain)  # fmt: skip
        name = base / f"{measured(part)[1]}.tar"
        os.replace(part, name)
    except OSError as error:
        if part:
            Path(part).unlink(missing_ok=True)
        raise PlanError(f"{folder} cannot be packed: {error}") from None
    return name


def _plain(entry: tarfile.TarInfo) -> tarfile.TarInfo | None:
    """Leave out of an entry what differs between machines."""
    entry.uid = entry.gid = 0
    entry.uname = entry.gname = ""
    entry.mtime = 0
    entry.mode = 0o755 if entry.isdir() or entry.mode & 0o100 else 0o644
    return entry if entry.isfile() or entry.isdir() or entry.issym() else None


def _looked_into(archive: Path, source: Path) -> tuple[int, str, str]:
    """Give size, digest and, where it is told, the version of an archive of gsutil."""
    try:
        size, digest = measured(archive)
        if digest not in _versions:
            with tarfile.open(archive) as tar:
                _versions[digest] = _version(tar, source)
    except (tarfile.TarError, EOFError) as error:
        raise PlanError(f"{source} is no archive of gsutil: {error}") from None
    except OSError as error:
        reason = error.strerror or error
        raise PlanError(
            f"{source} cannot be read: {reason}", hint="paths are relative to the inventory"
        ) from None
    return size, digest, _versions[digest]


def _version(tar: tarfile.TarFile, source: Path) -> str:
    """Check that all of an archive is below `gsutil/`, and read its VERSION."""
    names = {os.path.normpath(entry.name): entry for entry in tar}
    if _PROGRAM not in names:
        raise PlanError(
            f"{source} has no {_PROGRAM}, so it is no archive of gsutil",
            hint="Google publishes gsutil_VERSION.tar.gz, with a folder gsutil in it",
        )
    for name in names:
        if name.split("/")[0] not in ("gsutil", "."):
            raise PlanError(f"{source} has {name} beside the folder gsutil")
    version = names.get("gsutil/VERSION")
    file = tar.extractfile(version) if version is not None and version.isfile() else None
    return file.read(64).decode("ascii", "replace").strip() if file else ""
