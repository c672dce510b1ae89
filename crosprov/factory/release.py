"""A release of the factory server: its deployment script, its version, its image's tarball."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass

from crosprov.errors import PlanError

MOST = 5 * 1024 * 1024  # bytes of a script; the one of June 2023 has 40 kB

# In setup/cros_docker.sh they stand once each, at the beginning of a line; what is indented there
# belongs to the sub-command that publishes.
_ASSIGNMENT = r"^{name}=([\"']?)([^\"'\n]*)\1[ \t]*(?:#[^\n]*)?$"
_PAGE = re.compile(rb"\s*<(?:!doctype|html|head|\?xml)", re.IGNORECASE)
_CLEAN = (
    "take it as it was published; "
    "https://chromium.googlesource.com/chromiumos/platform/factory has it at setup/cros_docker.sh"
)


@dataclass(frozen=True, slots=True)
class Version:
    """Name a release: 14 digits of time, 40 hex digits of the commit, the oldest Docker."""

    timestamp: str
    githash: str
    docker: str

    def __str__(self) -> str:
        """Give the version as inventories and tags of the image have it."""
        return f"{self.timestamp}-{self.githash[:6]}"

    @property
    def tarball(self) -> str:
        """Name the image's tarball as the script looks for it, beside itself."""
        return f"factory-server-{self}-docker-{self.docker}.txz"


@dataclass(frozen=True, slots=True)
class LocalImage:
    """The image's tarball: `size` bytes from `offset` on in a file of the controller."""

    path: str
    offset: int
    size: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Release:
    """A deployment script, its sha256 in hex, and the image's tarball where it is at hand."""

    version: Version
    script: bytes
    sha256: str
    image: LocalImage | None = None


def release(script: bytes, where: str, image: LocalImage | None = None) -> Release:
    """Make a release of a script; raises PlanError, which names `where` it came from."""
    digest = hashlib.sha256(script).hexdigest()
    return Release(read_version(script, where), script, digest, image)


def read_version(script: bytes, where: str) -> Version:
    """Read a script's version from its lines; nothing is executed.

    Raises PlanError, naming `where`, for what is not a whole deployment script.
    """
    text = _text(script, where)
    timestamp = _value(text, "DOCKER_IMAGE_TIMESTAMP", r"[0-9]{14}", where)
    githash = _value(text, "DOCKER_IMAGE_GITHASH", r"\*?[0-9a-f]{40}", where)
    docker = _value(text, "DOCKER_VERSION", r"[0-9]{1,5}(?:\.[0-9]{1,5}){1,3}", where)
    if githash.startswith("*"):
        raise PlanError(
            f"{where} is of an image that was built from a tree with changes that no commit has "
            f"(githash {githash[:7]}…), so its version does not tell what is in it",
            hint="commit the changes and build the image again",
        )
    return Version(timestamp, githash, docker)


def _text(script: bytes, where: str) -> str:
    if not script:
        raise PlanError(f"{where} is empty", hint=_CLEAN)
    if len(script) > MOST:
        raise PlanError(f"{where} has more than 5 MB, which no deployment script has", hint=_CLEAN)
    if _PAGE.match(script):
        raise PlanError(
            f"{where} is a web page, not a deployment script",
            hint="the address of a plain file is wanted; googlesource gives one with ?format=TEXT",
        )
    if not script.startswith(b"#!"):
        raise PlanError(f"{where} is not a deployment script: it has no #! line", hint=_CLEAN)
    if b"\r\n" in script:
        raise PlanError(f"{where} has the line ends of Windows, which bash refuses", hint=_CLEAN)
    try:
        text = script.decode()
    except UnicodeDecodeError:
        raise PlanError(f"{where} is not a text in UTF-8", hint=_CLEAN) from None
    if "\0" in text:
        raise PlanError(f"{where} is not a deployment script: it has zero bytes", hint=_CLEAN)
    # Every one since 2017 consists of functions, and hands its words to one of them at its end.
    if not re.fullmatch(r'[^\s#].*"\$@"', text.rstrip().rpartition("\n")[2]) or text[-1] != "\n":
        raise PlanError(
            f'{where} was cut short: its last line does not hand on its arguments ("$@")',
            hint=_CLEAN,
        )
    return text


def _value(text: str, name: str, pattern: str, where: str) -> str:
    found = re.finditer(_ASSIGNMENT.format(name=name), text, re.MULTILINE)
    values = list(dict.fromkeys(str(match[2]) for match in found))
    if not values:
        raise PlanError(f"{where} is not a deployment script: it does not set {name}", hint=_CLEAN)
    if len(values) > 1:
        raise PlanError(f"{where} sets {name} to {' and to '.join(values)}", hint=_CLEAN)
    value = values[0]
    if not re.fullmatch(pattern, value):
        raise PlanError(f"{where} sets {name} to {value[:60]!r}, which is no {_KIND[name]}",
                        hint=_CLEAN)  # fmt: skip
    return value


_KIND = {
    "DOCKER_IMAGE_TIMESTAMP": "time of 14 digits",
    "DOCKER_IMAGE_GITHASH": "commit of 40 hex digits",
    "DOCKER_VERSION": "version of Docker",
}
