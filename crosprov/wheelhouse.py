"""The wheelhouse: all that a host needs to run one of crosprov's programs, in one archive.

The controller fetches pinned wheels with pip, once, and adds pip itself and a wheel of the
program's own package, such as `crosprov.devserver`. The host then needs Python and no network.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from crosprov import wheels
from crosprov.errors import PlanError
from crosprov.localfiles import measured
from crosprov.locks import locked
from crosprov.wheels import MACHINES, OWN_WHEEL, PROGRAMS, PYTHONS, Pin, Program

_LAYOUT = 1  # raised when an environment has to be made anew although its wheels are the same
_KEPT = 5  # archives of a program in the cache; saved plans may name older ones than the newest
_WITHIN = 600.0  # seconds for one run of pip
TAGS = ("manylinux_2_28", "manylinux_2_17", "manylinux2014", "manylinux_2_12", "manylinux2010")
_ELSEWHERE = (
    "fill a folder with `crosprov wheelhouse DIR` on a machine with a package index, and name it "
    "as {key}"
)


@dataclass(frozen=True, slots=True)
class Archive:
    """A tar of the controller: all wheels, and `requirements.txt` with their digests."""

    path: str
    size: int
    sha256: str


@cache
def digest(program: Program) -> str:
    """Name the environment that the wheelhouse makes: 16 hex digits; nothing is fetched."""
    named = hashlib.sha256(f"{_LAYOUT}\n{wheels.requirements(program)}".encode())
    named.update(wheels.own_wheel(program))
    return named.hexdigest()[:16]


def archive(program: Program, folder: Path | None = None) -> Archive:
    """Give a program's archive of this version, from the cache or made now.

    The wheels come from `folder` where it is given, else from the cache, else from pip. Raises
    PlanError when the folder lacks one or pip cannot fetch them.
    """
    target = cache_folder() / f"{program.name}-{digest(program)}.tar"
    with locked(cache_folder() / "lock"):
        if folder is not None or not target.exists():
            found = _fetched(program) if folder is None else _from_folder(program, folder)
            _write(program, target, found)
        os.utime(target)
        _tidy(target.parent, program)
    return Archive(str(target), *measured(target))


def fill(folder: Path) -> int:
    """Put all wheels into a folder, for a controller without a package index; count them.

    Raises PlanError when pip cannot fetch them or the folder cannot be written.
    """
    with locked(cache_folder() / "lock"):
        found = {wheel.name: wheel for program in PROGRAMS for wheel in _fetched(program)}
        try:
            folder.mkdir(parents=True, exist_ok=True)
            for name, wheel in found.items():
                shutil.copyfile(wheel, folder / name)
        except OSError as error:
            raise PlanError(f"{folder} cannot be filled: {error.strerror}") from None
    return len(found)


def cache_folder() -> Path:
    """Give the folder of what was fetched and made, of the user who runs crosprov."""
    base = os.environ.get("XDG_CACHE_HOME", "")
    root = Path(base) if base.startswith("/") else Path.home() / ".cache"
    return root / "crosprov" / "wheelhouse"


def _from_folder(program: Program, folder: Path) -> tuple[Path, ...]:
    """Find the pinned wheels in a folder; what else lies there does not matter."""
    if not folder.is_dir():
        hint = _ELSEWHERE.format(key=program.key)
        raise PlanError(f"the wheelhouse {folder} is not a folder", hint=hint)
    wanted = {h: pin for pin in wheels.pins(wheels.requirements(program)) for h in pin.hashes}
    found = {measured(path)[1]: path for path in sorted(folder.glob("*.whl"))}
    missing = dict.fromkeys(str(pin.name) for h, pin in wanted.items() if h not in found)
    if missing:
        raise PlanError(
            f"the wheelhouse {folder} lacks wheels of {_listed(missing)} that this version of "
            "crosprov wants",
            hint="fill it with `crosprov wheelhouse DIR` of the same version",
        )
    return tuple(path for h, path in found.items() if h in wanted)


def _fetched(program: Program) -> tuple[Path, ...]:
    """Give the pinned wheels of the cache; fetch them when they are not there."""
    text = wheels.requirements(program)
    folder = cache_folder() / f"wheels-{hashlib.sha256(text.encode()).hexdigest()[:16]}"
    if not folder.is_dir():
        with tempfile.TemporaryDirectory(dir=cache_folder(), prefix="fetch-") as temporary:
            ready = Path(temporary, "wheels")
            _fetch(program, wheels.pins(text), ready)
            ready.rename(folder)
    return tuple(sorted(folder.glob("*.whl")))


def _fetch(program: Program, wanted: tuple[Pin, ...], target: Path) -> None:
    """Let pip download every wheel for every Python and machine; it checks the digests."""
    target.mkdir()
    for machine in MACHINES:
        for python in PYTHONS:
            _download(program, wanted, python, machine, target)
            # What is for every machine is there from the first time on.
            plain = {wheels.project_of(path.name) for path in target.glob("*-none-any.whl")}
            wanted = tuple(pin for pin in wanted if wheels.project_of(pin.name) not in plain)


def _download(
    program: Program, wanted: Iterable[Pin], python: str, machine: str, target: Path
) -> None:
    listed = target.parent / "requirements.txt"
    listed.write_text("".join(f"{pin}\n" for pin in wanted), encoding="utf-8")
    command = [
        sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check",
        "--no-input", "--no-deps", "--only-binary", ":all:", "--require-hashes",
        "--implementation", "cp", "--python-version", python,
        *(word for tag in TAGS for word in ("--platform", f"{tag}_{machine}")),
        "--dest", str(target), "--requirement", str(listed),
    ]  # fmt: skip
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=_WITHIN
        )
    except subprocess.TimeoutExpired:
        raise PlanError(
            f"the packages of {program.what} were not fetched within {_WITHIN:.0f} s",
            hint=_ELSEWHERE.format(key=program.key),
        ) from None
    if done.returncode != 0:
        raise PlanError(
            f"the packages of {program.what} cannot be fetched: {_reason(done.stderr)}",
            hint=_ELSEWHERE.format(key=program.key),
        )


def _reason(said: str) -> str:
    """Choose the line that tells why pip failed, without addresses, which may hold a password."""
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith("ERROR: ")] or lines[-1:]
    text = errors[0] if errors else "pip said nothing"
    if text.endswith("No module named pip"):
        return "the Python that runs crosprov has no pip"
    return re.sub(r"\S+://\S+", "…", text.removeprefix("ERROR: "))


def _write(program: Program, target: Path, found: tuple[Path, ...]) -> None:
    """Pack the wheels, our own among them, and let the archive appear whole."""
    own = wheels.own_wheel(program)
    # pip installs, and is not installed.
    pins = [str(pin) for pin in wheels.pins(wheels.requirements(program)) if pin.name != "pip"]
    pins.append(f"./{OWN_WHEEL} --hash=sha256:{hashlib.sha256(own).hexdigest()}")
    texts = {OWN_WHEEL: own, "requirements.txt": "".join(f"{pin}\n" for pin in pins).encode()}
    part = target.with_suffix(".part")
    wheels.pack(part, found, texts)
    part.replace(target)


def _tidy(folder: Path, program: Program) -> None:
    found = folder.glob(f"{program.name}-*.tar")
    archives = sorted(found, key=lambda path: path.stat().st_mtime, reverse=True)
    for old in archives[_KEPT:]:
        old.unlink(missing_ok=True)


def _listed(names: Iterable[str]) -> str:
    names = list(names)
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return ", ".join(names[:3]) + more
