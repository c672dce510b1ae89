"""Verifying a mirror: all files are read again, and what is not any more what it was is named."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field

from crosprov.mirror import report_json
from crosprov.mirror.choosing import is_provable, reason_to_leave_out
from crosprov.mirror.events import Events, Listed, mute
from crosprov.mirror.findings import several
from crosprov.mirror.holding import held, incoming_of
from crosprov.mirror.ledger import Ledger, Proof
from crosprov.mirror.model import Archive, Need, Needs
from crosprov.mirror.proving import COMES, holds
from crosprov.mirror.report import Failure, Kind, Report
from crosprov.mirror.stores import Recording, Store, Stored
from crosprov.mirror.sync_options import LEDGER, Options, make_state
from crosprov.mirror.tasks import Tally, Task, Tools
from crosprov.mirror.working import Crew


def verify(
    needs: Needs,
    store: Store,
    options: Options,
    events: Events = mute,
    *,
    older: float = 0.0,
) -> Report:
    """Read the files of a mirror and compare them with the Manifests, or the ledger.

    With `older`, those that were proven within so many seconds are left for another time. Files
    that no tree needs are compared with what was written down when they were published, or
    with what they were proven to be. Files of which nothing is known are read, so that the next
    verification can compare them; `unknown` counts them. Nothing is changed or removed: what is
    wrong is in the report's quarantine. Raises Fault.
    """
    began = time.time()
    with ExitStack() as stack:
        make_state(options.state)
        incoming = incoming_of(store, options.state)
        stack.enter_context(held(incoming, store.place, wait=options.wait))
        ledger = Ledger(options.state / LEDGER)
        stack.callback(ledger.close)
        listing = store.list()
        proofs = _proofs(store, listing, ledger)
        round = _Round(listing, proofs, needs.archives, began - older)
        left_out = round.left_out(options)
        tally = Tally([*round.vanished(), *round.missing(left_out)])
        tasks = [*round.tasks, *round.strangers]
        events(Listed(0, 0, len(tasks), sum(task.size for task in tasks)))
        tools = Tools.for_reading(store, ledger, incoming, threading.Event())
        Crew(tools, tally, events).work(round.tasks, options.workers)
        first = Tally()
        Crew(tools, first, events).work(round.strangers, options.workers)
    failures = tuple(sorted([*tally.failures, *first.failures], key=lambda one: one.name))
    return Report(
        what="verify",
        mirror=store.place,
        began=began,
        ended=time.time(),
        needed=len(needs.archives) - len(left_out),
        present=len(listing.keys() & needs.archives.keys()),
        checked=tally.checked,
        checked_bytes=tally.checked_bytes,
        unknown=round.unknown + len(round.strangers),
        untried=tally.untried + first.untried,
        stopped=tally.stopped or first.stopped,
        failures=failures,
        left_out=left_out,
        remarks=tuple(round.remarks(first)),
        last_good=report_json.last_good(options.state),
    )


def _proofs(store: Store, listing: Mapping[str, Stored], ledger: Ledger) -> dict[str, Proof]:
    """Give what is known of files: of the ledger, and what was written down beside them.

    The ledger has the last word: whoever changes a file on its host can change the line, too.
    """
    proofs = {proof.name: proof for proof in ledger.proofs()}
    published = store.published() if isinstance(store, Recording) else {}
    for name, proof in published.items():
        if name in listing and name not in proofs:
            proofs[name] = proof
            ledger.note(proof)
    return proofs


@dataclass(slots=True)
class _Round:
    """Choose which files are read: those whose last proof does not hold, or is from `before`.

    Of `strangers` nothing is known; `unknown` ones have only hashes that nothing here computes.
    """

    listing: Mapping[str, Stored]
    proofs: Mapping[str, Proof]
    needs: Mapping[str, Need]
    before: float
    unknown: int = 0
    tasks: list[Task] = field(default_factory=list)
    strangers: list[Task] = field(default_factory=list)

    def __post_init__(self) -> None:
        for name, stored in self.listing.items():
            self._add(name, stored)

    def _add(self, name: str, stored: Stored) -> None:
        proof = self.proofs.get(name)
        need = self.needs.get(name)
        if need is None and proof is not None:
            need = Need(Archive(name, proof.size, proof.by_algorithm()), ())
        if need is None:
            self.strangers.append(Task(Need(Archive(name, stored.size, {}), ()), stored))
        elif not is_provable(need):
            self.unknown += 1
        elif proof is None or not holds(proof, stored) or proof.proven <= self.before:
            self.tasks.append(Task(need, stored))

    def vanished(self) -> list[Failure]:
        """Name the files that were proven once and are not there any more."""
        return [
            _vanished(proof, self.needs.get(name))
            for name, proof in self.proofs.items()
            if name not in self.listing
        ]

    def left_out(self, options: Options) -> dict[str, str]:
        """Say of the files that are not there which of them need not be."""
        reasons = {
            name: reason_to_leave_out(
                self.needs[name], public=options.public, restricted=options.restricted
            )
            for name in self.needs.keys() - self.listing.keys()
        }
        return {name: reason for name, reason in reasons.items() if reason is not None}

    def remarks(self, first: Tally) -> Iterator[str]:
        """Say what was not compared; `first` is what became of the strangers."""
        if self.strangers:
            yield self._newcomers(first.checked)
        if self.unknown:
            yield (
                f"not compared: of {several(self.unknown, 'file')} the Manifests have only hashes "
                "that cannot be computed here"
            )

    def _newcomers(self, read: int) -> str:
        """Say of the strangers, so many of which could be read, that they are known from now on."""
        count, name = len(self.strangers), min(task.need.archive.name for task in self.strangers)
        who = name if count == 1 else f"{count} files, such as {name}"
        if not read:
            return f"not compared: nothing is known of {who}, and nothing could be read now"
        noted = f"the digests of {read} that could be read are"
        if read == count:
            noted = "its digest is" if count == 1 else "their digests are"
        return (
            f"not compared: nothing is known of {who}; {noted} now written down, and compared "
            "the next time"
        )

    def missing(self, left_out: Mapping[str, str]) -> list[Failure]:
        """Name the files that are needed and never were there."""
        names = self.needs.keys() - self.listing.keys() - self.proofs.keys() - left_out.keys()
        words = (Kind.MISSING, "the mirror lacks it", f"it comes {COMES}")
        return [Failure.of(self.needs[name], *words) for name in names]


def _vanished(proof: Proof, need: Need | None) -> Failure:
    need = need or Need(Archive(proof.name, proof.size, proof.by_algorithm()), ())
    return Failure.of(
        need,
        Kind.MISSING,
        "it was on the mirror and is gone; nothing of crosprov removes files",
        f"find out who removed it; what a tree needs comes back {COMES}",
    )
