"""What the sub-commands do: each gives its answer as a text, and an exit status.

Libraries that take their time to load are imported by the commands that need them.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, is_dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from crosprov.mirror import outcome, report_json
from crosprov.mirror.config import Config
from crosprov.mirror.events import Events
from crosprov.mirror.model import Fault, Needs, Place, Remark
from crosprov.mirror.report import Report, age_of, as_text, size_of
from crosprov.mirror.selection import Inventories, WrongUsage, chosen
from crosprov.mirror.stores import Store, open_store
from crosprov.mirror.trees import open_tree

if TYPE_CHECKING:
    from crosprov.mirror.policy.archives import Opener
    from crosprov.mirror.policy.entries import Mirror as Listing
    from crosprov.mirror.sync import Options

LACKING = 2  # exit status: findings, or files that are lacking
_DAY = 86_400

Watch = Callable[[Callable[[str], object] | None], AbstractContextManager[Events]]


@dataclass(frozen=True, slots=True)
class Answer:
    """What goes to standard output, and the exit status."""

    text: str
    status: int = 0


@dataclass(frozen=True, slots=True)
class Context:
    """What a command has beside its words.

    `say` is for what a person should know on the way, `watch` shows the events of a block and
    gives its words to a function, too.
    """

    inventories: Inventories | None
    say: Callable[[str], object]
    watch: Watch


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
        store = _store(config)
        needs = _needs(config, given, context)
        options = _options(config, given)
        if options.dry_run:
            report = run(needs, store, config.upstreams, options)
        else:
            state = config.state_folder()
            with context.watch(lambda text: outcome.tell(state, text)) as events:
                report = run(needs, store, config.upstreams, options, events)
            outcome.keep(config, report)
        return _reported(report, given, dry=options.dry_run)


def verify(given: argparse.Namespace, context: Context) -> Answer:
    """Read the mirror's files again."""
    from crosprov.mirror.verify import verify as run

    with chosen(given.mirror, given, context.inventories) as config:
        needs = _needs(config, given, context) if config.trees else Needs({})
        with context.watch(None) as events:
            options, older = _options(config, given), given.older * _DAY
            report = run(needs, _store(config), options, events, older=older)
        return _reported(report, given)


def status(given: argparse.Namespace, context: Context) -> Answer:
    """Tell how old the last good sync is."""
    with chosen(given.mirror, given, context.inventories) as config:
        last = report_json.last_report(config.state) if config.state else None
    good = last.get("last_good") if last else None
    age = None if good is None else time.time() - float(good)
    too_old = given.max_age is not None and (age is None or age > given.max_age * _DAY)
    code = 0 if last and last.get("good") and not too_old else LACKING
    if given.format == "json":
        return Answer(_json({"mirror": config.name, "age": age, "last_sync": last}), code)
    lines = [f"last good sync: {'never' if age is None else f'{age_of(age)} ago'}"]
    if last is None:
        lines.append("no sync has ended yet")
    elif not last.get("good"):
        ended = age_of(time.time() - float(last.get("ended", 0)))
        lines.append(f"last sync: {ended} ago, files that failed: {len(last['failures'])}")
        lines += [f"  {one['name']}: {one['sentence']}" for one in last["failures"]]
    return Answer("".join(f"{line}\n" for line in lines), code)


def needs(given: argparse.Namespace, context: Context) -> Answer:
    """List what trees need."""
    with chosen(given.mirror, given, context.inventories, trees_will_do=True) as config:
        found = _needs(config, given, context, say=given.format == "text")
    archives = [found.archives[name] for name in sorted(found.archives)]
    if given.format == "json":
        listed = [{**_plain(one.archive), "owners": _plain(one.owners)} for one in archives]
        return Answer(_json({"archives": listed, "remarks": _plain(found.remarks)}))
    lines = []
    for need in archives:
        packages = dict.fromkeys(owner.package for owner in need.owners)
        lines.append(f"{need.archive.name} {need.archive.size} {' '.join(packages)}\n")
    total = sum(need.archive.size for need in archives)
    return Answer("".join([*lines, f"{len(archives)} files, {size_of(total)}\n"]))


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
    allowed = read_allow_list(given.allow_list) if given.allow_list else None
    with ExitStack() as stack:
        mirrors, opener = _listings(given, context, stack)
        options = Options(
            mirrors=mirrors,
            open_archive=opener,
            history=not given.no_history,
            source_stale=not given.no_sourcing,
            masters=tuple(masters),
        )
        report = run(open_tree(given.tree, public=not given.private), options, allowed)
    if given.format == "sarif":
        return Answer(to_sarif(report, RULES), report.status)
    return Answer((to_json if given.format == "json" else to_text)(report), report.status)


