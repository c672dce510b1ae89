"""The keys that may be offered to a host: from files, with certificates, and the agent."""

from __future__ import annotations

import copy
import functools
import os
import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import paramiko
from paramiko.agent import AgentKey, AgentSSH
from paramiko.pkey import PublicBlob, UnknownKeyType

from crosprov.transport.hostkeys import fingerprint
from crosprov.transport.route import Hop

_AGENT_TIMEOUT = 5.0


@dataclass(frozen=True, slots=True)
class Offer:
    """Hold one key that can sign, and how to call it in a sentence."""

    key: paramiko.PKey
    label: str


class Locked(Exception):
    """The key needs a passphrase, and nobody is there to type it."""


class Agent(AgentSSH):
    """Talk to an SSH agent that may be absent, locked or hung."""

    _connect: Callable[[socket.socket], None]
    _close: Callable[[], None]

    def __init__(self, path: str | None) -> None:
        super().__init__()
        self.problem: str | None = None
        if not path:
            return
        sock = socket.socket(socket.AF_UNIX)
        sock.settimeout(_AGENT_TIMEOUT)
        try:
            sock.connect(path)
            self._connect(sock)
        except (OSError, EOFError, paramiko.SSHException) as error:
            sock.close()
            self.problem = f"the agent at {path} does not answer ({error})"
            return
        # A signature may wait for a finger on a token; the login's own limit is enough.
        sock.settimeout(None)

    def close(self) -> None:
        """End the connection to the agent."""
        self._close()


class Identities:
    """Collect the offers for one hop, best first, and the reasons why others are missing.

    Named files come first, in their order: servers hang up after a few wrong keys. A
    locked file is offered through the agent when that has its key.
    """

    def __init__(self, hop: Hop) -> None:
        self.skipped: list[str] = []
        self._hop = hop
        self._agent = Agent(_agent_path(hop.identity_agent))
        if self._agent.problem:
            self.skipped.append(self._agent.problem)

    def offers(self) -> Iterator[Offer]:
        """Yield each key once."""
        seen: set[bytes] = set()
        for offer in self._candidates():
            blob = _offered_blob(offer.key)
            if blob not in seen:
                seen.add(blob)
                yield offer

    def close(self) -> None:
        """Let go of the agent."""
        self._agent.close()

    def _candidates(self) -> Iterator[Offer]:
        held = {key.asbytes(): key for key in self._agent.get_keys()}
        for file in self._hop.identity_files:
            yield from self._from_file(file, held)
        if not self._hop.identities_only:
            for key in held.values():
                label = f"{key.comment or 'a key'} from the agent"
                yield Offer(key, f"{label} ({fingerprint(key.asbytes())})")

    def _from_file(self, file: Path, held: dict[bytes, AgentKey]) -> Iterator[Offer]:
        try:
            key = load(file)
        except Locked:
            reason = f"{file} is locked by a passphrase"
        except FileNotFoundError:
            reason = f"{file} does not exist"
        except OSError as error:
            reason = f"{file} cannot be read ({error.strerror})"
        except (paramiko.SSHException, ValueError, UnknownKeyType) as error:
            reason = f"{file} is not a private key that can be used ({error})"
        else:
            yield from _with_certificates(key, file, self._hop.certificate_files)
            return
        public = _public_blob(file)
        if public in held:
            yield Offer(held[public], f"{file} through the agent ({fingerprint(public)})")
        else:
            self.skipped.append(reason)


def load(file: Path) -> paramiko.PKey:
    """Return the private key in a file.

    Raises Locked when it has a passphrase, OSError, and ValueError or SSHException when
    it is no key. A key is read once however many hosts it opens: checking a large RSA
    key takes longer than a login.
    """
    info = file.stat()
    return _load(file, info.st_mtime_ns, info.st_size)


@functools.lru_cache(maxsize=64)
def _load(file: Path, modified: int, size: int) -> paramiko.PKey:
    try:
        key = paramiko.PKey.from_path(str(file))
    except (TypeError, paramiko.PasswordRequiredException):
        # cryptography's word for a missing passphrase is a TypeError.
        raise Locked(str(file)) from None
    key.public_blob = None
    return key


def _with_certificates(key: paramiko.PKey, file: Path, extra: tuple[Path, ...]) -> Iterator[Offer]:
    """Yield the key with each certificate made for it, then the key alone."""
    label = f"{file} ({fingerprint(key.asbytes())})"
    beside = file.with_name(f"{file.name}-cert.pub")
    for certificate in (*extra, beside):
        signed = copy.copy(key)
        try:
            signed.load_certificate(str(certificate))
        except (OSError, ValueError, paramiko.SSHException):
            continue
        if _certifies(signed):
            yield Offer(signed, f"{label} with the certificate {certificate}")
    yield Offer(key, label)


def _certifies(signed: paramiko.PKey) -> bool:
    """Return whether the certificate is about this key: its body holds the key's numbers."""
    blob = signed.public_blob
    if blob is None:
        return False
    message = paramiko.Message(signed.asbytes())
    message.get_string()
    return message.get_remainder() in blob.key_blob


def _offered_blob(key: paramiko.PKey) -> bytes:
    return key.asbytes() if key.public_blob is None else key.public_blob.key_blob


def _public_blob(file: Path) -> bytes:
    public = file.with_name(f"{file.name}.pub")
    try:
        return PublicBlob.from_file(str(public)).key_blob
    except (OSError, ValueError):
        return b""


def _agent_path(configured: str | None) -> str | None:
    if configured is None:
        return None
    if configured == "SSH_AUTH_SOCK":
        return os.environ.get("SSH_AUTH_SOCK")
    if configured.startswith("$"):
        return os.environ.get(configured.strip("${}"))
    return configured
