"""The lab's own SSH keys: one to log in with, and one for each twin to be known by."""

from __future__ import annotations

import os
from pathlib import Path

from crosprov.twin.programs import run


def ensure_key(path: Path, comment: str) -> str:
    """Make an Ed25519 key when missing and return its public half, one line."""
    public = path.with_name(path.name + ".pub")
    if not (path.exists() and public.exists()):
        fresh = path.with_name(f"{path.name}.new")
        for leftover in (fresh, Path(f"{fresh}.pub")):
            leftover.unlink(missing_ok=True)
        run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", comment, "-f", str(fresh))
        # The public half last: only a pair that has both is ready.
        os.replace(fresh, path)
        os.replace(f"{fresh}.pub", public)
    return public.read_text().strip()
