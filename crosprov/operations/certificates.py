"""Overlord's certificates, made on the host that they are for.

Private keys never leave the host. Its root certificate stays when a certificate is renewed, so
that who imported it into a browser need not do so again. A certificate that somebody else made
is used as it is: it may be one that browsers trust anyway.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Sequence

from pyinfra import host

from crosprov.errors import PlanError
from crosprov.facts.overlord import (
    KEYS,
    LEFT,
    ORGANIZATION,
    QUESTIONS,
    WORKPLACE,
    CertificatesFact,
    CertificatesState,
    subject_name,
)
from crosprov.operations.effects import effects
from crosprov.operations.files import remember_restarts
from crosprov.operations.note import Commands, Note, Noted
from crosprov.operations.operation import operation
from crosprov.planning.plan import Action

_PRIVATE = "600 root:root"
_DAYS = 365  # as the original's own setup has it
_ROOT_DAYS = 3650
_KEY = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1"  # made at once, unlike one of RSA
_LONGEST_NAME = 64  # signs of a subject's common name: ub-common-name of RFC 5280


@operation
def certificates(
    folder: str, title: str, /, names: Iterable[str], *, restarts: Sequence[str] = ()
) -> Commands:
    """Make cert.pem and key.pem be a certificate for exactly these names, and rootCA.pem its root.

    They are made anew where they do not belong together, are for other names, or end within 30
    days. `title` is in the subjects, for people who look at a list of certificates. One that
    crosprov did not make stays, and notices say what it lacks. Raises PlanError when that one
    has no key that belongs to it, or a key no certificate.
    """
    seen = host.get_fact(CertificatesFact, folder=folder)
    wanted = frozenset(subject_name(name) for name in names)
    unknown = not seen.openssl
    if unknown and not effects().provides("openssl"):
        raise PlanError("it has no openssl to make Overlord's certificate with",
                        hint="install the package openssl")  # fmt: skip
    if not unknown:
        _refuse(folder, seen)
    reasons = [] if unknown else _reasons(seen, wanted)
    loose = [name for name in KEYS if seen.access.get(name, _PRIVATE) != _PRIVATE]
    if "cert.pem" in seen.access and not seen.ours and not unknown:
        _tell_of_another(seen, wanted)
    if not (unknown or reasons or loose or seen.leftover):
        return
    anew = bool(unknown or reasons)
    due = tuple(restarts) if anew else ()
    effects().restarts.update(dict.fromkeys(due, "made"))
    note = _note(folder, seen, wanted, reasons, loose, unknown=unknown, restarts=due)
    yield Noted(_script(folder, title, sorted(wanted), due, anew=anew), note)


def _refuse(folder: str, seen: CertificatesState) -> None:
    if "cert.pem" in seen.access and not seen.ours and not seen.matching:
        raise PlanError(
            f"{folder}/cert.pem is not a certificate that crosprov made, and the key.pem beside "
            "it does not belong to it",
            hint="put its key there, or move it away and crosprov makes another one",
        )
    if "key.pem" in seen.access and "cert.pem" not in seen.access:
        raise PlanError(
            f"{folder} has a key.pem without a cert.pem",
            hint="put its certificate there, or move it away and crosprov makes both",
        )


def _reasons(seen: CertificatesState, wanted: frozenset[str]) -> list[str]:
    """Say why the certificate is made, or made anew."""
    if "cert.pem" not in seen.access:
        return ["it is not there"]
    if not seen.ours:
        return []
    reasons = []
    if seen.names != wanted:
        reasons.append("it is for other names")
    if not seen.lasting:
        reasons.append(f"it ends within {LEFT} days")
    if not seen.matching:
        reasons.append("its key does not belong to it")
    if not (seen.chained and seen.rooted):
        reasons.append("its root certificate is gone, ends too soon, or is another")
    return reasons


def _tell_of_another(seen: CertificatesState, wanted: frozenset[str]) -> None:
    of = f"Overlord's certificate is not of crosprov but of {seen.issuer or 'somebody else'}"
    lacking = sorted(name.partition(":")[2] for name in wanted - seen.names)
    if lacking:
        effects().notices.append(f"{of}, and is not for {', '.join(lacking)}")
    if not seen.lasting:
        effects().notices.append(f"{of}, and ends within {LEFT} days: renew it by hand")


def _note(
    folder: str,
    seen: CertificatesState,
    wanted: frozenset[str],
    reasons: list[str],
    loose: list[str],
    *,
    unknown: bool,
    restarts: tuple[str, ...],
) -> Note:
    before: dict[str, str | None] = {}
    after: dict[str, str | None] = {}
    create = "cert.pem" not in seen.access
    if unknown or reasons:
        if seen.names and seen.names != wanted:
            before["names"] = " ".join(sorted(seen.names))
        if create or seen.names != wanted:
            after["names"] = " ".join(sorted(wanted))
        after["good for"] = f"{_DAYS} days"
        if not create and reasons:
            after["made anew"] = "; ".join(reasons)
        if not seen.rooted and (create or not unknown):
            after["root"] = f"a new one, good for {_ROOT_DAYS} days"
    if seen.leftover:
        before["leftover"] = f"{folder}/{WORKPLACE}, of a run that was cut short"
    for name in loose:
        before[f"access to {name}"], after[f"access to {name}"] = seen.access[name], _PRIVATE
    return Note(
        "certificate",
        f"{folder}/cert.pem",
        Action.CREATE if create else Action.UPDATE,
        before=before,
        after=after,
        restarts=restarts,
        unknown=("whether a certificate of somebody else is there and stays",)
        if unknown and not create
        else (),
        undo=f"rm -rf {shlex.quote(f'{folder}/{WORKPLACE}')}",
    )


# The certificate goes before its key: so a key without one was never crosprov's, and what a
# run that was killed leaves is a certificate of crosprov that lacks its key, and made anew.
_SCRIPT = """\
f={folder} t="$f"/{workplace} root="$f"
{questions}secure() {{
  for n in {keys}; do
    [ ! -e "$f/$n" ] || {{ chown root:root "$f/$n" && chmod 600 "$f/$n"; }} || return
  done
}}
make() {{
  rm -rf "$t" && mkdir "$t" || return
  cat > "$t/root" <<'END' && cat > "$t/leaf" <<'END' || return
{root}
END
{leaf}
END
  if ! rooted; then
    root=$t
    openssl req -x509 {key} -nodes -sha256 -days {root_days} -config "$t/root" \\
      -keyout "$t/rootCA.key" -out "$t/rootCA.pem" || return
  fi
  openssl req {key} -nodes -sha256 -config "$t/leaf" \\
    -keyout "$t/key.pem" -out "$t/request" &&
  openssl x509 -req -sha256 -days {days} -in "$t/request" -CA "$root/rootCA.pem" \\
    -CAkey "$root/rootCA.key" -set_serial "0x$(openssl rand -hex 16)" \\
    -extfile "$t/leaf" -extensions extensions -out "$t/cert.pem"
}}
put() {{
  for n in rootCA.key rootCA.pem cert.pem key.pem; do
    [ -e "$t/$n" ] || continue
    case $n in *key*) ;; *) chmod 644 "$t/$n" || return;; esac
    chown root:root "$t/$n" && {{ sync "$t/$n" 2>/dev/null || :; }} &&
      mv -f "$t/$n" "$f/$n" || return
  done
}}
"""
_MAKE = """\
if [ -e "$f/cert.pem" ] && ! ours; then
  matches "$f/key.pem" "$f/cert.pem" || {{
    echo "$f/cert.pem is not of crosprov, and key.pem does not belong to it" >&2; exit 1; }}
