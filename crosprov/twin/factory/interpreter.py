"""The image's first layer: a CPython and a busybox from the distribution's packages.

It is built once per root file system of the twins and kept beside it, compressed as well, so
that another version of the image costs next to nothing.
"""

from __future__ import annotations

import hashlib
import json
import lzma
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from crosprov.errors import TwinError
from crosprov.locks import locked
from crosprov.twin.factory import archive
from crosprov.twin.files import write_whole
from crosprov.twin.programs import run
from crosprov.twin.rootfs import this_machine

_RECIPE = 1
_PACKAGES = ("busybox-static", "libpython3-stdlib", "python3-minimal")
_APPLETS = (
    *("cat", "chmod", "cp", "date", "echo", "env", "false", "grep", "head", "id", "kill"),
    *("ls", "mkdir", "mv", "nc", "netstat", "printf", "ps", "pwd", "rm", "sed", "sh", "sleep"),
    *("stat", "tail", "test", "touch", "tr", "true", "uname", "wget"),
)
# What is taken of the packages, and what of that is left out again: nothing that a program of
# the image imports.
_TAKEN = ("lib", "lib64", "usr/lib", "usr/lib64", "etc/ssl", "etc/ld.so.conf.d")
_LEFT_OUT = (
    *("lib/**/gconv", "usr/lib/**/gconv", "usr/lib/**/perl-base", "usr/lib/**/libdb-*"),
    *("usr/lib/**/engines-3", "usr/lib/**/audit", "lib/systemd", "usr/lib/systemd"),
    *("usr/lib/mime", "usr/lib/valgrind", "usr/lib/tmpfiles.d"),
    *(
        f"usr/lib/python3*/{name}"
        for name in (
            *("config-3*", "distutils", "ensurepip", "idlelib", "lib2to3", "pydoc_data"),
            *("test", "tkinter", "turtle.py", "turtledemo", "dist-packages", "sitecustomize.py"),
        )
    ),
)
_BUILD_TIMEOUT = 900.0
_PRESET = 1

Progress = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Layer:
    """A layer as it stands in an image's archive, from files that are made once."""

    name: str
    digest: str  # sha256 of the layer itself, in hex
    plain: Path
    compressed: Path  # a whole xz stream

    def member(self, *, is_compressed: bool) -> bytes:
        return (self.compressed if is_compressed else self.plain).read_bytes()


def ensure(rootfs: Path, progress: Progress) -> Layer:
    """Return the layer, building it beside the twins' root file system when there is none.

    Raises TwinError when the packages cannot be had.
    """
    target = rootfs.parent.parent / "factory" / f"{rootfs.name}-{_RECIPE}"
    if not target.is_dir():
        waiting = "another process builds the factory server's image; waiting for it"
        lock = target.parent / "lock"
        with locked(lock, on_wait=lambda: progress(waiting)) as held:
            if not target.is_dir():
                progress("building the factory server's image, once for this machine")
                _build(target, held)
    about = json.loads((target / "layer.json").read_bytes())
    return Layer(about["name"], about["digest"], target / "member", target / "member.xz")


def _build(target: Path, lock: int) -> None:
    for leftover in target.parent.glob("building-*"):
        shutil.rmtree(leftover)
    work = target.parent / f"building-{os.getpid()}"
    (work / "done").mkdir(parents=True)
    try:
        packages, tree = work / "packages", work / "tree"
        _extract(packages, work, lock)
        _take(packages, tree)
        _compile(tree, lock)
        layer = archive.of_tree(tree)
        digest = hashlib.sha256(layer).hexdigest()
        name = f"{digest}/layer.tar"
        member = archive.member_of(name, layer)
        write_whole(work / "done/member", member)
        write_whole(work / "done/member.xz", lzma.compress(member, preset=_PRESET))
        about = {"name": name, "digest": digest}
        write_whole(work / "done/layer.json", json.dumps(about).encode())
        (work / "done").rename(target)
    except TwinError as error:
        raise TwinError(
            f"the factory server's image could not be built: {error.message}",
            hint="apt-get update must work on this machine",
        ) from None
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _extract(packages: Path, work: Path, lock: int) -> None:
    """Unpack the packages and what they need, without setting anything up."""
    machine = this_machine()
    settings = work / "apt.conf"
    settings.write_text(machine.apt_settings)
    run(
        *("unshare", "--mount", "--propagation", "slave"),
        *("mmdebstrap", "--mode=root", "--variant=extract", "--quiet"),
        *(f"--aptopt={settings}", f"--include={','.join(_PACKAGES)}"),
        *(machine.codename, str(packages)),
        *(str(path) for path in machine.sources),
        timeout=_BUILD_TIMEOUT,
        pass_fds=(lock,),
    )


def _take(packages: Path, tree: Path) -> None:
    """Take from the packages what the image needs, with its links in place."""
    for path in _TAKEN:
        source = packages / path
        if source.is_symlink():
            (tree / path).parent.mkdir(parents=True, exist_ok=True)
            (tree / path).symlink_to(os.readlink(source))
        elif source.is_dir():
            shutil.copytree(source, tree / path, symlinks=True)
    for pattern in _LEFT_OUT:
        for unwanted in list(tree.glob(pattern)):
            if unwanted.is_dir() and not unwanted.is_symlink():
                shutil.rmtree(unwanted)
            else:
                unwanted.unlink()
    binaries = tree / "usr/bin"
    binaries.mkdir(parents=True)
    if (packages / "bin").is_symlink():
        (tree / "bin").symlink_to("usr/bin")
    (tree / "bin").mkdir(exist_ok=True)
    for python in (packages / "usr/bin").glob("python3*"):
        shutil.copy2(python, binaries, follow_symlinks=False)
    (binaries / "python").symlink_to("python3")
    shutil.copy2(packages / "bin/busybox", tree / "bin/busybox")
    for applet in _APPLETS:
        (tree / "bin" / applet).symlink_to("busybox")


def _compile(tree: Path, lock: int) -> None:
    """Compile the library with the image's own interpreter, and keep that form only."""
    (library,) = (path for path in (tree / "usr/lib").glob("python3*") if (path / "os.py").exists())
    inside = f"/{library.relative_to(tree)}"
    run(
        *("chroot", str(tree), "/usr/bin/python3", "-m", "compileall", "-b", "-q"),
        *("--invalidation-mode", "unchecked-hash", inside),
        timeout=_BUILD_TIMEOUT,
        pass_fds=(lock,),
    )
    for source in library.rglob("*.py"):
        if source.with_suffix(".pyc").exists():
            source.unlink()
    for cache in list(library.rglob("__pycache__")):
        shutil.rmtree(cache)
