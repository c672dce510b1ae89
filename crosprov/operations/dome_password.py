"""The password of an account of Dome, which is Django's: set without a prompt, never shown.

The hash that Dome keeps is compared on the controller and stands in no plan. The password goes to
the host in a private file and from there through stdin into Django's own shell.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import shlex
from functools import lru_cache

from pyinfra import host
from pyinfra.api import StringCommand

from crosprov.facts.container_names import UWSGI
from crosprov.facts.dome import DATABASE, PasswordFact, PasswordState
from crosprov.operations.dome_requests import Dome, functions
from crosprov.operations.effects import effects, state_dir
from crosprov.operations.note import Commands, Content, Note, Noted
from crosprov.operations.operation import operation
from crosprov.planning.plan import Action
from crosprov.secrets import fingerprint, vault

ADMIN = "admin"
DEFAULT = "test0000"  # what Dome sets when its database is made: py/dome/backend/settings.py
_HIDDEN = "(hidden)"

_SET = (
    "import sys; from django.contrib.auth import get_user_model; "
    "user = get_user_model().objects.get(username={account!r}); "
    "user.set_password(sys.stdin.buffer.read().decode()); user.save()"
)
# The record of a password is `crosprov.secrets.fingerprint` of it with Dome's hash for a salt.
_RECORD = f"""\
import hashlib, sqlite3, sys
base = sqlite3.connect("file:{DATABASE}?mode=ro", uri=True)
((found,),) = base.execute("select password from auth_user where username = ?", sys.argv[1:])
password = sys.stdin.buffer.read()
print(hashlib.pbkdf2_hmac("sha256", password, found.encode(), 200_000).hex())
"""


@operation
def dome_password(account: str, secret: str, /, *, dome: Dome) -> Commands:
    """Make the password of an account of Dome the one of a secret, which is given by its token.

    A hash that crosprov cannot compute is taken for right as long as it is the one that was there
    after crosprov had set the same password.
    """
    seen = _seen(account)
    value = vault.reveal(secret.encode()).decode()
    right = verified(seen.hash, value)
    effects().about[f"password of {account}"] = _told(seen, right, value)
    anew = UWSGI in effects().recreated
    if not anew and (right or (right is None and _recorded(seen, value))):
        return
    unknown: tuple[str, ...] = ()
    if anew and seen.hash:
        unknown = ("which password is set: each migration of Dome sets the default one again",)
    elif not seen.hash:
        unknown = ("which password is set: Dome does not run yet",)
    elif right is None:
        unknown = (f"which password is set: Dome keeps it by {seen.hash.partition('$')[0]}",)
    path = f"{state_dir()}/dome-password.new"
    file = shlex.quote(path)
    note = Note(
        "password", account, Action.UPDATE, before={"password": _HIDDEN},
        after={"password": vault.name(secret)}, unknown=unknown, undo=f"rm -f {file}",
    )  # fmt: skip
    yield Noted(f"rm -f {file} && ( umask 077; set -C; : > {file} )", note)
    yield Content(secret.encode(), path)
    yield StringCommand(_script(account, file, dome))


@operation
def tell_password(account: str, /) -> Commands:
    """Warn when an account of Dome has the password that everybody knows; nothing is changed."""
    right = verified(_seen(account).hash, DEFAULT)
    if right:
        effects().notices.append(
            f"Dome's account {account} has the default password; declare admin_password"
        )
    words = {
        True: "the documented default", False: "not the documented default", None: "not known",
    }  # fmt: skip
    effects().about[f"password of {account}"] = words[right]
    yield from ()


def _told(seen: PasswordState, right: bool | None, value: str) -> str:
    if right or (right is None and _recorded(seen, value)):
        return "as declared"
    if verified(seen.hash, DEFAULT):
        return "the documented default"
    return "not known" if right is None else "not the declared one"


def verified(encoded: str, password: str) -> bool | None:
    """Tell whether a password has a hash of Django; None where this cannot be computed."""
    algorithm, _, rest = encoded.partition("$")
    try:
        if algorithm in _DIGESTS:
            rounds, salt, digest = rest.split("$")
            return _same(_pbkdf2(_DIGESTS[algorithm], password, salt, int(rounds)), digest)
        if algorithm == "scrypt":
            cost, salt, block, parallel, digest = rest.split("$")
            return _same(_scrypt(password, salt, int(cost), int(block), int(parallel)), digest)
    except ValueError:
        return None
    return None


_DIGESTS = {"pbkdf2_sha256": "sha256", "pbkdf2_sha1": "sha1"}
_MEMORY = 256 * 1024 * 1024  # bytes that scrypt may take


@lru_cache(maxsize=64)
def _pbkdf2(digest: str, password: str, salt: str, rounds: int) -> bytes:
    return hashlib.pbkdf2_hmac(digest, password.encode(), salt.encode(), rounds)


@lru_cache(maxsize=64)
def _scrypt(password: str, salt: str, cost: int, block: int, parallel: int) -> bytes:
    return hashlib.scrypt(
        password.encode(), salt=salt.encode(), n=cost, r=block, p=parallel, maxmem=_MEMORY
    )


def _same(found: bytes, digest: str) -> bool:
    return hmac.compare_digest(base64.b64encode(found).decode(), digest)


def _recorded(seen: PasswordState, value: str) -> bool:
    if not seen.hash or not seen.record:
        return False
    return hmac.compare_digest(fingerprint(value, seen.hash.encode().hex()), seen.record.strip())


def _seen(account: str) -> PasswordState:
    return host.get_fact(PasswordFact, account=account, record=f"{state_dir()}/dome-password")


def _script(account: str, file: str, dome: Dome) -> str:
    record = shlex.quote(f"{state_dir()}/dome-password")
    return f"""{functions(dome)}await_dome
docker exec -i dome_uwsgi python3 manage.py shell \\
  --command {shlex.quote(_SET.format(account=account))} < {file} >/dev/null ||
  fail "Dome did not take the password of "{shlex.quote(account)}
( umask 077; python {shlex.quote(_RECORD)} {shlex.quote(account)} < {file} > {record}.part ) &&
mv {record}.part {record} && rm -f {file}"""
