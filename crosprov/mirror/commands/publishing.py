"""The commands for archives of one's own: pack, publish, manifest, acl, protect.

Libraries that take their time to load are imported by the commands that need them.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from contextlib import ExitStack
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING

from crosprov.mirror.commands.answers import (
    FAULT,
    LACKING,
    Answer,
    Context,
    as_json,
    plain,
    say_fault,
    with_hint,
)
from crosprov.mirror.commands.opening import check_authorized, read_needs, store_of
from crosprov.mirror.config import Config
from crosprov.mirror.findings import several
from crosprov.mirror.model import Archive, Fault
from crosprov.mirror.report import size_of
from crosprov.mirror.selection import WrongUsage, chosen
from crosprov.mirror.stores import open_store

if TYPE_CHECKING:
    from crosprov.mirror.measures import Measure
    from crosprov.mirror.publish import Published


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
        return Answer(as_json(plain(done)))
    what = "is packed" if done.fresh else "was there already, with the same content"
    sizes = f"{several(done.files, 'file')}, {size_of(done.size)}"
    return Answer(f"{done.path} {what} ({sizes}; times from {done.time_from})\n")


def publish(given: argparse.Namespace, context: Context) -> Answer:
    """Put files on a mirror; what is wrong with one of them does not stop the others."""
    from crosprov.mirror.admission import check_mirror
    from crosprov.mirror.publish import publish as run

    own = _own(given)
    _check_rules(given.allow)
    done: list[Published] = []
    failed: list[tuple[Path, Fault]] = []
    if not given.to and given.config is None:
        raise WrongUsage("name the mirror by --to: INVENTORY NAME, a folder, or gs://bucket/prefix")
    with chosen(given.to, given, context.inventories) as config:
        mirror = config.mirror()
        check_mirror(mirror)
        store = store_of(config)
        found = read_needs(config, given, context) if config.trees else None
        for file in given.file:
            try:
                done.append(
                    run(
                        file, mirror, found, name=given.name, own=own, allowed=given.allow,
                        store=store, dry_run=given.dry_run,
                    )
                )  # fmt: skip
            except Fault as fault:
                failed.append((file, fault))
                say_fault(context.say, fault)
        if not given.dry_run:
            _note(config, [one.archive for one in done], context)
    code = FAULT if failed else 0
    if given.format == "json":
        wrong = [
            {"file": str(file), "sentence": str(fault), "hint": fault.hint}
            for file, fault in failed
        ]
        return Answer(
            as_json({"dry_run": given.dry_run, "published": plain(done), "failed": wrong}), code
        )
    return Answer("".join(_published(one, dry_run=given.dry_run) for one in done), code)


def _note(config: Config, archives: Sequence[Archive], context: Context) -> None:
    """Write into the ledger here what is published, for `verify` to compare.

    Of a bucket no other record is kept. A ledger that cannot be written takes nothing back.
    """
    if config.state is None or not archives:
        return
    from crosprov.mirror.ledger import Ledger, Proof, line_of
    from crosprov.mirror.proving import agrees
    from crosprov.mirror.sync_options import LEDGER

    try:
        ledger = Ledger(config.state_folder() / LEDGER)
        try:
            for archive in archives:
                known = ledger.find(archive.name)
                if known is None or not agrees(known, archive):
                    hashes = line_of(archive.hashes)
                    ledger.note(Proof(archive.name, "", archive.size, hashes, time.time()))
        finally:
            ledger.close()
    except Fault as fault:
        context.say(f"note: that it is published is not written down here: {fault}")


def _own(given: argparse.Namespace) -> bool | None:
    """Tell whose the archives are, as far as the options say so."""
    if given.name is not None and len(given.file) > 1:
        raise WrongUsage("--name is for a single file")
    if given.own and given.foreign:
        raise WrongUsage("--own and --foreign exclude each other")
    return True if given.own else False if given.foreign else None


def _check_rules(names: Sequence[str]) -> None:
    """Raise WrongUsage for a rule that there is not: nothing would be allowed by it."""
    from crosprov.mirror.policy.rules import RULES

    for name in names:
        if name not in RULES:
            near = get_close_matches(name, RULES, n=1)
            hint = f"; did you mean {near[0]}?" if near else f": {', '.join(RULES)}"
            raise WrongUsage(f"there is no rule {name}{hint}")


def _published(one: Published, *, dry_run: bool) -> str:
    if one.was_there:
        verb = "was there already, with the same content"
    else:
        verb = "would be published" if dry_run else "is there now"
    lines = [f"{one.where} {verb} ({size_of(one.archive.size)}; {one.access})"]
    lines += [f"  read at {one.address}"] if one.address else []
    lines += [f"  {proof}" for proof in one.proofs]
    lines += [f"  note: {remark}" for remark in one.remarks]
    return "".join(f"{line}\n" for line in lines)


def manifest(given: argparse.Namespace, context: Context) -> Answer:
    """Write a package's Manifest."""
    from crosprov.mirror.manifest_file import KEPT, write_manifest
    from crosprov.mirror.origins import AtAddress, InFolder, OnMirror, Origin, Upstream

    origins: dict[str, Origin] = {}
    with ExitStack() as stack:
        for words in given.sources:
            config = stack.enter_context(
                chosen(words, given, context.inventories, configured=False)
            )
            hidden = config.host is not None and not config.public
            origin: Origin = (
                AtAddress(config.reading)
                if config.reading and not hidden
                else OnMirror(store_of(config), config.store)
            )
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
        return Answer(as_json(plain(done)))
    lines = []
    for one in done.files:
        source = one.where if one.where == KEPT or not one.kind else f"{one.kind}: {one.where}"
        lines.append(f"{one.archive.name}: from {source}\n")
    lines += [f"{name}: kept, of no ebuild that was looked at\n" for name in done.kept]
    lines += [f"{name}: dropped, no ebuild fetches it\n" for name in done.dropped]
    verb = "would be written" if given.dry_run else "is written"
    end = f"{done.path} {verb}" if done.changed else f"{done.path} stays as it is"
    return Answer("".join([*lines, f"{end}\n"]))


