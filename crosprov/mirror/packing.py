"""An archive of one's own, made as the policy describes: one folder, in a tarball of its name.

The same folder gives the same bytes, with the same version of the compressor. `xz` is told the
number of threads, not asked for one: with a single thread it writes another stream.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Literal

from crosprov.mirror.looking import is_file, is_folder
from crosprov.mirror.model import Fault
from crosprov.mirror.tarball import Listing, list_folder, write_tar

Compressor = Literal["xz", "pixz"]
NameRule = Callable[[str], Sequence[str]]
"""Judge the name of an archive of one's own: one sentence for each thing that is wrong with it."""

ENDING = ".tar.xz"
_NO_FOLDER = "there is no such folder"
_BLOCK = 1 << 20


@dataclass(frozen=True, slots=True)
class Packed:
    """Say what was made: `time` is in seconds since 1970, `time_from` says who determined it.

    `fresh` is false when the same archive was there before. `left_out` names what belongs to
    version control.
    """

    path: Path
    size: int
    files: int
    time: int
    time_from: str
    fresh: bool
    left_out: tuple[str, ...]


def pack(
    folder: Path,
    output: Path | None = None,
    *,
    judge: NameRule,
    compressor: Compressor = "xz",
    level: int = 6,
    environment: dict[str, str] | None = None,
) -> Packed:
    """Make `NAME.tar.xz` of a folder NAME, in the folder `output` or the one beside it.

    An archive that is there already stays: the same content is success, another one a Fault.
    Raises Fault, too, when a rule is against the name, a file cannot be read or changes
    meanwhile, and when the compressor is missing or fails.
    """
    folder = _checked_folder(folder)
    environment = dict(os.environ) if environment is None else environment
    name = f"{folder.name}{ENDING}"
    target = _checked_output(folder, output) / name
    _check_name(name, judge)
    listing = list_folder(folder, folder.name)
    if all(member.is_folder for member in listing.members):
        raise Fault("the folder holds no file", hint="put the files into it", where=str(folder))
    time, time_from = _time_of(folder, listing, environment)
    with _draft_beside(target) as draft:
        _compress(listing, draft, time, compressor, level, environment)
        fresh = _settle(draft, target)
        size = draft.stat().st_size
    files = sum(member.is_file for member in listing.members)
    return Packed(target, size, files, time, time_from, fresh, listing.left_out)


def _checked_folder(folder: Path) -> Path:
    if not is_folder(folder):
        hint = "name a folder such as some-project-0.0.1, with all files in it"
        problem = "this is a file, and a folder is packed" if is_file(folder) else _NO_FOLDER
        raise Fault(problem, hint=hint, where=str(folder))
    return folder.resolve()


def _checked_output(folder: Path, output: Path | None) -> Path:
    output = (output or folder.parent).resolve()
    if not is_folder(output):
        raise Fault(f"{_NO_FOLDER} for the archive", where=str(output))
    if output == folder or folder in output.parents:
        raise Fault(
            "the archive would be written into the folder that goes into it",
            hint="name another folder for the archive",
            where=str(output),
        )
    return output


def _check_name(name: str, judge: NameRule) -> None:
    wrong = judge(name)
    if wrong:
        raise Fault(
            f"{name} cannot be the archive's name: {'; '.join(wrong)}",
            hint="rename the folder to PROJECT-VERSION, such as some-project-0.0.1",
        )


def _time_of(folder: Path, listing: Listing, environment: dict[str, str]) -> tuple[int, str]:
    """Find the time for all files: what the caller says, the newest commit's, the newest file's.

    A commit speaks for the folder only when nothing in it differs from that commit.
    """
    said = environment.get("SOURCE_DATE_EPOCH")
    if said is not None:
        if not (said.isascii() and said.isdecimal() and int(said) < 1 << 33):
            raise Fault(
                f"SOURCE_DATE_EPOCH is {said!r}, which is no number of seconds since 1970",
                hint="unset it, or set it as in SOURCE_DATE_EPOCH=$(date +%s)",
            )
        return int(said), "SOURCE_DATE_EPOCH"
    committed = _commit_time(folder, environment)
    if committed is not None:
        return committed, "the newest commit"
    times = [one.stat.st_mtime_ns for one in listing.members if not one.is_folder]
    return max(0, *times) // 1_000_000_000, "the newest file"


