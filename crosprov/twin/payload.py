"""Write a stand-in build, for tests and demonstrations of updates.

`python -m crosprov.twin.payload --board eve --version 15663.0.0 --milestone 121 DIR` writes into
DIR what the archive has of a build: a full payload, its metadata for nebraska, and stateful.tgz.
A DUT's twin installs such a payload and runs the version that it names; a real DUT refuses it.
"""

from __future__ import annotations

import argparse
import base64
import gzip
import hashlib
import io
import json
import random
import re
import struct
import sys
import tarfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from crosprov.twin.files import write_whole

APPID = "{01234567-89AB-CDEF-0123-456789ABCDEF}"
"""The app that a DUT's twin is."""

_SIZE = 256 * 1024
_VERSION = re.compile(r"\d+(\.\d+){2}")
_BOARD = re.compile(r"[a-z0-9][a-z0-9_-]*")


@dataclass(frozen=True, slots=True)
class Build:
    """Name a build; `source` is the version that a delta starts from, None for a full payload.

    `size` counts the bytes of the payload's data. With `wrong_hash` the payload says another
    digest of its data than they have: the dev server cannot see it, and the DUT's twin fails
    with kFilesystemVerifierError (47). With `wrong_metadata` the JSON says another digest than
    the payload's, and a dev server must not offer it.
    """

    board: str
    version: str
    milestone: int
    source: str | None = None
    size: int = _SIZE
    wrong_hash: bool = False
    wrong_metadata: bool = False

    @property
    def label(self) -> str:
        return f"{self.board}-release/R{self.milestone}-{self.version}"

    @property
    def payload_name(self) -> str:
        versions = f"R{self.milestone}-{self.version}"
        if self.source is not None:
            versions = f"R{self.milestone}-{self.source}_{versions}"
        return f"chromeos_{versions}_{self.board}_{'delta' if self.source else 'full'}_dev.bin"


def write_build(folder: Path, build: Build) -> Path:
    """Write a build's files into a folder, made when it is missing; return the payload's path.

    The same build gives the same bytes each time.
    """
    folder.mkdir(parents=True, exist_ok=True)
    content, metadata_size = payload(build)
    path = folder / build.payload_name
    write_whole(path, content)
    write_whole(folder / f"{path.name}.json", metadata(build, content, metadata_size))
    write_whole(folder / "stateful.tgz", _stateful(build))
    return path


def payload(build: Build) -> tuple[bytes, int]:
    """Return a payload and the length of its metadata.

    The header is update_engine's; the manifest is lines KEY=VALUE in place of its protobuf.
    """
    data = random.Random(f"{build.label} {build.source}").randbytes(build.size)
    digest = hashlib.sha256(data + b"?" if build.wrong_hash else data).hexdigest()
    manifest = "".join(f"{key}={value}\n" for key, value in _manifest(build, digest)).encode()
    head = b"CrAU" + struct.pack(">QQI", 2, len(manifest), 0) + manifest
    return head + data, len(head)


def metadata(build: Build, content: bytes, metadata_size: int) -> bytes:
    """Return the metadata of a payload in nebraska's format; the digest is in base64."""
    digest = hashlib.sha256(b"?" if build.wrong_metadata else content).digest()
    told: dict[str, object] = {
        "appid": APPID,
        "is_delta": build.source is not None,
        "metadata_signature": None,
        "metadata_size": metadata_size,
        "sha256_hex": base64.b64encode(digest).decode(),
        "size": len(content),
        "target_version": build.version,
        "version": 2,
    }
    if build.source is not None:
        told["source_version"] = build.source
    return json.dumps(told, indent=1, sort_keys=True).encode() + b"\n"


def _manifest(build: Build, digest: str) -> list[tuple[str, str]]:
    number, branch, patch = build.version.split(".")
    return [
        ("CROSPROV_TWIN_PAYLOAD", "1"),
        ("DATA_SHA256", digest),
        ("SOURCE_VERSION", build.source or ""),
        ("CHROMEOS_RELEASE_BOARD", build.board),
        ("CHROMEOS_RELEASE_BRANCH_NUMBER", branch),
        ("CHROMEOS_RELEASE_BUILDER_PATH", build.label),
        ("CHROMEOS_RELEASE_BUILD_NUMBER", number),
        ("CHROMEOS_RELEASE_CHROME_MILESTONE", str(build.milestone)),
        ("CHROMEOS_RELEASE_DESCRIPTION", f"{build.version} (Test Build - twin) {build.board}"),
        ("CHROMEOS_RELEASE_PATCH_NUMBER", patch),
        ("CHROMEOS_RELEASE_VERSION", build.version),
    ]


def _stateful(build: Build) -> bytes:
    """Return a stateful.tgz: the tools of a test image, of which there is one file."""
    text = f"{build.label}\n".encode()
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for folder in ("dev_image_new", "var_new"):
            entry = tarfile.TarInfo(folder)
            entry.type, entry.mode = tarfile.DIRTYPE, 0o755
            archive.addfile(entry)
        entry = tarfile.TarInfo("dev_image_new/build")
        entry.size = len(text)
        archive.addfile(entry, io.BytesIO(text))
    return gzip.compress(packed.getvalue(), mtime=0)


def _main(words: Sequence[str]) -> int:
    """Write a build as the words say, and tell where its payload is."""
    parser = argparse.ArgumentParser(prog="python -m crosprov.twin.payload", description=__doc__)
    parser.add_argument("folder", metavar="DIR", type=Path, help="the build's folder")
    parser.add_argument("--board", required=True, type=_like(_BOARD, "a board's name"))
    parser.add_argument("--version", required=True, type=_like(_VERSION, "such as 15663.0.0"))
    parser.add_argument("--milestone", required=True, type=int)
    parser.add_argument(
        "--source", type=_like(_VERSION, "such as 15662.0.0"), help="make a delta from this version"
    )
    parser.add_argument("--size", type=int, default=_SIZE, help="bytes of data")
    parser.add_argument(
        "--wrong-hash", action="store_true", help="the DUT finds damaged data, error 47"
    )
    parser.add_argument(
        "--wrong-metadata", action="store_true", help="the JSON contradicts the payload"
    )
    told = vars(parser.parse_args(list(words)))
    folder = told.pop("folder")
    sys.stdout.write(f"{write_build(folder, Build(**told))}\n")
    return 0


def _like(pattern: re.Pattern[str], what: str) -> Callable[[str], str]:
    def read(text: str) -> str:
        if not pattern.fullmatch(text):
            raise argparse.ArgumentTypeError(f"{text!r} is not {what}")
        return text

    return read


if __name__ == "__main__":
    sys.exit(_main(sys.argv[1:]))
