"""The command that holds a tree of ebuilds against the policy."""

from __future__ import annotations

import argparse
from contextlib import ExitStack
from typing import TYPE_CHECKING

from crosprov.mirror.commands.answers import Answer, Context
from crosprov.mirror.commands.opening import store_of
from crosprov.mirror.presets import PRESETS
from crosprov.mirror.selection import WrongUsage, chosen
from crosprov.mirror.trees import open_tree

if TYPE_CHECKING:
    from crosprov.mirror.policy.archives import Opener
    from crosprov.mirror.policy.entries import Mirror as Listing


def check(given: argparse.Namespace, context: Context) -> Answer:
    """Hold a tree against the policy."""
    from crosprov.mirror.allowlist import read_allow_list
    from crosprov.mirror.findings import to_json, to_text
    from crosprov.mirror.policy.check import Options
    from crosprov.mirror.policy.check import check as run
    from crosprov.mirror.policy.rules import RULES
    from crosprov.mirror.sarif import to_sarif

    masters = [open_tree(path, public=True) for path in given.master]
    masters += [open_tree(path, public=False) for path in given.private_master]
    allowed = read_allow_list(given.allow_list, given.tree) if given.allow_list else None
    with ExitStack() as stack:
        mirrors, opener = _listings(given, context, stack)
        options = Options(
            mirrors=mirrors,
            open_archive=opener,
            history=not given.no_history,
            source_stale=not given.no_sourcing,
            masters=tuple(masters),
            events=stack.enter_context(context.watch(None)),
        )
        report = run(open_tree(given.tree, public=not given.private), options, allowed)
    if given.format == "sarif":
        return Answer(to_sarif(report, RULES), report.status)
    return Answer((to_json if given.format == "json" else to_text)(report), report.status)


def _listings(
    given: argparse.Namespace, context: Context, stack: ExitStack
) -> tuple[tuple[Listing, ...], Opener | None]:
    """List the mirrors that a check shall look at; give what opens the archives there."""
    from crosprov.mirror.listing import is_visible, listing_of
    from crosprov.mirror.policy.archives import open_pieces

    listings, openers = [], {}
    for words in _named(given, context):
        config = stack.enter_context(chosen(words, given, context.inventories, configured=False))
        store = store_of(config)
        listing = listing_of(config, store, known=is_visible(words))
        listings.append(listing)
        openers.update(dict.fromkeys(listing.files, open_pieces(store.read)))
    if not listings:
        return (), None
    return tuple(listings), lambda name: openers[name](name) if name in openers else None


def _named(given: argparse.Namespace, context: Context) -> list[list[str]]:
    """Collect the words that name mirrors: of options, of an inventory, of the documentation."""
    named: list[list[str]] = [*given.mirror]
    if given.mirrors_of is not None:
        if context.inventories is None:
            raise WrongUsage("an inventory is read by `crosprov mirror`; name --mirror")
        inventory = str(given.mirrors_of)
        named += [[inventory, name] for name in context.inventories.names(given.mirrors_of)]
    if given.documented:
        readable = (one for one in PRESETS.values() if one.public or given.credentials)
        named += [[preset.name] for preset in readable]
    if given.twin and not any(len(words) == 2 for words in named):
        raise WrongUsage("--twin is for mirrors of an inventory: --mirrors-of INVENTORY")
    return named
