"""Trees that live in git: brought here, and brought up to date."""

from __future__ import annotations

import fcntl
import os
import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from crosprov.mirror.looking import account
from crosprov.mirror.model import Fault

_URL = re.compile(r"(?:https?|ssh|git|file)://\S+|[\w.-]+@[\w.-]+:\S+|/\S*", re.ASCII)
_REF = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_./+-]*", re.ASCII)

_OWNED = re.compile(r"ownership in repository at '([^']+)'")

# Nobody is there to answer a question, and a transport that runs a command of its address's
# choosing is none.
_ENVIRONMENT = {
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_ALLOW_PROTOCOL": "file:git:http:https:ssh",
    "GIT_CONFIG_NOSYSTEM": "1",
    "LC_ALL": "C",
}

_UNASKED = {"GIT_SSH_COMMAND": "ssh -o BatchMode=yes"}  # unless somebody chose another

# Hooks stay out, and the tidying that many fetches need is done before git ends.
_SETTINGS = (
    "-c", "core.hooksPath=/dev/null",
    "-c", "gc.autoDetach=false",
    "-c", "maintenance.autoDetach=false",
)  # fmt: skip


def bring(
    url: str,
    folder: Path,
    *,
    ref: str | None = None,
    depth: int | None = 1,
    limit: float = 3600,
    wait: bool = False,
) -> Path:
    """Bring a tree out of git into `folder`, or up to date there, and give the folder back.

    `ref` is a branch, a tag or a commit, the remote's own choice when it is None. `depth` is
    how many commits of history come along, None for all. `limit` is in seconds. Only a folder
    that holds a checkout of the same address, or nothing yet, is touched; one that a kill left
    in the middle of anything is mended. With `wait`, another run that has the folder is waited
    for. Raises Fault.
    """
    if not _URL.fullmatch(url):
        raise Fault(f"{url!r} is no address of a git repository", hint="write https://…")
    if ref is not None and (not _REF.fullmatch(ref) or ".." in ref):
        raise Fault(f"{ref!r} is no name of a branch, a tag or a commit")
    _make(folder)
    with _locked(folder, wait=wait) as lock:
        git = _Git(folder, limit, lock)
        _prepare(url, git)
        deep = [f"--depth={depth}"] if depth else []
        fetch = ["fetch", "--quiet", "--force", *deep, "--", "origin", ref or "HEAD"]
        git.run(fetch, f"{url} cannot be fetched")
        checkout = ["checkout", "--quiet", "--force", "--detach", "FETCH_HEAD"]
        git.run(checkout, f"{url} cannot be checked out")
    return folder


def _make(folder: Path) -> None:
    """Make the folder, unless it is there; raises Fault for one that holds other things."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        is_other = not (folder / ".git").is_dir() and any(folder.iterdir())
    except FileExistsError:
        is_other = True
    except OSError as error:
        raise Fault(f"the folder cannot be made: {error.strerror}", where=str(folder)) from None
    if is_other:
        raise Fault("the folder is in use for something else", where=str(folder))


@contextmanager
def _locked(folder: Path, *, wait: bool) -> Iterator[int]:
    """Hold a checkout in a block; a git that outlives a killed sync holds it as well."""
    number = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(number, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        yield number
    except BlockingIOError:
        raise Fault(
            "another sync brings this tree up to date", hint="wait for it", where=str(folder)
        ) from None
    finally:
        os.close(number)


def _prepare(url: str, git: _Git) -> None:
    """Make or mend a repository whose origin is the address."""
    for left in (git.folder / ".git").rglob("*.lock"):
        left.unlink(missing_ok=True)
    git.run(["init", "--quiet"], "no repository can be made")
    origin = git.run(["config", "--default", "", "--get", "remote.origin.url"], "no origin").strip()
    if origin and origin != url:
        raise Fault(
            f"the folder holds a checkout of {origin}, not of {url}",
            hint="name another folder, or move this one away",
            where=str(git.folder),
        )
    git.run(["config", "remote.origin.url", url], "no repository can be made")


@dataclass(frozen=True, slots=True)
class _Git:
    """Run git in a folder, each time for so many seconds at most."""

    folder: Path
    limit: float
    lock: int

    def run(self, words: list[str], failure: str) -> str:
        """Give what git says; raises Fault with git's own reason."""
        try:
            done = subprocess.run(
                ["git", *_SETTINGS, *words],
                cwd=self.folder,
                env={**_UNASKED, **os.environ, **_ENVIRONMENT},
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=self.limit,
                check=False,
                pass_fds=(self.lock,),
            )
        except FileNotFoundError:
            raise Fault("git is not installed", hint="install git on this machine") from None
        except subprocess.TimeoutExpired:
            sentence = f"{failure}: it took longer than {self.limit:g} s"
            raise Fault(sentence, where=str(self.folder)) from None
        if done.returncode:
            reason = _said(done.stderr)
            raise Fault(f"{failure}: {reason}", hint=_hint(reason), where=str(self.folder))
        return done.stdout.decode(errors="replace")


def _said(output: bytes) -> str:
    """Choose of git's words its reason, and what stands before it; advice comes after it."""
    lines = [line.strip() for line in output.decode(errors="replace").splitlines() if line.strip()]
    first = next((n for n, line in enumerate(lines) if line.startswith("fatal:")), len(lines))
    return "; ".join(lines[: first + 1][-2:]) or "git says nothing"


def _hint(reason: str) -> str | None:
    """Say what helps where git's own advice would not: it is meant for a person's settings."""
    if "dubious ownership" not in reason:
        return None
    found = _OWNED.search(reason)
    where = found[1].removesuffix("/.git") if found else "PATH"
    return (
        f"git reads a repository on this machine for its owner only: chown -R {account()} {where}, "
        "name its folder as a tree's path and not as git, or serve it by https"
    )