def _commit_time(folder: Path, environment: dict[str, str]) -> int | None:
    def git(*words: str) -> str | None:
        quiet = environment | {"GIT_OPTIONAL_LOCKS": "0", "LC_ALL": "C"}
        command = ["git", "-C", str(folder), *words]
        try:
            done = subprocess.run(
                command, env=quiet, stdin=subprocess.DEVNULL, capture_output=True, check=False
            )
        except FileNotFoundError:
            return None
        return done.stdout.decode(errors="replace") if done.returncode == 0 else None

    changes = git("status", "--porcelain", "--ignored", "--untracked-files=all", "--", ".")
    if changes is None or changes.strip():
        return None
    found = (git("log", "-1", "--format=%ct", "--", ".") or "").strip()
    return int(found) if found.isdecimal() else None


@contextmanager
def _draft_beside(target: Path) -> Iterator[Path]:
    """Give the path of a file beside another that is gone afterwards; raises Fault."""
    try:
        descriptor, name = tempfile.mkstemp(prefix=f".{target.name[:100]}.", dir=target.parent)
    except OSError as error:
        raise Fault(
            f"nothing can be written there: {error.strerror}", where=str(target.parent)
        ) from None
    os.close(descriptor)
    try:
        yield Path(name)
    finally:
        os.unlink(name)


def _compress(
    listing: Listing,
    draft: Path,
    time: int,
    compressor: Compressor,
    level: int,
    environment: dict[str, str],
) -> None:
    threads = max(2, len(os.sched_getaffinity(0)))
    commands = {
        "xz": ["xz", "--compress", "--stdout", f"-{level}", f"--threads={threads}"],
        "pixz": ["pixz", f"-{level}", f"-p{threads}"],
    }
    if shutil.which(compressor, path=environment.get("PATH")) is None:
        other = "xz" if compressor == "pixz" else "pixz"
        raise Fault(
            f"the program {compressor} is not installed",
            hint=f"install it (on Debian: apt-get install {compressor}"
            f"{'-utils' if compressor == 'xz' else ''}), or use {other}",
        )
    clean = {key: value for key, value in environment.items() if not key.startswith("XZ_")}
    with draft.open("wb") as out, tempfile.TemporaryFile() as errors:
        child = subprocess.Popen(
            commands[compressor], env=clean, stdin=subprocess.PIPE, stdout=out, stderr=errors
        )
        assert child.stdin is not None
        _feed(listing, child.stdin, time, child)
        if child.wait() != 0:
            errors.seek(0)
            said = errors.read(400).decode(errors="replace").strip()
            raise Fault(f"{compressor} failed: {said or f'status {child.returncode}'}")
        out.flush()
        os.fchmod(out.fileno(), 0o644)
        os.fsync(out.fileno())


def _feed(listing: Listing, pipe: IO[bytes], time: int, child: subprocess.Popen[bytes]) -> None:
    """Write the tar into the compressor; its own end is judged by its status."""
    try:
        with pipe:
            write_tar(listing, pipe, time)
    except BrokenPipeError:
        return
    except BaseException:
        child.kill()
        child.wait()
        raise


def _settle(draft: Path, target: Path) -> bool:
    """Give the archive its name, unless the same one has it; raises Fault for another content."""
    try:
        os.link(draft, target)
        return True
    except FileExistsError:
        pass
    if not target.is_file() or not _same(draft, target):
        raise Fault(
            "there is another file of this name already, and it stays",
            hint="give the folder the next version, or remove the file if nobody has it yet",
            where=str(target),
        )
    return False


def _same(one: Path, other: Path) -> bool:
    if one.stat().st_size != other.stat().st_size:
        return False
    with one.open("rb") as left, other.open("rb") as right:
        while part := left.read(_BLOCK):
            if part != right.read(_BLOCK):
                return False
    return True
