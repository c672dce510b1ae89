"""The words of the command line: the sub-commands, and a table of options for each of them."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

Row = tuple[str, dict[str, Any]]
"""The names of an option, or of what stands without one, and what argparse is told of it."""


def _number(least: int, what: str) -> Callable[[str], int]:
    def read(text: str) -> int:
        if not text.isascii() or not text.isdigit() or int(text) < least:
            raise argparse.ArgumentTypeError(f"{what} is a whole number, {least} at least")
        return int(text)

    return read


def rate(text: str) -> int:
    """Read bytes a second: 500000, 500k, 2M or 1G."""
    factors = {"k": 10**3, "K": 10**3, "M": 10**6, "G": 10**9}
    digits, factor = text, 1
    if text and text[-1] in factors:
        digits, factor = text[:-1], factors[text[-1]]
    if not digits.isascii() or not digits.isdigit():
        raise argparse.ArgumentTypeError("a rate is bytes a second, such as 500k, 2M or 1G")
    return int(digits) * factor


def member(text: str) -> str:
    """Read who has a role, as Google's IAM writes it."""
    kind, _, who = text.partition(":")
    if kind not in _MEMBERS or not who:
        raise argparse.ArgumentTypeError(
            f"{text} is no member: write user:…, group:…, serviceAccount:… or the like"
        )
    return text


_MEMBERS = frozenset(
    "user group serviceAccount domain principal principalSet projectOwner projectEditor"
    " projectViewer".split()
)

_FLAG: dict[str, Any] = {"action": "store_true"}
_PATH: dict[str, Any] = {"type": Path, "metavar": "DIR"}
_FILE: dict[str, Any] = {"type": Path, "metavar": "FILE"}
_MANY: dict[str, Any] = {"action": "append", "default": []}

_TWIN: Row = ("--twin", {**_FLAG, "help": "the inventory's virtual twin has the mirror"})

_MIRROR: list[Row] = [
    ("mirror", {"nargs": "*", "metavar": "MIRROR",
        "help": "an inventory and the name of a mirror in it, or a folder, or gs://bucket/prefix, "
                "or one that ChromiumOS documents, such as chromeos-localmirror"}),
    ("--config", {**_FILE, "help": "the configuration of a mirror, as its host has it, instead"}),
    _TWIN,
]  # fmt: skip

_GOOGLE: list[Row] = [
    ("--credentials", {**_FILE, "help": "credentials of Google Storage: JSON of a service account "
        "or of a user, or a boto file (default: the mirror's, else anonymous)"}),
    ("--storage-endpoint", {"metavar": "URL",
        "help": "another address of Google Storage's interface"}),
]  # fmt: skip

_VISIBILITY: list[Row] = [
    ("--visibility", {"choices": ("public", "private"),
        "help": "who may read a mirror that is named by its place, and so the ACL that files get "
                "there: everybody, or the project (buckets: required)"}),
]  # fmt: skip

# Who only reads a mirror gives no ACL, so that it need not be said.
_READERS: list[Row] = [
    ("--visibility", {"choices": ("public", "private"),
        "help": "who may read a mirror that is named by its place: a public one need not have "
                "what only private trees need (default public)"}),
]  # fmt: skip

_TREES: list[Row] = [
    ("--tree", {**_PATH, **_MANY,
        "help": "a tree that says what is needed; repeatable (default: the mirror's)"}),
    ("--private-tree", {**_PATH, **_MANY,
        "help": "the same for a tree that not everybody may see"}),
    ("--no-sourcing", {**_FLAG,
        "help": "do not run the shell code of ebuilds whose metadata cache is stale"}),
]  # fmt: skip

_STATE: list[Row] = [
    ("--state", {**_PATH,
        "help": "folder of the ledger and of the last report (default: the mirror's)"}),
]  # fmt: skip

_FORMAT: list[Row] = [
    ("--format", {"choices": ("text", "json"), "default": "text",
        "help": "text for people, JSON for programs (default text)"}),
]  # fmt: skip

_DRY: list[Row] = [
    ("--dry-run", {**_FLAG, "help": "say what would be done, and do none of it"}),
]  # fmt: skip

_WAIT: list[Row] = [
    ("--wait", {**_FLAG,
        "help": "wait for another sync or verification of the mirror, and do not give up"}),
]  # fmt: skip

