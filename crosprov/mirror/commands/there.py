"""Commands that a mirror's own host carries out, with the mirror's program there."""

from __future__ import annotations

import argparse
import json
import time
from functools import partial

from crosprov.mirror.commands.answers import LACKING, Answer, Context, Tell, as_json
from crosprov.mirror.config import Config
from crosprov.mirror.hosts import MirrorHost
from crosprov.mirror.model import Fault
from crosprov.mirror.report import as_text
from crosprov.mirror.report_reading import report_in

# Options that mean the same on the host, and those that name what is on this machine.
_VALUED = ("older", "parallel", "max_age", "format")
_FLAGS = ("no_sourcing", "restricted", "trust_size", "dry_run", "wait")
_OF_HERE = (
    "tree", "private_tree", "state", "credentials", "storage_endpoint", "upstream",
    "source_uris", "hashed", "per_upstream", "bandwidth",
)  # fmt: skip


def is_done_there(config: Config, given: argparse.Namespace) -> bool:
    """Tell whether the mirror's host does it: it syncs the mirror, and no option says otherwise.

    It is not asked with trees of this machine.
    """
    said = vars(given)
    return (
        config.host is not None
        and config.host.syncs
        and not (said.get("tree") or said.get("private_tree"))
    )


def done_there(config: Config, given: argparse.Namespace, context: Context) -> Answer:
    """Run the same command on the mirror's host, and give what it answers there."""
    host = _host_of(config)
    said = vars(given)
    for name in _OF_HERE:
        if said.get(name):
            option = f"--{name.replace('_', '-')}"
            raise Fault(
                f"the mirror {config.name} is looked after by {host.name}, as the inventory says, "
                f"and {option} means something of this machine",
                hint=f"write it into the inventory, or leave {option} out",
            )
    words = [given.command]
    for name in _VALUED:
        if said.get(name) is not None:
            words += [f"--{name.replace('_', '-')}", str(said[name])]
    words += [f"--{name.replace('_', '-')}" for name in _FLAGS if said.get(name)]
    done = host.run(words, context.say)
    return Answer(done.text, done.status)


def synced_there(config: Config, given: argparse.Namespace, context: Context) -> Answer:
    """Have the host's service sync the mirror, and tell how that went."""
    if given.dry_run:
        return done_there(config, given, context)
    host = _host_of(config)
    if any(vars(given).get(name) for name in (*_OF_HERE, *_FLAGS, "parallel")):
        raise Fault(
            f"{host.name} syncs the mirror {config.name} as the inventory says, and options "
            "would say otherwise",
            hint="write them into the inventory, or leave them out",
        )
    try:
        host.sync(partial(_say_begun, host.name, context.say), _Seldom(context.say))
    except KeyboardInterrupt as stop:
        raise type(stop)(
            f"stopped; the sync goes on on {host.name}, and `crosprov mirror status` tells how "
            "it ended"
        ) from None
    return _told(host, given, context)


def _say_begun(host: str, say: Tell, joined: bool) -> None:
    before = " already" if joined else ""
    say(f"the sync is under way on {host}{before}; it goes on when this is stopped")


class _Seldom:
    """Say how far a sync is, at times, and only what is new."""

    def __init__(self, say: Tell, pause: float = 10.0) -> None:
        self._say = say
        self._pause = pause  # seconds between two lines
        self._last = ""
        self._when = float("-inf")

    def __call__(self, words: str) -> None:
        now = time.monotonic()
        if words and words != self._last and now - self._when >= self._pause:
            self._last, self._when = words, now
            self._say(words)


def _told(host: MirrorHost, given: argparse.Namespace, context: Context) -> Answer:
    """Tell of a sync that ended on a host what one here would: its report."""
    done = host.run(["status", "--format", "json"], context.say)
    try:
        last = json.loads(done.text)["last_sync"]
        report = report_in(last)
    except (ValueError, KeyError, TypeError):
        raise Fault(
            f"the sync ended on {host.name}, and what it reported cannot be read here",
            hint="`crosprov mirror status` tells how it went; crosprov apply brings this version",
        ) from None
    code = 0 if report.is_good else LACKING
    if given.format == "json":
        return Answer(as_json(last), code)
    return Answer("".join(f"{line}\n" for line in as_text(report)), code)


def _host_of(config: Config) -> MirrorHost:
    if config.host is None:
        raise Fault(f"no host serves the mirror {config.name}")
    return config.host
