"""Room for the file watches of many twins.

All twins belong to one user of the kernel, root, and share its inotify instances: 128 unless
somebody raised it (inotify(7)). A server twin holds about six. One too many hangs in its boot.
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

LIMIT = Path("/proc/sys/fs/inotify/max_user_instances")
ENOUGH = 8192


def make_room(limit: Path = LIMIT) -> None:
    """Raise the limit of inotify instances for one user, until the next boot; never lower it."""
    with suppress(OSError, ValueError):  # without it twins boot as well, only fewer of them
        if int(limit.read_text()) < ENOUGH:
            limit.write_text(f"{ENOUGH}\n")
