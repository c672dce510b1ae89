"""Whether a file on a mirror is what it should be: from the ledger, or by reading it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping

from crosprov.mirror.digests import computable
from crosprov.mirror.hashing import Sum, digests_of
from crosprov.mirror.ledger import Ledger, Proof, line_of
from crosprov.mirror.model import Archive, Fault, Need
from crosprov.mirror.report import Failure, Kind
from crosprov.mirror.stores import Missing, Store, Stored, new_name

Tick = Callable[[int], object]
COMES = "with the next sync or, where people fill the mirror, by `crosprov mirror publish`"
_TODAY = dict.fromkeys(("BLAKE2B", "SHA512"), "")  # what is noted of a file that nobody described


def holds(proof: Proof, stored: Stored) -> bool:
    """Tell whether a proof still speaks of the file that the store has."""
    return proof.mark == stored.mark and proof.size == stored.size


def agrees(proof: Proof, archive: Archive) -> bool | None:
    """Compare what was proven with what is wanted; None when they have no hash in common."""
    if proof.size != archive.size:
        return False
    if archive.hashes and proof.hashes == line_of(archive.hashes):
        return True  # as nearly always
    known = proof.by_algorithm()
    wanted = computable(archive.hashes)
    if any(known.get(algorithm, digest) != digest for algorithm, digest in wanted.items()):
        return False
    return True if wanted and wanted.keys() <= known.keys() else None


class Prover:
    """Read files of a store and compare them with what they should be; safe for threads."""

    def __init__(self, store: Store, ledger: Ledger, tick: Tick) -> None:
        """Begin; `tick` is called with each number of bytes read, and may raise to end it."""
        self._store = store
        self._ledger = ledger
        self._tick = tick

    def check(self, need: Need, stored: Stored) -> Failure | None:
        """Prove a file by reading it, and write that down; give what is wrong otherwise.

        Of a need without hashes what is read is written down.
        """
        archive = need.archive
        try:
            stored, found = self._settled(stored, computable(archive.hashes) or _TODAY)
        except Missing:
            return Failure.of(need, Kind.MISSING, "it vanished while the mirror was read")
        except Fault as fault:
            return Failure.of(need, Kind.STORE, str(fault), fault.hint)
        if found is None:
            return Failure.of(need, Kind.REPLACED, "it changed while it was read")
        difference = found.difference(archive)
        if difference is None:
            self.note(stored, found.hashes)
            return None
        return self._wrong(need, stored, found, difference)

    def _settled(self, stored: Stored, algorithms: Mapping[str, str]) -> tuple[Stored, Sum | None]:
        """Digest a file; once more when it got another mark meanwhile.

        Its publisher's own name for it goes after the mirror's appeared, and that marks it anew.
        """
        found = self.read(stored, algorithms)
        now = self._store.find(stored.name) if found is None else None
        return (stored, found) if now is None else (now, self.read(now, algorithms))

    def note(self, stored: Stored, hashes: Mapping[str, str]) -> None:
        """Write a proof into the ledger."""
        proof = Proof(stored.name, stored.mark, stored.size, line_of(hashes), time.time())
        self._ledger.note(proof)

    def read(self, stored: Stored, algorithms: Mapping[str, str]) -> Sum | None:
        """Digest a file; None when the store gave it another mark meanwhile."""
        found = digests_of(self._ticked(self._store.read(stored.name)), algorithms, stored.size)
        after = self._store.find(stored.name)
        return found if after is not None and after.mark == stored.mark else None

    def _ticked(self, pieces: Iterator[bytes]) -> Iterator[bytes]:
        for piece in pieces:
            self._tick(len(piece))
            yield piece

    def _wrong(self, need: Need, stored: Stored, found: Sum, difference: str) -> Failure:
        """Tell a file that was replaced from a Manifest that changed its mind."""
        proof = self._ledger.find(stored.name)
        if proof is None or not agrees(proof, need.archive):
            return immutable(need, difference)
        self._ledger.doubt(stored.name)
        return replaced(need, proof, difference)


def immutable(need: Need, difference: str) -> Failure:
    """Word that a name is taken by another content."""
    name = need.archive.name
    return Failure.of(
        need,
        Kind.IMMUTABLE,
        f"the mirror has another content under this name: {difference}",
        f"a mirror never changes a file: give the new content a new name, in its SRC_URI with "
        f"'-> {new_name(name)}' and in its Manifest",
    )


def replaced(need: Need, proof: Proof, difference: str) -> Failure:
    """Word that a file is not any more what it was proven to be."""
    when = time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(proof.proven))
    return Failure.of(
        need,
        Kind.REPLACED,
        f"it was replaced or damaged on the mirror: it was proven on {when}, and now has "
        f"{difference}",
        "find out who changed it; crosprov leaves it where it is. When a person has moved it away, "
        f"the true one comes back {COMES}",
    )


def changed_mind(need: Need, proof: Proof) -> Failure:
    """Word, without reading, that the Manifest wants another content than what was proven."""
    was = Sum(proof.size, proof.by_algorithm())
    return immutable(need, was.difference(need.archive) or "other hashes")