else
  umask 077
  said=$(make 2>&1) || {{ printf '%s\\n' "$said" >&2; rm -rf "$t"; exit 1; }}
  {mark}put || exit
fi
"""
_REQUEST = """\
[req]
prompt = no
distinguished_name = name
x509_extensions = extensions
[name]
O = {organization}
CN = {name}
[extensions]
subjectKeyIdentifier = hash
"""
_ROOT = (
    _REQUEST
    + """\
basicConstraints = critical,CA:TRUE,pathlen:0
keyUsage = critical,keyCertSign,cRLSign"""
)
_LEAF = (
    _REQUEST
    + """\
basicConstraints = critical,CA:FALSE
keyUsage = critical,digitalSignature
extendedKeyUsage = serverAuth
authorityKeyIdentifier = keyid
subjectAltName = {names}"""
)


def _script(
    folder: str, title: str, names: Sequence[str], restarts: Sequence[str], *, anew: bool
) -> str:
    common = {"organization": ORGANIZATION, "names": ",".join(names)}
    definitions = _SCRIPT.format(
        folder=shlex.quote(folder),
        workplace=WORKPLACE,
        questions=QUESTIONS,
        keys=" ".join(KEYS),
        key=_KEY,
        root=_ROOT.format(name=f"Overlord root of {title}"[:_LONGEST_NAME], **common),
        leaf=_LEAF.format(name=f"Overlord of {title}"[:_LONGEST_NAME], **common),
        root_days=_ROOT_DAYS,
        days=_DAYS,
    )
    make = _MAKE.format(mark=remember_restarts(restarts, "made")) if anew else ""
    return f'{definitions}{make}secure && rm -rf "$t"'
