"""The SHA-512 hash of a password as crypt(3) knows it, for programs of hosts that compare it.

Python's own crypt is gone since 3.13. The method is the SHA-512 one of Ulrich Drepper's
"Unix crypt using SHA-256 and SHA-512", which glibc and libxcrypt have, and so nginx has, too.
"""

from __future__ import annotations

import hashlib

ROUNDS = 5000  # the method's default, which is not written into the hash
SIGNS = "./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
LONGEST_SALT = 16  # signs


def sha512_crypt(password: str, salt: str) -> str:
    """Hash a password as `$6$SALT$…`; raises ValueError for what is no salt."""
    if not salt or len(salt) > LONGEST_SALT or set(salt) - set(SIGNS):
        raise ValueError("a salt is 1 to 16 of the signs ./0-9A-Za-z")
    secret, grain = password.encode(), salt.encode()
    digest = _first(secret, grain)
    long_secret = _stretched(hashlib.sha512(secret * len(secret)).digest(), len(secret))
    long_grain = _stretched(hashlib.sha512(grain * (16 + digest[0])).digest(), len(grain))
    for number in range(ROUNDS):
        odd = number % 2 == 1
        parts = [long_secret if odd else digest]
        if number % 3:
            parts.append(long_grain)
        if number % 7:
            parts.append(long_secret)
        parts.append(digest if odd else long_secret)
        digest = hashlib.sha512(b"".join(parts)).digest()
    return f"$6${salt}${_encoded(digest)}"


def _first(secret: bytes, grain: bytes) -> bytes:
    """Give the digest that the rounds begin with; the bits of the length choose its parts."""
    other = hashlib.sha512(secret + grain + secret).digest()
    parts = [secret, grain, _stretched(other, len(secret))]
    length = len(secret)
    while length:
        parts.append(other if length & 1 else secret)
        length >>= 1
    return hashlib.sha512(b"".join(parts)).digest()


def _stretched(digest: bytes, length: int) -> bytes:
    return (digest * (length // len(digest) + 1))[:length]


def _encoded(digest: bytes) -> str:
    """Write 64 bytes, shuffled by thirds, as signs of six bits, the lowest ones first."""
    text = []
    first, second, third = 0, 21, 42
    for _ in range(21):
        text.append(_signs(digest[first] << 16 | digest[second] << 8 | digest[third], 4))
        first, second, third = second + 1, third + 1, first + 1
    return "".join([*text, _signs(digest[63], 2)])


def _signs(number: int, count: int) -> str:
    return "".join(SIGNS[number >> 6 * place & 63] for place in range(count))
