"""The commands that fill a mirror and look after it: sync, verify, needs.

Libraries that take their time to load are imported by the commands that need them.
"""

from __future__ import annotations

import argparse
from functools import partial
from typing import TYPE_CHECKING

from crosprov.mirror import outcome, report_json
from crosprov.mirror.commands.answers import LACKING, Answer, Context, as_json, plain
from crosprov.mirror.commands.opening import read_needs, store_of
from crosprov.mirror.commands.there import done_there, is_done_there, synced_there
from crosprov.mirror.config import Config
from crosprov.mirror.findings import several
from crosprov.mirror.giving_up import remembered
from crosprov.mirror.model import Fault, Needs
from crosprov.mirror.report import Report, as_text, size_of
from crosprov.mirror.selection import chosen

if TYPE_CHECKING:
    from crosprov.mirror.sync_options import Options

_DAY = 86_400


def sync(given: argparse.Namespace, context: Context) -> Answer:
    """Fetch what is needed and lacking."""
    from crosprov.mirror.sync import sync as run

    with chosen(given.mirror, given, context.inventories) as config:
        if config.kind == "manual":
            raise Fault(
                f"the mirror {config.name} is filled by people, so it is not synced",
                hint="`crosprov mirror publish` puts files there; --upstream or --source-uris "
                "say where they would be fetched",
            )
        if config.host is not None:
            return synced_there(config, given, context)
        if given.dry_run:
            store = store_of(config)
            needs = read_needs(config, given, context, remembered=True)
            report = run(needs, store, config.upstreams, _options(config, given))
        else:
            with remembered(config):
                report = _synced(config, given, context)
        return _reported(report, given, dry=given.dry_run)


def _synced(config: Config, given: argparse.Namespace, context: Context) -> Report:
    """Sync a mirror of this machine, and leave there how that went."""
    from crosprov.mirror.sync import sync as run

    tell = partial(outcome.tell, config.state_folder())
    store = store_of(config)
    needs = read_needs(config, given, context, remembered=True, tell=tell)
    with context.watch(tell) as events:
        report = run(needs, store, config.upstreams, _options(config, given), events)
    try:
        outcome.keep(config, report)
    except OSError as error:
        context.say(f"note: how it went could not be kept in {config.state}: {error.strerror}")
    return report


def verify(given: argparse.Namespace, context: Context) -> Answer:
    """Read the mirror's files again."""
    from crosprov.mirror.verify import verify as run

    with chosen(given.mirror, given, context.inventories) as config:
        if is_done_there(config, given):
            return done_there(config, given, context)
        needs = read_needs(config, given, context) if config.trees else Needs({})
        with context.watch(None) as events:
            options, older = _options(config, given), given.older * _DAY
            report = run(needs, store_of(config), options, events, older=older)
        if not given.older:
            outcome.keep_verified(config, report)
        return _reported(report, given)


def needs(given: argparse.Namespace, context: Context) -> Answer:
    """List what trees need."""
    with chosen(given.mirror, given, context.inventories, trees_will_do=True) as config:
        if is_done_there(config, given):
            return done_there(config, given, context)
        found = read_needs(config, given, context, say=given.format == "text")
    archives = [found.archives[name] for name in sorted(found.archives)]
    if given.format == "json":
        listed = [{**plain(one.archive), "owners": plain(one.owners)} for one in archives]
        return Answer(as_json({"archives": listed, "remarks": plain(found.remarks)}))
    lines = []
    for need in archives:
        packages = dict.fromkeys(owner.package for owner in need.owners)
        lines.append(f"{need.archive.name} {need.archive.size} {' '.join(packages)}\n")
    total = sum(need.archive.size for need in archives)
    return Answer("".join([*lines, f"{several(len(archives), 'file')}, {size_of(total)}\n"]))


def _options(config: Config, given: argparse.Namespace) -> Options:
    from crosprov.mirror.sync_options import Options

    return Options(
        state=config.state or config.state_folder(),
        public=config.public,
        restricted=getattr(given, "restricted", False),
        source_uris=config.source_uris or not config.upstreams,
        workers=config.limits.parallel,
        per_upstream=config.limits.per_upstream,
        bandwidth=config.limits.bandwidth,
        hashed=config.hashed,
        prove=not getattr(given, "trust_size", False),
        dry_run=getattr(given, "dry_run", False),
        wait=getattr(given, "wait", False),
        credentials=config.credentials,
        endpoint=config.endpoint,
    )


def _reported(report: Report, given: argparse.Namespace, *, dry: bool = False) -> Answer:
    bad = report.failures or report.untried or report.stopped
    code = LACKING if bad or (report.planned and not dry) else 0
    if given.format == "json":
        return Answer(as_json(report_json.as_json(report)), code)
    planned = (f"would be fetched: {name}" for name in report.planned)
    return Answer("".join(f"{line}\n" for line in (*planned, *as_text(report))), code)
