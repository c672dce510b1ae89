"""Ask a host for the certificates of its Overlord, without a secret leaving it."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address

from pyinfra.api import FactBase

KEYS = ("rootCA.key", "key.pem")
FILES = ("rootCA.key", "rootCA.pem", "key.pem", "cert.pem")
WORKPLACE = ".certificates.crosprov"  # in their folder, where new ones are made
ORGANIZATION = "crosprov"  # in the issuer of every certificate that crosprov makes
LEFT = 30  # days that a certificate is good for at least, or is made anew
_DAY = 24 * 60 * 60  # seconds

# What is asked of the files in the folder $f, for the fact and for the change's own script.
# `-passin` keeps openssl from asking a terminal for the password of a key that has one.
QUESTIONS = f"""\
public() {{ openssl x509 -noout -pubkey -in "$1" 2>/dev/null; }}
matches() {{ # KEY CERTIFICATE
  [ -s "$1" ] && p=$(openssl pkey -pubout -passin pass: -in "$1" 2>/dev/null) &&
    [ -n "$p" ] && [ "$p" = "$(public "$2")" ]
}}
issuer() {{ openssl x509 -noout -issuer -nameopt RFC2253 -in "$f/cert.pem" 2>/dev/null; }}
ours() {{ case $(issuer) in *O={ORGANIZATION}) return 0;; *) return 1;; esac; }}
lasts() {{ openssl x509 -noout -checkend "$2" -in "$1" >/dev/null 2>&1; }}
rooted() {{
  matches "$f/rootCA.key" "$f/rootCA.pem" && lasts "$f/rootCA.pem" {(365 + LEFT) * _DAY}
}}
"""


@dataclass(frozen=True, slots=True)
class CertificatesState:
    """What was observed; `access` gives mode and owner of each file that is there."""

    openssl: bool = False
    access: Mapping[str, str] = field(default_factory=dict)
    issuer: str = ""
    names: frozenset[str] = frozenset()
    ours: bool = False  # crosprov made the certificate
    lasting: bool = False  # it is good for LEFT days more
    matching: bool = False  # the key belongs to it
    chained: bool = False  # the root certificate that is there signed it
    leftover: bool = False  # a run was cut short while it made new ones
    rooted: bool = False  # the root's own key belongs to it, and it outlasts a new certificate


class CertificatesFact(FactBase[CertificatesState]):
    """Observe the certificates in a folder; dates are compared on the host, for a steady answer."""

    title = "certificates of Overlord"

    def command(self, folder: str) -> str:
        return f"""(f={shlex.quote(folder)}
for n in {" ".join(FILES)}; do
  [ ! -e "$f/$n" ] || echo "have $n $(stat -L -c '%a %U:%G' "$f/$n")"
done
[ ! -e "$f/{WORKPLACE}" ] || echo leftover
if command -v openssl >/dev/null 2>&1; then
{QUESTIONS}echo openssl
  [ ! -e "$f/cert.pem" ] || {{
    issuer
    openssl x509 -noout -ext subjectAltName -in "$f/cert.pem" 2>/dev/null |
      sed -n '2s/^ */names /p'
    if ours; then echo ours; fi
    if lasts "$f/cert.pem" {LEFT * _DAY}; then echo lasting; fi
    if matches "$f/key.pem" "$f/cert.pem"; then echo matching; fi
    if openssl verify -CAfile "$f/rootCA.pem" "$f/cert.pem" >/dev/null 2>&1; then echo chained; fi
  }}
  if rooted; then echo rooted; fi
fi; :)"""

    @staticmethod
    def default() -> CertificatesState:
        return CertificatesState()

    def process(self, output: list[str]) -> CertificatesState:
        said = [line.partition(" ") for line in output]
        words = {word for word, _, _ in said}
        names = [rest for word, _, rest in said if word == "names"]
        issuers = [line.removeprefix("issuer=").strip() for line in output if "issuer=" in line]
        return CertificatesState(
            openssl="openssl" in words,
            access=dict(rest.split(" ", 1) for word, _, rest in said if word == "have"),
            issuer="".join(issuers),
            names=frozenset(filter(None, (_name(word) for word in "".join(names).split(", ")))),
            ours="ours" in words,
            lasting="lasting" in words,
            matching="matching" in words,
            chained="chained" in words,
            leftover="leftover" in words,
            rooted="rooted" in words,
        )


def _name(word: str) -> str:
    """Word a name as `subject_name` does; openssl writes `IP Address:`, and IPv6 at length."""
    kind, _, value = word.partition(":")
    return subject_name(value) if kind in ("DNS", "IP Address") else ""


def subject_name(name: str) -> str:
    """Word a host's name or address for a certificate: `DNS:a.example.com` or `IP:192.0.2.1`."""
    try:
        return f"IP:{ip_address(name)}"
    except ValueError:
        return f"DNS:{name.lower()}"


class UndeclaredFact(FactBase[list[str]]):
    """List those of some containers that crosprov made on the host."""

    title = "containers that crosprov made"

    def command(self, names: str) -> str:
        """Give the command; `names` are separated by blanks."""
        return (
            "command -v docker >/dev/null 2>&1 && docker ps -a --filter label=crosprov.spec-hash "
            f"--format '{{{{.Names}}}}' 2>/dev/null | grep -x -F -e {' -e '.join(names.split())}; :"
        )

    @staticmethod
    def default() -> list[str]:
        return []

    def process(self, output: list[str]) -> list[str]:
        return sorted(output)


class InterfacesFact(FactBase[list[str]]):
    """List the network interfaces of a host."""

    title = "network interfaces"

    def command(self) -> str:
        # A container may have the sysfs of the machine around it; this is of the asking process.
        return r"sed -n 's/^ *\([^ ]*\):.*/\1/p' /proc/net/dev"

    @staticmethod
    def default() -> list[str]:
        return []

    def process(self, output: list[str]) -> list[str]:
        return sorted(name for name in output if name != "lo")
