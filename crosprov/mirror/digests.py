"""The hash algorithms of Manifests: how long a digest is, which can be computed, which prove."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from functools import cache
from typing import Protocol

# What a digest of each algorithm has, in hexadecimal digits (GLEP 74, and GLEP 59 before it).
LENGTHS: Mapping[str, int] = {
    "BLAKE2B": 128,
    "BLAKE2S": 64,
    "MD5": 32,
    "RMD160": 40,
    "SHA1": 40,
    "SHA256": 64,
    "SHA3_256": 64,
    "SHA3_512": 128,
    "SHA512": 128,
    "STREEBOG256": 64,
    "STREEBOG512": 128,
    "WHIRLPOOL": 128,
}

# Whoever can choose a file's content cannot make two that share one of these.
STRONG = frozenset(LENGTHS) - {"MD5", "RMD160", "SHA1"}

_HASHLIB = {
    "BLAKE2B": "blake2b",
    "BLAKE2S": "blake2s",
    "MD5": "md5",
    "RMD160": "ripemd160",
    "SHA1": "sha1",
    "SHA256": "sha256",
    "SHA3_256": "sha3_256",
    "SHA3_512": "sha3_512",
    "SHA512": "sha512",
}


class Hasher(Protocol):
    """Take a stream in and give its digest, as the objects of hashlib do."""

    def update(self, data: bytes | memoryview, /) -> None: ...
    def hexdigest(self) -> str: ...


def hasher(algorithm: str) -> Hasher:
    """Start a digest of an algorithm by its name in Manifests; raises ValueError if it cannot."""
    if algorithm not in _HASHLIB:
        raise ValueError(f"{algorithm} cannot be computed")
    return hashlib.new(_HASHLIB[algorithm], usedforsecurity=False)


@cache
def is_computable(algorithm: str) -> bool:
    """Tell whether this machine computes the algorithm.

    WHIRLPOOL and STREEBOG are in no hashlib; RMD160 depends on how OpenSSL was built.
    """
    try:
        hasher(algorithm)
    except ValueError:
        return False
    return True


def computable(hashes: Mapping[str, str]) -> dict[str, str]:
    """Choose those of the hashes that this machine can compute."""
    return {name: digest for name, digest in hashes.items() if is_computable(name)}


def strong(hashes: Mapping[str, str]) -> dict[str, str]:
    """Choose those of the hashes that prove a content and that this machine can compute."""
    return {name: digest for name, digest in computable(hashes).items() if name in STRONG}
