"""Trees that live in git: brought here, and brought up to date."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

from crosprov.mirror.model import Fault

_URL = re.compile(r"(?:https?|ssh|git|file)://\S+|[\w.-]+@[\w.-]+:\S+|/\S*", re.ASCII)
_REF = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_./+-]*", re.ASCII)

# Nobody is there to answer a question, hooks are not this tree's business, and a transport
# that runs a command of its address's choosing is none.
_ENVIRONMENT = {
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_ALLOW_PROTOCOL": "file:git:http:https:ssh",
    "GIT_CONFIG_NOSYSTEM": "1",
    "LC_ALL": "C",
}


def bring(
    url: str, folder: Path, *, ref: str | None = None, depth: int | None = 1, limit: float = 3600
) -> Path:
    """Bring a tree out of git into `folder`, or up to date there, and give the folder back.

    `ref` is a branch, a tag or a commit, the remote's own choice when it is None. `depth` is
    how many commits of history come along, None for all. `limit` is in seconds. Only a folder
    that holds a checkout of the same address, or nothing yet, is touched. Raises Fault.
    """
    if not _URL.fullmatch(url):
        raise Fault(f"{url!r} is no address of a git repository", hint="write https://…")
    if ref is not None and (not _REF.fullmatch(ref) or ".." in ref):
        raise Fault(f"{ref!r} is no name of a branch, a tag or a commit")
    _prepare(url, folder, limit)
    deep = [f"--depth={depth}"] if depth else []
    fetch = ["fetch", "--quiet", "--force", *deep, "--", "origin", ref or "HEAD"]
    _git(folder, fetch, limit, f"{url} cannot be fetched")
    checkout = ["checkout", "--quiet", "--force", "--detach", "FETCH_HEAD"]
    _git(folder, checkout, limit, f"{url} cannot be checked out")
    return folder


def _prepare(url: str, folder: Path, limit: float) -> None:
    if (folder / ".git").is_dir():
        origin = _git(folder, ["config", "--get", "remote.origin.url"], limit, "it has no origin")
        if origin.strip() != url:
            raise Fault(
                f"the folder holds a checkout of {origin.strip()}, not of {url}",
                hint="name another folder, or move this one away",
                where=str(folder),
            )
        return
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise Fault("the folder is in use for something else", where=str(folder))
    folder.mkdir(parents=True, exist_ok=True)
    _git(folder, ["init", "--quiet"], limit, "no repository can be made")
    _git(folder, ["remote", "add", "origin", "--", url], limit, "no repository can be made")


def _git(folder: Path, words: list[str], limit: float, failure: str) -> str:
    """Run git in a folder; raises Fault with git's own last line."""
    command = ["git", "-c", "core.hooksPath=/dev/null", "-c", "gc.auto=0", *words]
    try:
        done = subprocess.run(
            command,
            cwd=folder,
            env={**os.environ, **_ENVIRONMENT},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=limit,
            check=False,
        )
    except FileNotFoundError:
        raise Fault("git is not installed", hint="install git on this machine") from None
    except subprocess.TimeoutExpired:
        raise Fault(f"{failure}: it took longer than {limit:g} s", where=str(folder)) from None
    if done.returncode:
        lines = done.stderr.decode(errors="replace").strip().splitlines()
        raise Fault(f"{failure}: {lines[-1] if lines else 'git says nothing'}", where=str(folder))
    return done.stdout.decode(errors="replace")
