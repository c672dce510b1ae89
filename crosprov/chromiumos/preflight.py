"""Judge before anything is changed whether a checkout's devserver can run as it is wanted."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from crosprov.chromiumos.options import (
    NEED_CHROOT,
    CommandLine,
    Value,
    command_line,
    era_in_words,
)
from crosprov.errors import PlanError
from crosprov.facts.chromiumos import ENOUGH, HELP_LIMIT, LEAST, CheckoutState, Space

_UMPIRE = "8080 is the default of Umpire, too: "

Remark = tuple[str, str | None]
"""A sentence, and a hint where there is a remedy."""


@dataclass(frozen=True, slots=True)
class Intent:
    """How the devserver of a checkout shall run."""

    checkout: str
    account: str
    unit: str
    keys: Mapping[str, Value]  # inventory keys that are options, port and static_dir among them
    extras: Mapping[str, str] = field(default_factory=dict)  # options given where they are known
    serves: bool = False  # something else than what was built in the checkout


def preflight(intent: Intent, seen: CheckoutState) -> CommandLine:
    """Give the command line of the devserver, with what is worth knowing before it is started.

    Raises PlanError with a sentence for each thing that stands in the way.
    """
    _refuse(list(_tree(intent, seen)))
    _refuse(list(_start(intent, seen)))
    line = command_line(intent.keys, seen.usage, intent.extras)
    problems = list(_unknown(line, seen))
    problems += _place(intent, seen)
    problems += _contents(intent, seen, {misfit.key for misfit in line.misfits})
    _refuse(problems)
    return CommandLine(line.words, (), (*line.notices, *_notices(intent, seen)))


def _refuse(problems: list[Remark]) -> None:
    if problems:
        hints = dict.fromkeys(hint for _, hint in problems if hint)
        raise PlanError("; ".join(text for text, _ in problems), hint="; ".join(hints) or None)


def _tree(intent: Intent, seen: CheckoutState) -> Iterator[Remark]:
    """Say what of the checkout is not there."""
    where = intent.checkout
    if not seen.checkout:
        yield (
            f"there is no checkout at {where}",
            "`repo init` and `repo sync` make one, or correct `checkout`",
        )
    elif not seen.devserver:
        yield (
            f"{where} has no src/platform/dev/devserver.py",
            "the tree lost it in 2023: take an older checkout, or implementation: embedded",
        )
    elif seen.wants_chromite and not seen.chromite:
        yield (
            f"{where} has no chromite, which its devserver imports",
            f"check chromite out as {where}/chromite, of about the same date",
        )


def _start(intent: Intent, seen: CheckoutState) -> Iterator[Remark]:
    """Say why the devserver cannot even tell its options."""
    program = f"{intent.checkout}/src/platform/dev/devserver.py"
    if not seen.python:
        yield (
            f"{program} wants {seen.shebang or 'python3'}, and the host has none of that name",
            "write its path as `python`; versions to 2020 need Python 2.7",
        )
    elif not seen.readable:
        yield (
            f"the account {intent.account} may not read {program}",
            "let it in: chmod o+x the folders above, or setfacl",
        )
    elif seen.status in (124, 137):
        yield f"{program} does not answer --help within {HELP_LIMIT} s", None
    elif seen.status != 0:
        yield (
            f"{program} does not start with {seen.python}: {seen.fault}",
            "`python` can name one that has cherrypy, psutil and six, of the versions in "
            "docs/compatibility.md",
        )
    elif not seen.usage:
        yield f"the --help of {program} lists no options", None


def _unknown(line: CommandLine, seen: CheckoutState) -> Iterator[Remark]:
    """Say which keys this version cannot carry out, and of which time it is."""
    for misfit in line.misfits:
        yield misfit.sentence, misfit.hint
    if line.misfits:
        what = "it" if len(line.misfits) == 1 else "them"
        when = era_in_words(seen.usage)
        yield f"the one of this checkout does not know {what}, for it is of {when}", None


def _place(intent: Intent, seen: CheckoutState) -> Iterator[Remark]:
    """Say what is wrong with the port and the disk."""
    port, static_dir = intent.keys["port"], intent.keys["static_dir"]
    others = [listener for listener in seen.listeners if listener.unit != intent.unit]
    if others:
        names = " and ".join(map(str, others))
        yield (
            f"port {port} is taken by {names}",
            f"{_UMPIRE if port == 8080 else ''}write another `port`, or stop what listens there",
        )
    if seen.space is Space.NONE:
        yield f"less than {LEAST} GB is free for {static_dir}", "remove builds that nobody needs"


def _contents(intent: Intent, seen: CheckoutState, unknown: set[str]) -> Iterator[Remark]:
    """Say what the devserver would serve, and cannot; nothing of keys that it does not know."""
    wanted = {key: value for key, value in intent.keys.items() if value and key not in unknown}
    for key in ("payload", *NEED_CHROOT):
        if wanted.get(key) in seen.missing:
            yield f"`{key}` names {wanted[key]}, which is not on the host", None
    images = [f"`{key}`" for key in NEED_CHROOT if key in wanted]
    if images and not seen.inside_chroot:
        yield (
            f"{' and '.join(images)} would make a payload, which devserver.py does only inside of "
            "the chroot",
            "make the payload there, and name it as `payload` or stage it",
        )
    if not seen.boards and not intent.serves:
        yield (
            f"no packages are built in {intent.checkout}, and nothing else is to be served",
            "run build_packages for a board first, or write what to `stage`",
        )


def _notices(intent: Intent, seen: CheckoutState) -> Iterator[str]:
    if seen.space is Space.LITTLE:
        yield f"less than {ENOUGH} GB is free for {intent.keys['static_dir']}"
    if not seen.boards and intent.serves:
        yield f"no packages are built in {intent.checkout}: only what is staged can be served"