def publish(given: argparse.Namespace, context: Context) -> Answer:
    """Put files on a mirror."""
    from crosprov.mirror.publish import publish as run

    if given.name is not None and len(given.file) > 1:
        raise WrongUsage("--name is for a single file")
    if given.own and given.foreign:
        raise WrongUsage("--own and --foreign exclude each other")
    own = True if given.own else False if given.foreign else None
    with chosen(given.to, given, context.inventories) as config:
        found = _needs(config, given, context) if config.trees else None
        mirror = config.mirror()
        store = _store(config)
        done = [
            run(file, mirror, found, name=given.name, own=own, allowed=given.allow, store=store)
            for file in given.file
        ]
    if given.format == "json":
        return Answer(_json({"published": _plain(done)}))
    lines = []
    for one in done:
        verb = "was there already, with the same content" if one.was_there else "is there now"
        lines.append(f"{one.where} {verb} ({size_of(one.archive.size)}; {one.access})")
        lines += [f"  read at {one.address}"] if one.address else []
        lines += [f"  {proof}" for proof in one.proofs]
        lines += [f"  note: {remark}" for remark in one.remarks]
    return Answer("".join(f"{line}\n" for line in lines))


def acl(given: argparse.Namespace, context: Context) -> Answer:
    """Repair forgotten ACLs."""
    from crosprov.mirror.acl import repair_acls

    with chosen(given.mirror, given, context.inventories) as config:
        _check_authorized(config, "to look at ACLs")
        found = repair_acls(config.mirror(), given.names or None, dry_run=given.dry_run)
    code = 0 if all(one.good for one in found) else LACKING
    if given.format == "json":
        return Answer(_json({"files": _plain(found)}), code)
    told = [one for one in found if one.state != "right" or given.names]
    lines = [_with_hint(f"{one.name}: {one.state}: {one.sentence}", one.hint) for one in told]
    right = sum(one.state == "right" for one in found)
    return Answer("".join([*lines, f"{len(found)} files, {right} as they should be\n"]), code)


def manifest(given: argparse.Namespace, context: Context) -> Answer:
    """Write a package's Manifest."""
    from crosprov.mirror.manifest_file import KEPT, write_manifest
    from crosprov.mirror.origins import AtAddress, InFolder, OnMirror, Origin, Upstream

    origins: dict[str, Origin] = {}
    with ExitStack() as stack:
        for words in given.sources:
            config = _mirror(words, given, context, stack)
            origin: Origin = AtAddress(config.reading) if config.reading else OnMirror(
                _store(config), config.store
            )  # fmt: skip
            origins[f"mirror {config.name}"] = origin
        origins |= {f"folder {folder}": InFolder(folder) for folder in given.folder}
        if not given.no_upstream:
            place = {"credentials": given.credentials, "endpoint": given.storage_endpoint}
            origins["upstream"] = Upstream(lambda where: open_store(where, **place))
        done = write_manifest(
            given.package, origins, masters=given.master,
            again=given.again, prune=given.prune, dry_run=given.dry_run,
        )  # fmt: skip
    if given.format == "json":
        return Answer(_json(_plain(done)))
    lines = []
    for one in done.files:
        source = one.where if one.where == KEPT or not one.kind else f"{one.kind}: {one.where}"
        lines.append(f"{one.archive.name}: from {source}\n")
    lines += [f"{name}: kept, of no ebuild that was looked at\n" for name in done.kept]
    lines += [f"{name}: dropped, no ebuild fetches it\n" for name in done.dropped]
    verb = "would be written" if given.dry_run else "is written"
    end = f"{done.path} {verb}" if done.changed else f"{done.path} stays as it is"
    return Answer("".join([*lines, f"{end}\n"]))


def pack(given: argparse.Namespace, context: Context) -> Answer:
    """Make an archive of a folder."""
    from crosprov.mirror.admission import judge_own_name
    from crosprov.mirror.packing import pack as run

    done = run(
        given.folder, given.output, judge=judge_own_name,
        compressor=given.compressor, level=given.level,
    )  # fmt: skip
    for name in done.left_out:
        context.say(f"note: {name} is left out: it belongs to version control")
    if given.format == "json":
        return Answer(_json(_plain(done)))
    what = "is packed" if done.fresh else "was there already, with the same content"
    sizes = f"{done.files} files, {size_of(done.size)}"
    return Answer(f"{done.path} {what} ({sizes}; times from {done.time_from})\n")


