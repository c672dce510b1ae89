"""Syncing a mirror: what is needed and missing is fetched, proven, and published once and for all.

Nothing that the mirror has is changed or removed. A sync that is killed leaves whole files and
parts that have no name on the mirror; the next one goes on from there.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

from crosprov.mirror import report_json
from crosprov.mirror.choosing import reason_to_leave_out
from crosprov.mirror.events import Events, Listed, mute
from crosprov.mirror.fetching import Fetcher
from crosprov.mirror.folder import Folder
from crosprov.mirror.holding import held, incoming_of, tidy
from crosprov.mirror.idle import Idle
from crosprov.mirror.ledger import Ledger, Proof
from crosprov.mirror.limits import Bandwidth, Slots
from crosprov.mirror.manifests import problem_of_name
from crosprov.mirror.model import Archive, Fault, Need, Needs
from crosprov.mirror.needs import read_now
from crosprov.mirror.part import part_name
from crosprov.mirror.proving import agrees, changed_mind, holds, immutable, replaced
from crosprov.mirror.report import Failure, Report, unclear_of
from crosprov.mirror.stores import Store, Stored
from crosprov.mirror.sync_options import LEDGER, Options, make_state
from crosprov.mirror.tasks import Tally, Task, Tools
from crosprov.mirror.upstreams import Opener, Origins
from crosprov.mirror.web import Web
from crosprov.mirror.working import Crew


def sync(
    needs: Needs, store: Store, upstreams: Sequence[str], options: Options, events: Events = mute
) -> Report:
    """Bring a mirror to have what is needed, and report what it lacks and why.

    `events` is called from several threads, by one at a time. Raises Fault, before anything is
    fetched, when the mirror cannot be listed or written, and Busy when another sync has it.
    KeyboardInterrupt ends it as a kill does, only with the ledger up to date.
    """
    if options.hashed and not isinstance(store, Folder):
        raise Fault(
            f"{store.place} cannot have the hashed layout beside the flat one",
            hint="only a folder has hard links",
        )
    with ExitStack() as stack:
        if not options.dry_run:
            make_state(options.state)
            incoming = incoming_of(store, options.state)
            stack.enter_context(held(incoming, store.place, wait=options.wait))
        began, listing = time.time(), store.list()
        idle = Idle(needs, store, listing, options.state / LEDGER, options)
        report = idle.recall(began)
        if report is not None:
            report = replace(report, unclear=unclear_of(needs.remarks))
            if options.dry_run:
                return report
            tidy(incoming, ())
            events(Listed(0, 0, 0, 0))
            return _kept(report, options.state)
        needs = read_now(needs)
        with ExitStack() as opened:
            ledger = Ledger(options.state / LEDGER, read_only=options.dry_run)
            opened.callback(ledger.close)
            run = _Run(needs, store, listing, ledger, options, events)
            if options.dry_run:
                return run.report("dry-run", Tally(), began)
            begun = tidy(incoming, {part_name(task.need.archive) for task in run.missing})
            tally = run.work(upstreams, incoming, begun)
            report = run.report("sync", tally, began)
            last = run.again(tally) if report.is_good and needs.mark else None
            closed = _closed(opened, report)
        is_known = closed is report  # to the ledger as well
        report = _kept(closed, options.state)
        if last is not None and is_known:
            Idle(needs, store, last.listing, options.state / LEDGER, options).keep(
                last.report("sync", Tally(), began)
            )
        return report


class _Run:
    """One sync: compares what is needed with what is there, then has the rest done."""

    def __init__(
        self,
        needs: Needs,
        store: Store,
        listing: Mapping[str, Stored],
        ledger: Ledger,
        options: Options,
        events: Events,
    ) -> None:
        self.store = store
        self.ledger = ledger
        self.options = options
        self.events = events
        self.all_needs = needs
        self.needs = needs.archives
        self.left_out: dict[str, str] = {}
        self.listing = listing
        self.unproven = 0
        self.known: list[Failure] = []
        self.outdated: dict[str, Proof] = {}  # of files that are not any more what they were
        self.missing: list[Task] = []
        self.doubtful: list[Task] = []
        self._sort()

    def work(self, upstreams: Sequence[str], incoming: Path, begun: frozenset[str]) -> Tally:
        """Fetch what is missing and read what is doubtful; give what became of it.

        `begun` names the parts that an earlier sync left.
        """
        options, stop = self.options, threading.Event()
        tally = Tally(list(self.known))
        fetch_bytes = sum(task.need.archive.size for task in self.missing)
        check_bytes = sum(task.stored.size for task in self.doubtful if task.stored)
        self.events(Listed(len(self.missing), fetch_bytes, len(self.doubtful), check_bytes))
        with ExitStack() as stack:
            web = Web(options.patience)
            stack.callback(web.close)
            opener = Opener(web, options.credentials, options.endpoint)
            tools = Tools(
                store=self.store,
                ledger=self.ledger,
                upstreams=tuple(opener.mirror(place) for place in upstreams),
                origins=Origins(opener) if options.source_uris else None,
                fetcher=Fetcher(Slots(options.per_upstream), options.patience.pauses, stop),
                bandwidth=Bandwidth(options.bandwidth, stop),
                incoming=incoming,
                begun=begun,
                hashed=options.hashed,
                stop=stop,
            )
            crew = Crew(tools, tally, self.events)
            crew.work([*self.missing, *self.doubtful], options.workers)
            if isinstance(self.store, Folder):
                self.store.settle()
            tally.remarks += tools.fetcher.useless()
            if options.hashed:
                crew.arrange(self._files())
        return tally

    def again(self, tally: Tally) -> _Run | None:
        """Look at the mirror once more; None when there is something to do, or no answer.

        Where nothing was done, the look before was the last.
        """
        if not (tally.fetched or tally.checked):
            return self
        try:
            listing = self.store.list()
        except Fault:
            return None
        run = _Run(self.all_needs, self.store, listing, self.ledger, self.options, mute)
        return None if run.missing or run.doubtful or run.known else run

    def report(self, what: str, tally: Tally, began: float) -> Report:
        """Sum up."""
        is_dry = what == "dry-run"
        ended = time.time()
        failures = tuple(sorted(tally.failures or self.known, key=lambda one: one.name))
        there = self.listing.keys() & self.needs.keys()
        report = Report(
            what=what,
            mirror=self.store.place,
            began=began,
            ended=ended,
            needed=len(self.needs) - len(self.left_out),
            present=len(there - {failure.name for failure in failures}),
            fetched=tally.fetched,
            fetched_bytes=tally.fetched_bytes,
            planned=tuple(task.need.archive.name for task in self.missing) if is_dry else (),
            planned_bytes=sum(task.need.archive.size for task in self.missing) if is_dry else 0,
            checked=tally.checked,
            checked_bytes=tally.checked_bytes,
            unproven=len(self.doubtful) if is_dry else self.unproven,
            unknown=len(self.listing.keys() - self.needs.keys()),
            untried=0 if is_dry else tally.untried,
            stopped=tally.stopped,
            failures=failures,
            left_out=self.left_out,
            remarks=tuple(self._remarks(tally)),
            unclear=unclear_of(self.all_needs.remarks),
            last_good=report_json.last_good(self.options.state),
        )
        return replace(report, last_good=ended) if report.is_good and not is_dry else report

    def _sort(self) -> None:
        """Tell what is proven from what is doubtful and what is missing."""
        waiting = dict(self.needs)
        for proof in self.ledger.proofs():
            if not self.listing:
                raise _not_mounted(self.store.place, self.ledger.path)
            need, stored = waiting.get(proof.name), self.listing.get(proof.name)
            if need is None or stored is None:
                continue
            if not holds(proof, stored):
                self.outdated[proof.name] = proof
                continue
            verdict = agrees(proof, need.archive)
            if verdict is None:
                continue
            del waiting[proof.name]
            if not verdict:
                self.known.append(changed_mind(need, proof))
        for name, need in waiting.items():
            self._wait(need, self.listing.get(name))

    def _wait(self, need: Need, stored: Stored | None) -> None:
        if stored is None:
            options = self.options
            reason = reason_to_leave_out(need, public=options.public, restricted=options.restricted)
            if reason is None:
                self.missing.append(Task(need, None))
            else:
                self.left_out[need.archive.name] = reason
        elif self.options.prove and not self.options.dry_run:
            self.doubtful.append(Task(need, stored))
        elif stored.size != need.archive.size:
            sizes = f"{stored.size} bytes instead of {need.archive.size} bytes"
            proof = self.outdated.get(stored.name)
            is_ours = proof is not None and agrees(proof, need.archive)
            self.known.append(
                replaced(need, proof, sizes) if proof and is_ours else immutable(need, sizes)
            )
        elif self.options.dry_run:
            self.doubtful.append(Task(need, stored))
        else:
            self.unproven += 1

    def _files(self) -> Iterator[Task]:
        """Give all files that were there before, also those that no tree needs any more.

        What no Manifest can name nobody asks for.
        """
        for name, stored in self.listing.items():
            if problem_of_name(name) is None:
                need = self.needs.get(name) or Need(Archive(name, stored.size, {}), ())
                yield Task(need, stored)

    def _remarks(self, tally: Tally) -> Sequence[str]:
        aside = self.ledger.set_aside
        words = [f"the ledger was damaged and is now {aside}; all files were read"] if aside else []
        return [*words, *tally.remarks]


def _closed(opened: ExitStack, report: Report) -> Report:
    """Close the ledger; that it cannot be kept is no reason to lose the report."""
    try:
        opened.close()
    except Fault as fault:
        remark = f"{fault}; the next sync reads what it does not know of"
        return replace(report, remarks=(*report.remarks, remark))
    return report


def _kept(report: Report, state: Path) -> Report:
    """Keep a report for others to read; that it cannot be kept is no reason to lose it."""
    try:
        report_json.keep(report, state)
    except OSError as error:
        remark = f"the report could not be kept in {state}: {error.strerror}"
        return replace(report, remarks=(*report.remarks, remark))
    return report


def _not_mounted(place: str, ledger: Path) -> Fault:
    return Fault(
        "the mirror is empty, and the ledger knows of files in it",
        hint=f"mount its disk; to begin anew on purpose, remove {ledger}",
        where=place,
    )
