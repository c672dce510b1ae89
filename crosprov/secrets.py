"""Keep secrets out of everything but the bytes that go to their target.

A secret travels through deploys, templates and plans as a *token*, a word that means nothing.
Its value is put in its place at the last moment, on the way to the host. What comes back from
hosts goes through `Vault.mask` before anybody sees it.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import re
import secrets
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from crosprov.derivation import derived
from crosprov.errors import SecretError

Reference = Mapping[str, str | list[str]]
HASHED = "salt"  # key of a reference whose value is made of the secret: see crosprov.derivation
TOKEN = re.compile(r"crosprov-secret-[0-9a-f]{16}-token")
_COMMAND_HINT = "run it by hand in the inventory's folder: it has to print the secret"
_SHORTEST_MASKED_LINE = 4  # shorter pieces occur by chance, and masking them would tell


@dataclass(frozen=True, slots=True)
class Secret:
    """A secret's value, the words that say where it comes from, and its reference as JSON."""

    value: str
    source: str
    reference: str = ""


class Vault:
    """Map tokens to secrets for the time of one run."""

    def __init__(self) -> None:
        self._secrets: dict[str, Secret] = {}
        self._read: dict[str, str] = {}
        self._values: dict[str, str] = {}

    def add(self, value: str, source: str, reference: str = "") -> str:
        """Keep a secret and give its token; the same secret gives the same token."""
        secret = Secret(value, source, reference)
        for token, known in self._secrets.items():
            if known == secret:
                return token
        token = f"crosprov-secret-{secrets.token_hex(8)}-token"
        self._secrets[token] = secret
        return token

    def token(self, reference: Reference, base: Path) -> str:
        """Read a secret once and give its token; see `resolve` for the references and errors."""
        text = json.dumps(dict(reference), sort_keys=True)
        key = f"{base}\0{text}"
        if key not in self._read:
            self._read[key] = self.add(self.read(reference, base), describe(reference), text)
        return self._read[key]

    def read(self, reference: Reference, base: Path) -> str:
        """Read a secret, its source only once in a run; see `resolve` for references and errors."""
        bare, salt = _parted(reference)
        key = f"{base}\0{json.dumps(bare, sort_keys=True)}"
        if key not in self._values:
            self._values[key] = _value(bare, base, os.environ)
        value = self._values[key]
        return value if salt is None else derived(value, salt)

    def restore(self, token: str, secret: Secret) -> None:
        """Keep a secret under the token that a saved plan knows it by."""
        self._secrets[token] = secret

    def tokens_in(self, text: str) -> tuple[str, ...]:
        """List the known tokens in a text, in the order of their first appearance."""
        found = dict.fromkeys(TOKEN.findall(text))
        return tuple(token for token in found if token in self._secrets)

    def secret(self, token: str) -> Secret:
        """Give the secret of a token; raises KeyError for a token of another run."""
        return self._secrets[token]

    def reveal(self, content: bytes) -> bytes:
        """Put the values in place of their tokens; for the bytes that go to a host only."""
        if b"crosprov-secret-" not in content:
            return content
        for token, secret in self._secrets.items():
            content = content.replace(token.encode(), secret.value.encode())
        return content

    def name(self, text: str) -> str:
        """Put readable words in place of tokens, for people."""
        for token, secret in self._secrets.items():
            text = text.replace(token, f"(secret: {secret.source})")
        return text

    def mask(self, text: str) -> str:
        """Take values, their lines and tokens out of a text that a host or a program gave."""
        for piece, source in self._pieces():
            text = text.replace(piece, f"(secret: {source})")
        return self.name(text)

    def _pieces(self) -> list[tuple[str, str]]:
        pieces = []
        for secret in self._secrets.values():
            lines = [line.strip() for line in secret.value.splitlines()]
            wanted = {secret.value, *(li for li in lines if len(li) >= _SHORTEST_MASKED_LINE)}
            pieces += [(piece, secret.source) for piece in wanted if piece.strip()]
        return sorted(pieces, key=lambda piece: -len(piece[0]))