_SYNC: list[Row] = [
    ("--upstream", {**_MANY, "metavar": "PLACE",
        "help": "where files are fetched: http(s):// and rsync://, to which /distfiles is added, "
                "gs://, or a folder; repeatable, tried in turn (default: the mirror's)"}),
    ("--source-uris", {**_FLAG,
        "help": "what all upstreams lack is fetched from where ebuilds say"}),
    ("--restricted", {**_FLAG, "help": "fetch what RESTRICT keeps from mirrors, too"}),
    ("--hashed", {**_FLAG, "help": "have the folders of GLEP 75 beside the flat layout"}),
    ("--parallel", {"type": _number(1, "the number of files"), "metavar": "N",
        "help": "files at the same time (default: the mirror's, 8)"}),
    ("--per-upstream", {"type": _number(1, "the number of requests"), "metavar": "N",
        "help": "requests to one upstream at the same time (default: the mirror's, 4)"}),
    ("--bandwidth", {"type": rate, "metavar": "RATE",
        "help": "bytes a second in all: 500k, 2M; 0 is no limit (default: the mirror's)"}),
    ("--trust-size", {**_FLAG,
        "help": "believe files that no sync has proven for their size, without reading them"}),
]  # fmt: skip

ROWS: dict[str, list[list[Row]]] = {
    "sync": [_MIRROR, _TREES, _SYNC, _WAIT, _STATE, _VISIBILITY, _GOOGLE, _DRY, _FORMAT],
    "verify": [_MIRROR, _TREES, _WAIT, _STATE, _READERS, _GOOGLE, [
        ("--older", {"type": _number(0, "the age"), "metavar": "DAYS", "default": 0,
            "help": "leave out what was proven within so many days (default 0: read all)"}),
        ("--parallel", {"type": _number(1, "the number of files"), "metavar": "N",
            "help": "files at the same time (default: the mirror's, 8)"}),
    ], _FORMAT],
    "status": [_MIRROR, _STATE, [
        ("--max-age", {"type": _number(0, "the age"), "metavar": "DAYS",
            "help": "exit with 2 when the last good sync is older"}),
    ], _FORMAT],
    "needs": [_MIRROR, _TREES, _FORMAT],
    "check": [[
        ("tree", {"type": Path, "metavar": "TREE", "help": "the folder of a tree of ebuilds"}),
        ("--private", {**_FLAG, "help": "not everybody may see the tree"}),
        ("--master", {**_PATH, **_MANY, "help": "a tree that it follows; repeatable"}),
        ("--private-master", {**_PATH, **_MANY, "help": "the same for a private one"}),
        ("--mirror", {"action": "append", "nargs": "+", "default": [], "metavar": "MIRROR",
            "help": "look whether files are on this mirror, and into archives of one's own; "
                    "repeatable"}),
        ("--mirrors-of", {**_FILE, "metavar": "INVENTORY",
            "help": "the same for all mirrors of an inventory"}),
        ("--documented", {**_FLAG,
            "help": "the same for the mirrors that ChromiumOS documents; the private ones with "
                    "--credentials only"}),
        _TWIN,
        ("--allow-list", {**_FILE,
            "help": "findings that are meant to be, with a reason for each (TOML)"}),
        ("--no-history", {**_FLAG, "help": "do not read the tree's git history"}),
        ("--no-sourcing", {**_FLAG,
            "help": "do not run the shell code of ebuilds whose metadata cache is stale"}),
        ("--format", {"choices": ("text", "json", "sarif"), "default": "text",
            "help": "text for people, JSON or SARIF 2.1.0 for programs (default text)"}),
    ], _GOOGLE],
    "publish": [[
        ("file", {"nargs": "+", "type": Path, "metavar": "FILE", "help": "what to put there"}),
        ("--to", {"nargs": "+", "default": [], "metavar": "MIRROR",
            "help": "an inventory and the name of a mirror in it, or a folder, or "
                    "gs://bucket/prefix, or one that ChromiumOS documents"}),
        ("--config", {**_FILE, "help": "the configuration of a mirror instead of --to"}),
        _TWIN,
        ("--name", {"metavar": "NAME", "help": "another name on the mirror, for a single file"}),
        ("--own", {**_FLAG, "help": "it is an archive of one's own, whatever trees say"}),
        ("--foreign", {**_FLAG, "help": "it is somebody else's archive, whatever trees say"}),
        ("--allow", {**_MANY, "metavar": "RULE",
            "help": "a rule of the policy that does not count this time; repeatable"}),
    ], _TREES, _VISIBILITY, _GOOGLE, _DRY, _FORMAT],
    "acl": [_MIRROR, [
        ("--file", {**_MANY, "metavar": "NAME", "dest": "names",
            "help": "a file of the mirror; repeatable (default: all of them)"}),
    ], _VISIBILITY, _GOOGLE, _DRY, _FORMAT],
    "manifest": [[
        ("package", {"type": Path, "metavar": "PACKAGE",
            "help": "the folder of a package in a tree, or one ebuild of it"}),
        ("--from", {"action": "append", "nargs": "+", "default": [], "metavar": "MIRROR",
            "dest": "sources", "help": "a mirror that is asked first; repeatable, in this order"}),
        _TWIN,
        ("--folder", {**_PATH, **_MANY,
            "help": "a folder at hand that is asked next, such as DISTDIR; repeatable"}),
        ("--no-upstream", {**_FLAG, "help": "do not ask where ebuilds say that files come from"}),
        ("--master", {**_PATH, **_MANY, "help": "a tree that its tree follows; repeatable"}),
        ("--again", {**_FLAG, "help": "prove the entries that are there already, too"}),
        ("--prune", {**_FLAG, "help": "drop the entries that no ebuild fetches"}),
    ], _GOOGLE, _DRY, _FORMAT],
    "pack": [[
        ("folder", {"type": Path, "metavar": "DIR", "help": "the folder PROJECT-VERSION"}),
        ("--output", {**_PATH, "help": "where the archive is put (default: beside the folder)"}),
        ("--compressor", {"choices": ("xz", "pixz"), "default": "xz",
            "help": "xz with threads, or pixz (default xz)"}),
        ("--level", {"type": int, "choices": range(10), "metavar": "N", "default": 6,
            "help": "how hard it tries, 0 to 9 (default 6)"}),
    ], _FORMAT],
    "protect": [_MIRROR, [
        ("--set", {**_FLAG, "help": "set what is missing, as far as these credentials may"}),
        ("--dry-run", {**_FLAG, "help": "with --set: say what would be set, and set nothing"}),
        ("--administrator", {**_MANY, "type": member, "metavar": "MEMBER",
            "help": "who may replace files, knowingly: user:…, group:…; repeatable"}),
    ], _VISIBILITY, _GOOGLE, _FORMAT],
}  # fmt: skip

