"""Who may read the private mirrors of a host: passwords for its server, and logins for builds."""

from __future__ import annotations

import re
from dataclasses import dataclass

from crosprov.deploying import secret
from crosprov.derivation import sha512_salt
from crosprov.errors import PlanError
from crosprov.inventory.lab import Host, Lab
from crosprov.roles import dev_server, mirror
from crosprov.secrets import vault

_PLAIN = re.compile(r"[!#-&(-\[\]-~]{1,120}")  # what every program reads alike from a netrc


@dataclass(frozen=True, slots=True)
class Login:
    """How the builds of a dev host log in: the file of that, and its place as builds see it."""

    reader: str
    password: str  # a token
    netrc: str
    seen_as: str
    owner: str

    def text(self, machine: str) -> str:
        """Write the file, as curl and wget read it."""
        return f"machine {machine}\nlogin {self.reader}\npassword {self.password}\n"


def password_file(lab: Lab, server: Host) -> str:
    """Write what nginx compares passwords with: the names of readers, and hashes as secrets."""
    lines = []
    for name, reference in server.settings(mirror.Settings).readers.items():
        _checked(lab, server, name)
        salt = sha512_salt(lab.name, server.name, name)
        lines.append(f"{name}:{secret(lab, reference, salt=salt)}\n")
    return "".join(lines)


def private_mirrors(lab: Lab, server: Host) -> tuple[str, ...]:
    """Name the private mirrors that a host serves."""
    served = server.settings(mirror.Settings).serves
    return tuple(name for name in served if lab.mirrors[name].visibility == "private")


def login_of(lab: Lab, host: Host) -> Login | None:
    """Give how a dev host logs in at its mirror host; None when it does not.

    Raises PlanError for a reader that the mirror host does not have.
    """
    wanted = host.settings(dev_server.Settings)
    if wanted.mirrors is None:
        return None
    server, said = lab.hosts[wanted.mirrors], wanted.mirror_login
    known = server.settings(mirror.Settings).readers
    name = said.reader if said is not None and said.reader else host.name
    if name not in known:
        if said is None:
            return None
        raise PlanError(
            f"mirror_login is as the reader {name}, whom {server.name} does not have",
            hint=f"its readers: {', '.join(known) or 'none'}",
        )
    where = said or dev_server.MirrorLogin.model_validate({})
    password = _checked(lab, server, name)
    return Login(name, password, where.netrc, where.seen_as or where.netrc, where.owner)


def _checked(lab: Lab, server: Host, name: str) -> str:
    """Give the token of a reader's password; raises PlanError for one that a netrc cannot hold."""
    token = secret(lab, server.settings(mirror.Settings).readers[name])
    if not _PLAIN.fullmatch(vault.secret(token).value):
        raise PlanError(
            f"the password of the reader {name} has signs that a netrc cannot hold",
            hint="use up to 120 letters, digits and signs of ASCII, without blanks, quotes and \\",
        )
    return token