def acl(given: argparse.Namespace, context: Context) -> Answer:
    """Repair forgotten ACLs."""
    from crosprov.mirror.acl import repair_acls

    with chosen(given.mirror, given, context.inventories) as config:
        check_authorized(config, "to look at ACLs")
        found = repair_acls(config.mirror(), given.names or None, dry_run=given.dry_run)
    code = 0 if all(one.good for one in found) else LACKING
    if given.format == "json":
        return Answer(as_json({"files": plain(found)}), code)
    told = [one for one in found if one.state != "right" or given.names]
    lines = [with_hint(f"{one.name}: {one.state}: {one.sentence}", one.hint) for one in told]
    good = sum(one.good for one in found)
    end = f"{several(len(found), 'file')}, {good} as they should be\n"
    return Answer("".join([*lines, end]), code)


def protect(given: argparse.Namespace, context: Context) -> Answer:
    """Report or set what keeps a mirror from being changed."""
    from crosprov.mirror.protect import protect as run

    with chosen(given.mirror, given, context.inventories) as config:
        check_authorized(config, "to look at a bucket's settings")
        change = given.set and not given.dry_run
        found = run(
            config.mirror(),
            change=change,
            administrators=given.administrator,
            store=store_of(config) if config.host is not None else None,
        )
    code = 0 if found.good else LACKING
    if given.format == "json":
        return Answer(as_json(plain(found)), code)
    told = (
        with_hint(f"{one.subject}: {_state(one, given)}: {one.sentence}", one.hint)
        for one in found.measures
    )
    return Answer("".join(told), code)


def _state(one: Measure, given: argparse.Namespace) -> str:
    would = given.set and given.dry_run and one.settable
    return "would be set" if would else one.state
