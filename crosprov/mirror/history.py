"""The history of a tree's Manifests, read from git: which files changed their content."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from tempfile import TemporaryFile

from crosprov.mirror.digests import LENGTHS
from crosprov.mirror.model import Archive, Fault
from crosprov.mirror.tracks import NOT_YET, Change, Commit, Track

_GIT = ("git", "--no-pager", "-c", "core.fsmonitor=false", "-c", "core.quotePath=false")
_ADDED = "b/"
_LOG = (
    "log",
    "--format=%x00%h %cs",
    "--patch",
    "--unified=0",
    "--no-color",
    "--no-ext-diff",
    "--no-textconv",
    "--no-renames",
    "--diff-filter=AMD",
    "--relative",
    f"--dst-prefix={_ADDED}",
    "--",
    ":(glob)**/Manifest",
)


def has_history(path: Path) -> bool:
    """Tell whether the folder lies in a git checkout that has a commit."""
    return _ask(path, "rev-parse", "--verify", "--quiet", "HEAD") is not None


def is_shallow(path: Path) -> bool:
    """Tell whether older commits were left out when the checkout was made."""
    return _ask(path, "rev-parse", "--is-shallow-repository") == "true"


def changes_of(path: Path, now: Mapping[str, Mapping[str, Archive]]) -> list[Change]:
    """Find the files that had another content when they were first named, the latest change each.

    `now` has, for each name, its entry in each Manifest that names it, by the Manifest's path
    below `path`. One `git log` over all Manifests is read as it comes, newest commit first.
    Contents differ when their sizes do, or a digest that both have; two entries of one size
    with no hash in common say nothing. A content that came back to what it was first is none
    that changed, and neither are two contents that two Manifests had at the same time.
    Raises Fault when git fails.
    """
    tracks = {name.encode(): Track(entries) for name, entries in now.items()}
    commit = NOT_YET
    manifest = ""
    for line in _log(path):
        if line.startswith(b"\0"):
            short, _, date = line[1:].decode().strip().partition(" ")
            commit = Commit(commit.age + 1, short, date)
        elif line.startswith(b"+++ "):
            manifest = line[4:].decode(errors="replace").strip().removeprefix(_ADDED)
        elif line.startswith(b"+DIST "):
            words = line.split()
            track = tracks.get(words[1]) if len(words) > 2 else None
            archive = _archive(words) if track else None
            if track and archive:
                track.add(manifest, archive, commit)
    return [change for track in tracks.values() if (change := track.change())]


def _archive(words: list[bytes]) -> Archive | None:
    """Read an entry; old commits hold lines that nobody would write today, which are left out."""
    try:
        text = [word.decode() for word in words]
        pairs = zip(text[3::2], text[4::2], strict=True)
        hashes = {name.upper(): digest.lower() for name, digest in pairs}
        known = {name: hashes[name] for name in hashes if LENGTHS.get(name) == len(hashes[name])}
        return Archive(text[1], int(text[2]), known)
    except ValueError:
        return None


def _log(path: Path) -> Iterator[bytes]:
    with TemporaryFile() as errors:
        child = subprocess.Popen(
            [*_GIT, *_LOG],
            cwd=path,
            env=_environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=errors,
        )
        assert child.stdout is not None
        try:
            yield from child.stdout
            status = child.wait()
        finally:
            child.stdout.close()
            child.kill()
            child.wait()
        if status:
            errors.seek(0)
            said = errors.read(2000).decode(errors="replace").strip() or f"status {status}"
            raise Fault(f"git log failed: {said}", where=str(path))


def _ask(path: Path, *words: str) -> str | None:
    try:
        answer = subprocess.run(
            [*_GIT, *words],
            cwd=path,
            env=_environment(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=60,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return answer.stdout.decode(errors="replace").strip() if answer.returncode == 0 else None


def _environment() -> dict[str, str]:
    """Keep git from fetching, from locking, and from speaking another language."""
    return {
        **os.environ,
        "LC_ALL": "C",
        "GIT_NO_LAZY_FETCH": "1",
        "GIT_OPTIONAL_LOCKS": "0",
        "GIT_TERMINAL_PROMPT": "0",
    }
