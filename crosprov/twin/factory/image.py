"""The archive of the factory server's image, as `docker save` writes one and `docker load` reads.

The first layer's bytes come from the cache; another version differs in its configuration alone.
"""

from __future__ import annotations

import hashlib
import json
import lzma
import platform
import re
from pathlib import Path

from crosprov.errors import TwinError
from crosprov.factory.release import Version
from crosprov.twin.factory import archive, interpreter, programs
from crosprov.twin.factory.interpreter import Layer, Progress
from crosprov.twin.files import write_whole

NAME = "cros/factory_server:latest"
GITHASH = "adb3ce0000000000000000000000000000000000"
TIMESTAMP = "20230616101859"
_DOCKER = "1.10.3"
UMPIRE_VERSION = 8

_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}
_CREATED = "1970-01-01T00:00:00Z"
_XZ = (".txz", ".xz")


def build(
    folder: Path,
    rootfs: Path,
    *,
    githash: str = GITHASH,
    timestamp: str = TIMESTAMP,
    umpire_version: int = UMPIRE_VERSION,
) -> Path:
    """Write the archive into a folder, under the name that the script expects; return its path.

    `rootfs` is the twins' root file system, beside which the first layer is kept. `timestamp`
    has 14 digits, `githash` 40 hex digits; Umpire's containers of an image are made anew when
    they come from one with another `umpire_version`. Raises TwinError.
    """
    target = folder / Version(timestamp, githash, _DOCKER).tarball
    write(target, rootfs, githash=githash, timestamp=timestamp, umpire_version=umpire_version)
    return target


def write(
    target: Path,
    rootfs: Path,
    *,
    githash: str = GITHASH,
    timestamp: str = TIMESTAMP,
    umpire_version: int = UMPIRE_VERSION,
    progress: Progress = lambda text: None,
) -> None:
    """Write the archive to a path, compressed with xz when it ends in .txz or .xz.

    The same arguments give the same bytes. Raises TwinError as `build` does.
    """
    if not re.fullmatch(r"\d{14}", timestamp) or not re.fullmatch(r"\*?[0-9a-f]{40}", githash):
        raise TwinError(f"{timestamp}-{githash} is no version: 14 digits, a dash, 40 hex digits")
    first = interpreter.ensure(rootfs, progress)
    variables = {
        "DOCKER_IMAGE_GITHASH": githash,
        "DOCKER_IMAGE_TIMESTAMP": timestamp,
        "STANDIN_UMPIRE_VERSION": str(umpire_version),
    }
    is_compressed = target.suffix in _XZ
    rest = _rest(first, variables)
    data = first.member(is_compressed=is_compressed)
    # Two xz streams in one file are the concatenation of what they hold.
    write_whole(target, data + (lzma.compress(rest) if is_compressed else rest))


def _rest(first: Layer, variables: dict[str, str]) -> bytes:
    """Return all of the archive but the first layer: the programs, the configuration."""
    layer = archive.of_files(programs.files(), mode=0o755, directories=programs.DIRECTORIES)
    digest = hashlib.sha256(layer).hexdigest()
    config = _json(_config([first.digest, digest], variables))
    config_name = f"{hashlib.sha256(config).hexdigest()}.json"
    layer_name = f"{digest}/layer.tar"
    manifest = {"Config": config_name, "RepoTags": [NAME], "Layers": [first.name, layer_name]}
    files = {config_name: config, layer_name: layer, "manifest.json": _json([manifest])}
    return archive.of_files(files, mode=0o644)


def _config(digests: list[str], variables: dict[str, str]) -> dict[str, object]:
    environment = {
        "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        "PYTHONPATH": f"/{programs.PACKAGES}",
        "DOCKER_IMAGE_ISLOCAL": "0",
        "RESOURCE_CROS_DOCKER_URL": "",
        "IN_CROS_FACTORY_SERVER_CONTAINER": "1",
        **variables,
    }
    settings = {
        "Env": [f"{name}={value}" for name, value in environment.items()],
        "Cmd": ["/bin/sh"],
    }
    return {
        "architecture": _ARCHITECTURES.get(platform.machine(), platform.machine()),
        "os": "linux",
        "created": _CREATED,
        "config": settings,
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{digest}" for digest in digests]},
        "history": [{"created": _CREATED, "created_by": "crosprov"} for _ in digests],
    }


def _json(value: object) -> bytes:
    return json.dumps(value, sort_keys=True).encode()