def protect(given: argparse.Namespace, context: Context) -> Answer:
    """Report or set what keeps a mirror from being changed."""
    from crosprov.mirror.protect import protect as run

    with chosen(given.mirror, given, context.inventories) as config:
        _check_authorized(config, "to look at a bucket's settings")
        found = run(config.mirror(), change=given.set, administrators=given.administrator)
    code = 0 if found.good else LACKING
    if given.format == "json":
        return Answer(_json(_plain(found)), code)
    told = (
        _with_hint(f"{one.subject}: {one.state}: {one.sentence}", one.hint)
        for one in found.measures
    )
    return Answer("".join(told), code)


COMMANDS: Mapping[str, Callable[[argparse.Namespace, Context], Answer]] = {
    command.__name__: command
    for command in (
        sync, verify, status, needs, check, publish, acl, manifest, pack, protect,
    )
}  # fmt: skip


# --- what several of them do ---------------------------------------------------------------------


def _needs(
    config: Config, given: argparse.Namespace, context: Context, *, say: bool = True
) -> Needs:
    """Find what the mirror's trees need; remarks are said on the way."""
    from crosprov.mirror.needs import needs_of

    trees = config.open_trees(context.say)
    if not trees:
        raise Fault(
            f"the mirror {config.name} has no trees, so nothing says what it needs",
            hint="name one by --tree",
        )
    found = needs_of(trees, source_stale=not given.no_sourcing)
    if say:
        for remark in found.remarks:
            context.say(_note(remark))
    return found


def _options(config: Config, given: argparse.Namespace) -> Options:
    from crosprov.mirror.sync import Options

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
        credentials=config.credentials,
        endpoint=config.endpoint,
    )


def _store(config: Config) -> Store:
    """Open the mirror's store; a folder has to be there, or the name of one would be made one."""
    mirror = config.mirror()
    if not mirror.in_bucket and not Path(config.store).is_dir():
        raise Fault(
            "there is no such folder on this machine",
            hint="make it first; a mirror of an inventory lies on the host that serves it, and "
            "is synced there",
            where=config.store,
        )
    return mirror.open()


def _check_authorized(config: Config, purpose: str) -> None:
    if config.store.startswith("gs://") and config.credentials is None:
        raise Fault(
            f"credentials are needed {purpose}, and the mirror {config.name} has none",
            hint="name a file of them by --credentials",
        )


def _mirror(
    words: list[str], given: argparse.Namespace, context: Context, stack: ExitStack
) -> Config:
    return stack.enter_context(chosen(words, given, context.inventories, configured=False))


def _listings(
    given: argparse.Namespace, context: Context, stack: ExitStack
) -> tuple[tuple[Listing, ...], Opener | None]:
    """List the mirrors that a check shall look at; give what opens the archives there."""
    from crosprov.mirror.policy.archives import open_pieces
    from crosprov.mirror.policy.entries import Mirror as Listing

    listings, openers = [], {}
    for words in given.mirror:
        config = _mirror(words, given, context, stack)
        store = _store(config)
        found = store.list()
        listings.append(
            Listing(config.name, config.public, {name: one.size for name, one in found.items()})
        )
        openers.update(dict.fromkeys(found, open_pieces(store.read)))
    if not listings:
        return (), None
    return tuple(listings), lambda name: openers[name](name) if name in openers else None


def _reported(report: Report, given: argparse.Namespace, *, dry: bool = False) -> Answer:
    bad = report.failures or report.untried or report.stopped
    code = LACKING if bad or (report.planned and not dry) else 0
    if given.format == "json":
        return Answer(_json(report_json.as_json(report)), code)
    planned = (f"would be fetched: {name}" for name in report.planned)
    return Answer("".join(f"{line}\n" for line in (*planned, *as_text(report))), code)


def _note(remark: Remark) -> str:
    where = f"{remark.place}: " if remark.place else ""
    return f"note: {where}{remark.sentence}"


def _with_hint(sentence: str, hint: str | None) -> str:
    return f"{sentence}\n    {hint}\n" if hint else f"{sentence}\n"


def _json(value: object) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False) + "\n"


def _plain(value: Any) -> Any:
    """Turn structures into what JSON has."""
    if isinstance(value, Place):
        return str(value)
    if is_dataclass(value) and not isinstance(value, type):
        names = (one for one in type(value).__dataclass_fields__)
        return {name: _plain(getattr(value, name)) for name in names}
    if isinstance(value, Mapping):
        return {key: _plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    return str(value) if isinstance(value, Path) else value
