"""Releases for tests: scripts with version lines, and tarballs of every compression."""

from __future__ import annotations

import bz2
import functools
import gzip
import io
import lzma
import random
import tarfile
from pathlib import Path

from crosprov.inventory.factory import ScriptSource
from crosprov.roles.factory_server import Settings

TIMESTAMP = "20230616101859"
GITHASH = "adb3ce05745d5a319affecf2ee7c286447f28492"
VERSION = f"{TIMESTAMP}-adb3ce"
TARBALL = f"factory-server-{VERSION}-docker-1.10.3.txz"


def script(timestamp: str = TIMESTAMP, githash: str = GITHASH, docker: str = "1.10.3") -> bytes:
    """Write a deployment script that does nothing, with the lines that tell its version."""
    return f"""\
#!/bin/bash
set -e
DOCKER_VERSION="{docker}"
DOCKER_IMAGE_GITHASH="{githash}"  # of the source
DOCKER_IMAGE_TIMESTAMP="{timestamp}"
publish() {{
  DOCKER_IMAGE_GITHASH="$(git rev-parse HEAD)"
}}
main() {{
  echo "never run by crosprov's controller" >&2
  exit 99
}}

main "$@"
""".encode()


@functools.cache
def tar(size: int = 40_000) -> bytes:
    """Make an archive as `docker save` does, with a layer that does not compress."""
    content = {"layer/layer.tar": random.Random(7).randbytes(size), "manifest.json": b"[]\n"}
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, data in content.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return buffer.getvalue()


@functools.cache
def packed() -> dict[str, bytes]:
    """Give one tarball for each way to compress it."""
    plain = tar()
    half = len(plain) // 2
    return {
        "tar": plain,
        "xz": lzma.compress(plain, preset=0),
        "xz without checks": lzma.compress(plain, check=lzma.CHECK_NONE, preset=0),
        "xz of two streams": lzma.compress(plain[:half]) + bytes(8) + lzma.compress(plain[half:]),
        "xz with padding": lzma.compress(plain, preset=0) + bytes(100_000),
        "gzip": gzip.compress(plain, mtime=0),
        "gzip of two": gzip.compress(plain[:half]) + gzip.compress(plain[half:]) + bytes(512),
        "bzip2": bz2.compress(plain),
        "zstd": zstd(plain),
    }


def zstd(data: bytes, most: int = 10_000) -> bytes:
    """Store data in a zstd frame without compressing, behind a frame that is to be skipped."""
    pieces = [data[at : at + most] for at in range(0, len(data), most)]
    blocks = [
        (len(piece) << 3 | (number == len(pieces) - 1)).to_bytes(3, "little") + piece
        for number, piece in enumerate(pieces)
    ]
    skipped = b"\x50\x2a\x4d\x18" + (3).to_bytes(4, "little") + b"abc"
    size = len(data).to_bytes(4, "little")
    return b"\x28\xb5\x2f\xfd" + bytes([0b10100000]) + size + b"".join(blocks) + skipped


def settings(folder: Path, **keys: object) -> Settings:
    """Give settings with a script of a folder, unless they say otherwise."""
    if not {"script", "bundle"} & keys.keys():
        path = folder / "cros_docker.sh"
        path.write_bytes(script())
        keys["script"] = ScriptSource(file=path)
    return Settings.model_validate(keys)
