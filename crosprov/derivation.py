"""Values that are made from a secret: its hash, or the password of another account.

Each is the same at every plan, so that a second plan is empty and a host that is set up again
gets what it had. What it is made with stands in the secret's reference, beside its source, so
that a saved plan can make it again; so that is never itself secret.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence

from crosprov.crypt import LONGEST_SALT, SIGNS, sha512_crypt

BCRYPT_LIMIT = 72  # bytes of a password; bcrypt takes no notice of more

_BCRYPT = "$2y$"  # what Go's and Apache's bcrypt call the method without known faults
_COST = 10  # htpasswd's own default is 5
_SCRYPT = "$scrypt$"
_WORK = 2**15  # of scrypt: a guess takes a tenth of a second and 32 MB
_BASE64 = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
_OF_BCRYPT = b"./ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"


def sha512_salt(*names: str) -> str:
    """Make a salt of names for crypt(3)'s SHA-512, as `bcrypt_salt` does for bcrypt."""
    return "".join(SIGNS[byte & 63] for byte in _digest(names)[:LONGEST_SALT])


def bcrypt_salt(*names: str) -> str:
    """Make bcrypt's salt of names: another for each of them, and the same at each plan.

    A salt must differ between passwords that may be compared, and need not be secret: lab,
    host and account tell those apart.
    """
    signs = base64.b64encode(_digest(names)[:16])[:22]
    return f"{_BCRYPT}{_COST:02}${signs.translate(bytes.maketrans(_BASE64, _OF_BCRYPT)).decode()}"


def other_password(*names: str) -> str:
    """Say that a value shall be the password of another account, which these names tell apart."""
    return f"{_SCRYPT}{_digest(names).hex()}"


def derived(value: str, steps: str | Sequence[str]) -> str:
    """Make of a secret what the steps say, one after the other.

    A step is what `sha512_salt`, `bcrypt_salt` or `other_password` gave.
    """
    for step in [steps] if isinstance(steps, str) else steps:
        if step.startswith(_BCRYPT):
            value = _bcrypt(value, step)
        elif step.startswith(_SCRYPT):
            value = _other(value, step.removeprefix(_SCRYPT))
        else:
            value = sha512_crypt(value, step)
    return value


def _bcrypt(value: str, salt: str) -> str:
    import bcrypt  # of paramiko's own needs; not loaded by the many runs without such a hash

    return bcrypt.hashpw(value.encode(), salt.encode()).decode()


def _other(value: str, salt: str) -> str:
    """Give 24 letters and digits; who knows them still has to guess the password itself."""
    made = hashlib.scrypt(
        value.encode(), salt=bytes.fromhex(salt), n=_WORK, r=8, p=1, maxmem=2**26, dklen=15
    )
    return base64.b32encode(made).decode().lower()


def _digest(names: Sequence[str]) -> bytes:
    return hashlib.sha256("\0".join(names).encode()).digest()
