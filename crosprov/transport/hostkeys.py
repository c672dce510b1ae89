"""Host keys: what the known_hosts files say, and what they should say next.

The format is that of sshd(8), section SSH_KNOWN_HOSTS FILE FORMAT.
"""

from __future__ import annotations

import base64
import binascii
import fcntl
import fnmatch
import functools
import hashlib
import hmac
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from crosprov.errors import HostKeyRejected


@dataclass(frozen=True, slots=True)
class Record:
    """Hold one line of a known_hosts file."""

    file: Path
    line: int
    marker: str
    hosts: str
    key_type: str
    blob: bytes

    @property
    def place(self) -> str:
        return f"{self.file} line {self.line}"

    def names(self, host: str) -> bool:
        """Return whether the line is about a host, given as `name` or `[name]:port`."""
        if self.hosts.startswith("|1|"):
            return _hashes_to(self.hosts, host)
        found = False
        for pattern in self.hosts.lower().split(","):
            if fnmatch.fnmatchcase(host, _glob(pattern.removeprefix("!"))):
                if pattern.startswith("!"):
                    return False
                found = True
        return found


@dataclass(frozen=True, slots=True)
class HostIdentity:
    """Say whose key is checked, against which files."""

    name: str
    where: str
    host: str
    port: int
    alias: str | None
    user_files: tuple[Path, ...]
    system_files: tuple[Path, ...]
    accept_new: bool

    @property
    def lookup(self) -> str:
        """Return the name as known_hosts files write it."""
        if self.alias is not None:
            return self.alias.lower()
        return self.host.lower() if self.port == 22 else f"[{self.host.lower()}]:{self.port}"

    def records(self) -> list[Record]:
        """Return the lines about this host, those of the user's own files first."""
        every = read(self.user_files + self.system_files)
        named = [record for record in every if record.names(self.lookup)]
        if any(record.marker == "" for record in named) or self.alias is not None:
            return named
        # As ssh does: a key recorded without the port counts on other ports as well.
        return named + [record for record in every if record.names(self.host.lower())]


def read(files: Iterable[Path]) -> list[Record]:
    """Return the lines of the files that exist; lines that are no records are skipped."""
    records: list[Record] = []
    for file in files:
        try:
            info = file.stat()
            records += _parse(file, info.st_mtime_ns, info.st_size)
        except OSError:
            continue
    return records


def parse_line(file: Path, number: int, line: str) -> Record | None:
    """Return the record on a line, or None for a comment and for what is not a record."""
    fields = line.split()
    marker = fields.pop(0) if fields and fields[0].startswith("@") else ""
    if len(fields) < 3 or fields[0].startswith("#"):
        return None
    hosts, key_type, encoded = fields[:3]
    try:
        blob = base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError):
        return None
    return Record(file, number, marker, hosts, key_type, blob)


def fingerprint(blob: bytes) -> str:
    """Return a key's fingerprint as ssh-keygen prints it."""
    digest = base64.b64encode(hashlib.sha256(blob).digest()).decode()
    return f"SHA256:{digest.rstrip('=')}"


def types_on_record(identity: HostIdentity) -> list[str]:
    """Return the key types known of a host, to be asked for before all others."""
    types = [record.key_type for record in identity.records() if record.marker == ""]
    return list(dict.fromkeys(types))


def check(identity: HostIdentity, key_type: str, blob: bytes) -> None:
    """Raise HostKeyRejected unless the key is on record, or new and new ones are accepted."""
    records = identity.records()
    offered = f"its {key_type} key {fingerprint(blob)}"
    for record in records:
        if record.marker == "@revoked" and record.blob == blob:
            raise HostKeyRejected(
                identity.name,
                f"{identity.where} shows {offered}, which {record.place} revokes.",
                hint="The host may have been taken over: give it new host keys.",
            )
    plain = [record for record in records if record.marker == ""]
    if any(record.blob == blob for record in plain):
        return
    if plain:
        raise _changed(identity, plain, key_type, offered)
    authorities = [record for record in records if record.marker == "@cert-authority"]
    if identity.accept_new and not authorities:
        _append(identity, key_type, blob)
        return
    raise _unknown(identity, authorities, offered)


