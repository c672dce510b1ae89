"""What several commands begin with: the mirror's store, and what its trees need."""

from __future__ import annotations

import argparse

from crosprov.mirror.commands.answers import Context, Tell, note
from crosprov.mirror.config import Config
from crosprov.mirror.looking import is_folder
from crosprov.mirror.model import Fault, Needs
from crosprov.mirror.stores import Store


def read_needs(
    config: Config,
    given: argparse.Namespace,
    context: Context,
    *,
    say: bool = True,
    remembered: bool = False,
    tell: Tell | None = None,
) -> Needs:
    """Find what the mirror's trees need; remarks are said on the way.

    With `remembered`, trees that are as they were are read only when that turns out to matter.
    `tell` is given the words that say how far it is where that takes long.
    """
    from crosprov.mirror.needs import needs_of
    from crosprov.mirror.sourced_memory import SourcedMemory
    from crosprov.mirror.tree_memory import TreeMemory

    trees = config.open_trees(context.say, wait=getattr(given, "wait", False))
    if not trees:
        raise Fault(
            f"the mirror {config.name} has no trees, so nothing says what it needs",
            hint="name one by --tree",
        )
    memory = sourced = None
    if config.state is not None:
        looking = getattr(given, "dry_run", False)
        memory = TreeMemory(config.state, read_only=looking) if remembered else None
        sourced = SourcedMemory(config.state, read_only=looking)
    with context.watch(tell) as events:
        found = needs_of(
            trees,
            source_stale=not given.no_sourcing,
            memory=memory,
            sourced=sourced,
            events=events,
        )
    if say:
        for remark in found.remarks:
            context.say(note(remark))
    return found


def store_of(config: Config) -> Store:
    """Open the mirror's store, through its host where it lies on another machine.

    A folder has to be there, or the name of one would be made one.
    """
    if config.host is not None:
        return config.host.open()
    mirror = config.mirror()
    if not mirror.in_bucket and not is_folder(config.store):
        raise Fault(
            "there is no such folder on this machine",
            hint="make it first; one that lies on the host that serves it is named by its "
            "inventory: INVENTORY NAME",
            where=config.store,
        )
    return mirror.open()


def check_authorized(config: Config, purpose: str) -> None:
    """Raise Fault for a bucket without credentials, where nothing can be done without."""
    if config.store.startswith("gs://") and config.credentials is None:
        raise Fault(
            f"credentials are needed {purpose}, and the mirror {config.name} has none",
            hint="name a file of them by --credentials",
        )