vault = Vault()


def fingerprint(value: str, salt: str) -> str:
    """Digest a secret with a salt (hex), slowly, so that a saved plan does not betray it."""
    digest = hashlib.pbkdf2_hmac("sha256", value.encode(), bytes.fromhex(salt), 200_000)
    return digest.hex()


def same(value: str, salt: str, digest: str) -> bool:
    """Tell whether a value has this salted digest."""
    return hmac.compare_digest(fingerprint(value, salt), digest)


def resolve(reference: Reference, base: Path, environ: Mapping[str, str] | None = None) -> str:
    """Read a secret: `{env: NAME}`, `{file: PATH}` (relative to `base`) or `{command: ARGV}`.

    One final newline is not part of a secret that is read from a file or a command. With a
    salt beside it, what is given is made of the secret with that, and is kept as one itself.
    Raises SecretError, which names the reference and never the value.
    """
    environ = os.environ if environ is None else environ
    bare, salt = _parted(reference)
    value = _value(bare, base, environ)
    return value if salt is None else derived(value, salt)


def _parted(reference: Reference) -> tuple[dict[str, str | list[str]], str | list[str] | None]:
    """Part a reference from the salt beside it."""
    bare = dict(reference)
    salt = bare.pop(HASHED, None)
    return bare, salt


def _value(reference: Reference, base: Path, environ: Mapping[str, str]) -> str:
    if len(reference) != 1:
        raise SecretError("a secret needs exactly one of env, file and command")
    match dict(reference):
        case {"env": str(name)}:
            if name not in environ:
                raise SecretError(
                    f"the environment variable {name} of a secret is not set",
                    hint=f"export {name}=… before you call crosprov",
                )
            value = environ[name]
        case {"file": str(path)}:
            value = _from_file(base / Path(path).expanduser())
        case {"command": argv}:
            value = _from_command(argv, base)
        case _:
            raise SecretError("a secret needs exactly one of env, file and command")
    if not value:
        raise SecretError(
            f"the secret from {describe(reference)} is empty", hint=_empty_hint(reference)
        )
    return value


def _empty_hint(reference: Reference) -> str:
    if "env" in reference:
        return f"export {reference['env']}=… before you call crosprov"
    return "write the secret into that file" if "file" in reference else _COMMAND_HINT


def describe(reference: Reference) -> str:
    """Word a reference, for messages: `env NAME`, `file PATH`, `command PROGRAM`."""
    kind, value = next(iter(reference.items()))
    if kind != "command":
        return f"{kind} {value}"
    program = value[0] if isinstance(value, list) else value.split()[0]
    return f"command {program}"


def _from_file(path: Path) -> str:
    try:
        return path.read_text().removesuffix("\n")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not text"
        raise SecretError(
            f"the secret's file {path} cannot be read: {reason}",
            hint="it has to hold the secret as text, on this machine, readable for you",
        ) from None


def _from_command(argv: str | list[str], base: Path) -> str:
    shown = argv if isinstance(argv, str) else " ".join(argv)
    program = shown.split()[0] if shown.split() else shown
    try:
        done = subprocess.run(
            argv, shell=isinstance(argv, str), cwd=base, stdin=subprocess.DEVNULL,
            capture_output=True, timeout=60, check=False,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired) as error:
        reason = "took over 60 s" if not isinstance(error, OSError) else str(error.strerror)
        raise SecretError(
            f"the secret's command {program} failed: {reason}", hint=_COMMAND_HINT
        ) from None
    if done.returncode != 0:
        raise SecretError(
            f"the secret's command {program} ended with status {done.returncode}",
            hint=_COMMAND_HINT,
        )
    try:
        return done.stdout.decode().removesuffix("\n")
    except UnicodeDecodeError:
        raise SecretError(
            f"the secret's command {program} printed what is not text", hint=_COMMAND_HINT
        ) from None