def _changed(
    identity: HostIdentity, plain: Sequence[Record], key_type: str, offered: str
) -> HostKeyRejected:
    same = [record for record in plain if record.key_type == key_type]
    record = (same or list(plain))[0]
    kind = "another key" if same else f"only a key of type {record.key_type}"
    return HostKeyRejected(
        identity.name,
        f"{identity.where} shows {offered}, but {record.place} has {kind} for it "
        f"({fingerprint(record.blob)}).",
        hint="Somebody may be listening in. If the host was reinstalled, remove the old key: "
        f"ssh-keygen -f {record.file} -R '{identity.lookup}'",
    )


def _unknown(
    identity: HostIdentity, authorities: Sequence[Record], offered: str
) -> HostKeyRejected:
    if authorities:
        return HostKeyRejected(
            identity.name,
            f"{identity.where} shows {offered}; {authorities[0].place} trusts a certificate "
            "authority for it, and host certificates are not supported.",
            hint="Put the host's own key into known_hosts, with ssh-keyscan.",
        )
    target = identity.user_files[0] if identity.user_files else "your known_hosts file"
    return HostKeyRejected(
        identity.name,
        f"The host key of {identity.where} is not known: it shows {offered}.",
        hint="Compare the fingerprint with the host's own, then use --accept-new-host-keys "
        f"or ssh-keyscan -p {identity.port} {identity.host} >> {target}",
    )


def _append(identity: HostIdentity, key_type: str, blob: bytes) -> None:
    if not identity.user_files:
        raise HostKeyRejected(
            identity.name,
            f"The host key of {identity.where} is new, and there is no known_hosts file to "
            "keep it in.",
            hint="Name one with ssh.known_hosts, or with UserKnownHostsFile in ~/.ssh/config.",
        )
    file = identity.user_files[0]
    entry = f"{identity.lookup} {key_type} {base64.b64encode(blob).decode()}\n".encode()
    try:
        known = _append_locked(file, entry, identity.lookup)
    except OSError as error:
        raise HostKeyRejected(
            identity.name,
            f"The host key of {identity.where} is new and cannot be kept in {file} "
            f"({error.strerror}).",
            hint="Make the file writable, or name another one with ssh.known_hosts.",
        ) from error
    if known and all(record.blob != blob for record in known):
        raise _changed(identity, known, key_type, f"its {key_type} key {fingerprint(blob)}")


def _append_locked(file: Path, entry: bytes, lookup: str) -> list[Record]:
    """Append a line unless another run was faster; return what that run wrote."""
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor = os.open(file, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "r+b", buffering=0) as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        text = stream.readall() or b""
        known = [record for record in _records(file, text) if record.names(lookup)]
        known = [record for record in known if record.marker == ""]
        if not known:
            stream.write(b"\n" + entry if text and not text.endswith(b"\n") else entry)
        return known


@functools.lru_cache(maxsize=16)
def _parse(file: Path, modified: int, size: int) -> tuple[Record, ...]:
    return tuple(_records(file, file.read_bytes()))


def _records(file: Path, content: bytes) -> list[Record]:
    lines = content.decode(errors="replace").split("\n")
    found = (parse_line(file, number, line) for number, line in enumerate(lines, 1))
    return [record for record in found if record is not None]


def _glob(pattern: str) -> str:
    # fnmatch knows character classes, known_hosts does not: its brackets are literal.
    return pattern.replace("[", "[[]")


def _hashes_to(hashed: str, host: str) -> bool:
    try:
        _, _, salt, digest = hashed.split("|")
        key, expected = base64.b64decode(salt), base64.b64decode(digest)
    except (ValueError, binascii.Error):
        return False
    return hmac.compare_digest(hmac.digest(key, host.encode(), "sha1"), expected)
