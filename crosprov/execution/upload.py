"""Read the large files of a plan, and make sure that they are still the same."""

from __future__ import annotations

import hashlib
import mmap
from typing import cast

from crosprov.planning.plan import Send


def read_checked(send: Send) -> bytes | None:
    """Give the content of a file of the controller, None when it is not the planned one.

    The file is mapped, not read, so that its size does not matter to our memory.
    """
    try:
        with open(send.source, "rb") as file:
            if send.size == 0 and send.offset is None:
                return b"" if file.read(1) == b"" else None
            view = memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
    except (OSError, ValueError):
        return None
    if send.offset is not None:
        view = view[send.offset : send.offset + send.size]
    if len(view) != send.size or hashlib.sha256(view).hexdigest() != send.sha256:
        return None
    return cast(bytes, view)  # transports take it in slices, as they would bytes
