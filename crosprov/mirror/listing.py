"""What a check of a tree knows of a mirror: its files, and what is known of their contents."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from crosprov.mirror.config import Config
from crosprov.mirror.ledger import Ledger, Proof
from crosprov.mirror.model import Archive
from crosprov.mirror.policy.entries import Mirror
from crosprov.mirror.presets import preset_of
from crosprov.mirror.proving import holds
from crosprov.mirror.stores import Store, Stored
from crosprov.mirror.sync_options import LEDGER


def listing_of(config: Config, store: Store, *, known: bool) -> Mirror:
    """List a mirror, with the hashes that its store or its ledger vouches for.

    `known` is false where nobody said who may read it. Raises Fault.
    """
    proofs = _proofs(config)
    files = {
        name: Archive(name, stored.size, _hashes(stored, proofs.get(name)))
        for name, stored in store.list().items()
    }
    return Mirror(config.name, config.public if known else None, files)


def is_visible(words: Sequence[str]) -> bool:
    """Tell whether the words that name a mirror say who may read it; a bare bucket says nothing."""
    is_bucket = len(words) == 1 and words[0].startswith("gs://")
    return not is_bucket or preset_of(words[0]) is not None


def _hashes(stored: Stored, proof: Proof | None) -> Mapping[str, str]:
    if proof is None or not holds(proof, stored):
        return stored.hashes
    return {**stored.hashes, **proof.by_algorithm()}


def _proofs(config: Config) -> Mapping[str, Proof]:
    """Read what the last sync or verification proved, where that is on this machine."""
    if config.state is None or not (config.state / LEDGER).is_file():
        return {}
    ledger = Ledger(config.state / LEDGER, read_only=True)
    try:
        return {proof.name: proof for proof in ledger.proofs()}
    finally:
        ledger.close()
