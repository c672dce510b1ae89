"""Give a twin an account besides root: the inventory's user, with sudo and the lab's key."""

from __future__ import annotations

import os
from pathlib import Path

from crosprov.errors import TwinError
from crosprov.twin.files import Tree

_ID = 1000


def add_account(tree: Tree, rootfs: Path, user: str, login_key: str) -> None:
    """Add a user to a host's layer, on top of the accounts that the root file system has.

    Raises TwinError when the name is that of a system account.
    """
    table = (rootfs / "etc/passwd").read_text()
    if any(line.startswith(f"{user}:") for line in table.splitlines()):
        raise TwinError(f"{user} is a system account on a twin and cannot log in there")
    lines = {
        "passwd": (f"{user}:x:{_ID}:{_ID}::/home/{user}:/bin/bash", 0o644),
        "group": (f"{user}:x:{_ID}:", 0o644),
        "shadow": (f"{user}:*:19000:0:99999:7:::", 0o640),
        "gshadow": (f"{user}:!::", 0o640),
    }
    for name, (line, mode) in lines.items():
        source = rootfs / "etc" / name
        text = source.read_text()
        tree.file(f"/etc/{name}", f"{text}{line}\n", mode)
        os.chown(tree.root / "etc" / name, 0, source.stat().st_gid)
    tree.file(f"/etc/sudoers.d/{user}", f"{user} ALL=(ALL) NOPASSWD: ALL\n", 0o440)
    home = tree.directory(f"/home/{user}", 0o755)
    ssh = tree.directory(f"/home/{user}/.ssh", 0o700)
    tree.file(f"/home/{user}/.ssh/authorized_keys", f"{login_key}\n", 0o600)
    for path in (home, ssh, ssh / "authorized_keys"):
        os.chown(path, _ID, _ID)
