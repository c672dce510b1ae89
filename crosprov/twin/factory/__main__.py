"""`python -m crosprov.twin.factory FOLDER`: write the image's tarball and its script."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from crosprov.errors import TwinError
from crosprov.twin.factory import image
from crosprov.twin.factory.script import script
from crosprov.twin.files import write_whole
from crosprov.twin.requirements import why_not
from crosprov.twin.rootfs import CACHE, ensure


def main(arguments: Sequence[str]) -> str | None:
    """Write both files; return what is wrong, in a sentence."""
    parser = argparse.ArgumentParser(prog="python -m crosprov.twin.factory")
    parser.add_argument("folder", type=Path, help="where to put cros_docker.sh and the tarball")
    parser.add_argument("--timestamp", default=image.TIMESTAMP, help="14 digits")
    parser.add_argument("--githash", default=image.GITHASH, help="40 hex digits")
    parser.add_argument("--umpire-version", type=int, default=image.UMPIRE_VERSION)
    given = parser.parse_args(arguments)
    if reason := why_not():
        return f"error: the image is made from a twin's root file system: {reason}"
    try:
        given.folder.mkdir(parents=True, exist_ok=True)
        text = script(given.timestamp, given.githash)
        path = image.build(
            given.folder,
            ensure(CACHE, _tell),
            githash=given.githash,
            timestamp=given.timestamp,
            umpire_version=given.umpire_version,
        )
        write_whole(given.folder / "cros_docker.sh", text, 0o755)
    except TwinError as error:
        return f"error: {error.message}"
    except OSError as error:
        return f"error: {given.folder} cannot be written: {error.strerror}"
    _tell(f"{given.folder / 'cros_docker.sh'}\n{path}")
    return None


def _tell(text: str) -> None:
    sys.stderr.write(f"{text}\n")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
