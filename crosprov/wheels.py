"""Pinned requirements, and wheels that come out the same on every machine."""

from __future__ import annotations

import base64
import hashlib
import re
import tarfile
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.resources import files
from io import BytesIO
from pathlib import Path

from crosprov import __version__

PYTHONS = ("3.11", "3.12", "3.13")
MACHINES = ("x86_64", "aarch64")

OWN_WHEEL = f"crosprov-{__version__}-py3-none-any.whl"
_INFO = f"crosprov-{__version__}.dist-info"
_THEN = (1980, 1, 1, 0, 0, 0)  # the earliest time that a zip archive can hold
_PIN = re.compile(r"^(?P<name>[A-Za-z0-9._-]+)==(?P<version>\S+)(?P<hashes>.*)$", re.MULTILINE)
_HASH = re.compile(r"--hash=sha256:([0-9a-f]{64})")


@dataclass(frozen=True, slots=True)
class Program:
    """A package of crosprov that hosts run in an environment of its own.

    `what` words it for people, `key` is where an inventory names a folder with its wheels.
    """

    name: str
    what: str
    key: str

    @property
    def module(self) -> str:
        """Name its package, which can be run."""
        return f"crosprov.{self.name}"


DEVSERVER = Program("devserver", "the dev server", "dev_server.wheelhouse")
MIRROR = Program("mirror", "the mirror's sync", "mirror.wheelhouse")
PROGRAMS = (DEVSERVER, MIRROR)


@dataclass(frozen=True, slots=True)
class Pin:
    """A requirement: one version of a package, and the digests of its wheels."""

    name: str
    version: str
    hashes: tuple[str, ...]

    def __str__(self) -> str:
        lines = (f"{self.name}=={self.version}", *(f"--hash=sha256:{h}" for h in self.hashes))
        return " \\\n    ".join(lines)


def requirements(program: Program) -> str:
    """Read what a program needs: the file that `scripts/lock` writes."""
    return files(program.module).joinpath("requirements.txt").read_text(encoding="utf-8")


def pins(text: str) -> tuple[Pin, ...]:
    """Read pinned requirements, as pip does."""
    return tuple(
        Pin(found["name"], found["version"], tuple(_HASH.findall(found["hashes"])))
        for found in _PIN.finditer(text.replace("\\\n", " "))
    )


def project_of(wheel: str) -> str:
    """Name the project of a wheel's file name, in the spelling that is the same for all."""
    return re.sub(r"[-_.]+", "-", wheel.partition("-")[0]).lower()


def own_wheel(program: Program) -> bytes:
    """Pack a program's package as a wheel: the same bytes on each machine.

    Nothing is compressed, because the same text compresses differently with another zlib.
    """
    members = dict(_sources(program))
    members[f"{_INFO}/METADATA"] = (
        f"Metadata-Version: 2.1\nName: crosprov\nVersion: {__version__}\n".encode()
    )
    members[f"{_INFO}/WHEEL"] = (
        b"Wheel-Version: 1.0\nGenerator: crosprov\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    )
    record = "".join(f"{name},{_record(body)}\n" for name, body in members.items())
    members[f"{_INFO}/RECORD"] = f"{record}{_INFO}/RECORD,,\n".encode()
    packed = BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_STORED) as archive:
        for name, body in members.items():
            entry = zipfile.ZipInfo(name, _THEN)
            entry.create_system = 3  # Unix, whose permissions follow
            entry.external_attr = 0o100644 << 16
            archive.writestr(entry, body)
    return packed.getvalue()


def pack(target: Path, wheels: Sequence[Path], texts: dict[str, bytes]) -> None:
    """Write a tar of wheels and of further files: the same bytes for the same content."""
    with tarfile.open(target, "w", format=tarfile.GNU_FORMAT) as archive:
        for name, body in sorted(texts.items()):
            archive.addfile(_member(name, len(body)), BytesIO(body))
        for wheel in sorted(wheels, key=lambda path: path.name):
            with wheel.open("rb") as file:
                archive.addfile(_member(wheel.name, wheel.stat().st_size), file)


def _member(name: str, size: int) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)  # of root, of 1970
    member.size = size
    return member


def _sources(program: Program) -> Iterator[tuple[str, bytes]]:
    """Give the files of the package by their names in it, in order."""
    yield "crosprov/__init__.py", files("crosprov").joinpath("__init__.py").read_bytes()
    folder = Path(str(files(program.module)))
    for path in sorted(folder.rglob("*")):
        if path.is_file() and "__pycache__" not in path.parts and path.suffix != ".pyc":
            name = f"crosprov/{program.name}/{path.relative_to(folder).as_posix()}"
            yield name, path.read_bytes()


def _record(body: bytes) -> str:
    digest = base64.urlsafe_b64encode(hashlib.sha256(body).digest()).rstrip(b"=").decode()
    return f"sha256={digest},{len(body)}"