COMMANDS: dict[str, tuple[str, tuple[str, ...]]] = {
    "sync": (
        "Fetch what trees need and the mirror lacks; what is there is never changed.",
        (
            "sync lab.yml gentoo --dry-run",
            "sync --config /etc/crosprov/mirrors/gentoo.json",
            "sync /srv/mirror --tree portage-stable --upstream https://distfiles.example.com",
        ),
    ),
    "verify": (
        "Read the mirror's files again, and name those that are not what they were.",
        ("verify lab.yml gentoo", "verify /srv/mirror --tree portage-stable --older 30"),
    ),
    "status": (
        "Tell how old the last good sync is, and what is lacking.",
        ("status lab.yml gentoo --max-age 2",),
    ),
    "needs": (
        "List the files that trees need, with who needs them.",
        ("needs --tree portage-stable --format json",),
    ),
    "check": (
        "Hold a tree of ebuilds against the policy for archives.",
        (
            "check overlay --allow-list overlay/allowed.toml",
            "check overlay --mirror chromeos-localmirror --format sarif",
        ),
    ),
    "publish": (
        "Put a file on a mirror, once and for all, and read it back as its users do.",
        (
            "publish foo-1.2.tar.xz --to chromeos-localmirror --credentials key.json",
            "publish foo-1.2.tar.xz --to lab.yml localmirror --tree overlay --dry-run",
        ),
    ),
    "acl": (
        "Look at the ACLs of a bucket's files, and repair forgotten ones.",
        ("acl chromeos-localmirror --file foo-1.2.tar.xz --credentials key.json",),
    ),
    "manifest": (
        "Write a package's Manifest from a mirror, a folder at hand, or upstream.",
        ("manifest overlay/dev-libs/foo --from chromeos-localmirror --folder ~/distfiles",),
    ),
    "pack": (
        "Make NAME.tar.xz of a folder NAME: the same bytes each time.",
        ("pack foo-1.2", "pack foo-1.2 --compressor pixz --output out"),
    ),
    "protect": (
        "Report what keeps a bucket's files from being changed, or set it.",
        (
            "protect chromeos-localmirror --credentials key.json",
            "protect gs://bucket/x --visibility private --set",
        ),
    ),
}

EPILOG = """\
{program} COMMAND --help tells a command's options, with examples.

Exit status: 0 done, 2 findings or files that are lacking, 1 it cannot be done, 64 wrong usage,
130 stopped by the keyboard, 143 ended by SIGTERM.
"""
