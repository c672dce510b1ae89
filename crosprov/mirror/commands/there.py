"""Commands that a mirror's own host carries out, with the mirror's program there."""

from __future__ import annotations

import argparse

from crosprov.mirror.commands.answers import Answer, Context
from crosprov.mirror.config import Config
from crosprov.mirror.hosts import MirrorHost
from crosprov.mirror.model import Fault

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
    context.say(f"the sync is under way on {host.name}; it goes on when this is stopped")
    host.sync()
    done = host.run(["status", "--format", given.format], context.say)
    return Answer(done.text, done.status)


def _host_of(config: Config) -> MirrorHost:
    if config.host is None:
        raise Fault(f"no host serves the mirror {config.name}")
    return config.host
