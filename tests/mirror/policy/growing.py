"""Trees of ebuilds grown from a few lines, with true caches and Manifests."""

from __future__ import annotations

import hashlib
import subprocess
from collections.abc import Mapping
from pathlib import Path

from crosprov.mirror.allowlist import AllowList
from crosprov.mirror.findings import Finding, Report
from crosprov.mirror.model import Tree
from crosprov.mirror.policy.check import Options, check

HEAD = "EAPI=7\n"


def dist(name: str, content: str = "") -> str:
    """Write a Manifest's line for a file of this content."""
    data = content.encode()
    blake, sha = hashlib.blake2b(data).hexdigest(), hashlib.sha512(data).hexdigest()
    return f"DIST {name} {len(data)} BLAKE2B {blake} SHA512 {sha}\n"


class Grove:
    """Grow one tree in a folder."""

    def __init__(self, path: Path, *, public: bool = True) -> None:
        self.path = path
        self.public = public
        self.write("profiles/repo_name", "grove\n")
        self.write("metadata/layout.conf", "thin-manifests = true\nmasters =\n")

    def write(self, name: str, content: str | bytes) -> Path:
        path = self.path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    def ebuild(
        self,
        text: str = "",
        *,
        uri: str = "",
        restrict: str = "",
        package: str = "app-misc/tool",
        version: str = "1.1",
        eapi: str = "7",
        manifest: Mapping[str, str] | None = None,
    ) -> str:
        """Add an ebuild; without a text it says what the cache says. Gives its path."""
        category, name = package.split("/")
        path = f"{package}/{name}-{version}.ebuild"
        if not text:
            text = f'EAPI={eapi}\nSRC_URI="{uri}"\n'
            text += f'RESTRICT="{restrict}"\n' if restrict else ""
        self.write(path, text)
        digest = hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()
        keys = {"EAPI": eapi, "SRC_URI": uri, "RESTRICT": restrict, "_md5_": digest}
        cache = "".join(f"{key}={value}\n" for key, value in keys.items() if value)
        self.write(f"metadata/md5-cache/{category}/{name}-{version}", cache)
        words = uri.split()
        names = [w.rpartition("/")[2] for w in words if "://" in w] if manifest is None else []
        if "->" in words and manifest is None:
            names = [words[at + 1] for at, word in enumerate(words) if word == "->"]
        entries = {n: "" for n in names} if manifest is None else manifest
        if entries:
            self.write(f"{package}/Manifest", "".join(dist(n, c) for n, c in entries.items()))
        return path

    def check(self, options: Options | None = None, allowed: AllowList | None = None) -> Report:
        tree = Tree("grove", self.path, self.public)
        return check(tree, options or Options(history=False, source_stale=False), allowed)

    def found(self, options: Options | None = None) -> list[Finding]:
        return list(self.check(options).findings)

    def rules(self, options: Options | None = None) -> list[str]:
        return [finding.rule for finding in self.found(options)]

    def git(self, *words: str) -> None:
        identity = ["-c", "user.name=a", "-c", "user.email=a@example.com"]
        subprocess.run(
            ["git", *identity, "-c", "init.defaultBranch=main", *words],
            cwd=self.path,
            check=True,
            capture_output=True,
        )

    def commit(self) -> None:
        if not (self.path / ".git").exists():
            self.git("init", "-q")
        self.git("add", "-A")
        self.git("commit", "-q", "-m", "change", "--date=2026-01-02T03:04:05Z")
