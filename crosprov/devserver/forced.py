"""The payload of --payload, which every client gets, as a file of the static folder."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

from crosprov.devserver.failures import Refused

_FOLDER = "forced_payload"


def forced_payload(static_dir: Path) -> Path:
    """Return where the forced payload is served from."""
    return static_dir / _FOLDER / "update.gz"


def place(payload: Path, static_dir: Path) -> None:
    """Put a payload there, with its metadata and the stateful.tgz beside it, if it has them.

    Raises Refused(500) when that cannot be done.
    """
    target = forced_payload(static_dir)
    files = {
        target: payload,
        target.with_name("update.gz.json"): payload.with_name(f"{payload.name}.json"),
        target.with_name("stateful.tgz"): payload.with_name("stateful.tgz"),
    }
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        target.with_name("update.meta").unlink(missing_ok=True)
        for path, source in files.items():
            if source == payload or source.is_file():
                _link(source, path)
            else:
                path.unlink(missing_ok=True)
    except OSError as error:
        why = error.strerror or str(error)
        raise Refused(500, f"--payload {payload} cannot be served: {why}") from None


def _link(source: Path, target: Path) -> None:
    """Give a file a second name, or a copy where the file system cannot; never half of it."""
    with tempfile.TemporaryDirectory(prefix=".placing-", dir=target.parent) as work:
        fresh = Path(work) / "file"
        try:
            os.link(os.path.realpath(source), fresh)
        except FileNotFoundError:
            raise
        except OSError:
            shutil.copyfile(source, fresh)
        os.replace(fresh, target)
