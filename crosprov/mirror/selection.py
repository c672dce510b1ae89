"""Which mirror a command line means: one of an inventory, of a configuration, or a place."""

from __future__ import annotations

import argparse
import hashlib
import os
import re
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Protocol

from crosprov.mirror.config import Config, TreeSource, of_place
from crosprov.mirror.config_file import read_config
from crosprov.mirror.looking import is_file, is_folder
from crosprov.mirror.model import Fault
from crosprov.mirror.presets import preset_of


class Inventories(Protocol):
    """Read mirrors out of an inventory."""

    def names(self, inventory: Path) -> tuple[str, ...]:
        """Name the mirrors of an inventory."""
        ...

    def open(
        self, inventory: Path, name: str, *, twin: bool = False
    ) -> AbstractContextManager[Config]:
        """Give the configuration of a mirror of an inventory, for the time of a block."""
        ...


class WrongUsage(Exception):
    """The words do not name a mirror."""


@contextmanager
def chosen(
    words: Sequence[str],
    given: argparse.Namespace,
    inventories: Inventories | None,
    *,
    configured: bool = True,
    trees_will_do: bool = False,
) -> Iterator[Config]:
    """Give the mirror that the words of a command line mean, with what its options say instead.

    `configured` says that the command has --config. With `trees_will_do`, a command that names
    trees needs no mirror. Raises WrongUsage and Fault.
    """
    file = given.config if configured else None
    if getattr(given, "twin", False) and len(words) != 2 and given.command != "check":
        raise WrongUsage("--twin is for a mirror of an inventory: INVENTORY NAME")
    if file is not None and words:
        raise WrongUsage("name a mirror, or --config, and not both")
    if not words and file is None and not (trees_will_do and _trees(given)):
        raise WrongUsage("name a mirror: INVENTORY NAME, a folder, or gs://bucket/prefix")
    if len(words) > 2:
        raise WrongUsage(f"{words[2]!r} is one word too many: a mirror is named by two at most")
    if len(words) == 2:
        if inventories is None:
            raise WrongUsage("an inventory is read by `crosprov mirror`; name --config or a place")
        twin = bool(getattr(given, "twin", False))
        with inventories.open(Path(words[0]), words[1], twin=twin) as config:
            yield _overridden(_as_said(config, given, known=True), given)
        return
    if file is not None:
        yield _overridden(_as_said(read_config(file), given, known=True), given)
    elif words:
        _refuse_inventory(words[0])
        config = of_place(words[0])
        known = config.store.startswith("gs://") and preset_of(config.store) is not None
        yield _overridden(_with_state(_as_said(config, given, known=known)), given)
    else:
        yield _overridden(Config(name="trees", store="/nonexistent"), given)


def _check_upstreams(places: Sequence[str]) -> None:
    from crosprov.mirror.upstreams import check_upstream

    for place in places:
        check_upstream(place)


def _refuse_inventory(word: str) -> None:
    """Raise WrongUsage for an inventory that stands where it needs a name beside it."""
    is_named_so = Path(word).suffix in (".yml", ".yaml") and not is_folder(word)
    if is_named_so or (not word.startswith("gs://") and is_file(word)):
        raise WrongUsage(
            f"{word} is no mirror: one of an inventory is named by two words, INVENTORY NAME"
        )


def _overridden(config: Config, given: argparse.Namespace) -> Config:
    """Put what the options say in the place of what the mirror says."""
    said = vars(given)
    trees = _trees(given)
    if trees:
        config = replace(config, trees=trees)
    if said.get("upstream"):
        _check_upstreams(said["upstream"])
        config = replace(config, kind="automatic", upstreams=tuple(said["upstream"]))
    if said.get("source_uris"):
        config = replace(config, kind="automatic", source_uris=True)
    if said.get("hashed"):
        config = replace(config, hashed=True)
    limits = {
        name: said[name]
        for name in ("parallel", "per_upstream", "bandwidth")
        if said.get(name) is not None
    }
    config = replace(config, limits=replace(config.limits, **limits))
    if said.get("state") is not None:
        config = replace(config, state=given.state.absolute())
    if said.get("credentials") is not None:
        config = replace(config, credentials=given.credentials)
    if said.get("storage_endpoint") is not None:
        config = replace(config, endpoint=given.storage_endpoint)
    if config.credentials is not None and not is_file(config.credentials):
        raise Fault("there is no such credentials file", where=str(config.credentials))
    return config


def _as_said(config: Config, given: argparse.Namespace, *, known: bool) -> Config:
    """Take who may read a mirror from the options, where nothing else says so.

    A bucket's files get an ACL by that, so that it is asked for and never guessed.
    """
    said = vars(given)
    visibility = said.get("visibility")
    if known:
        if visibility not in (None, config.visibility):
            raise WrongUsage(f"the mirror {config.name} is {config.visibility} in any case")
        return config
    if visibility is None:
        asked = "visibility" in said and given.command != "verify"
        if asked and config.store.startswith("gs://"):
            raise WrongUsage(
                f"nothing says who may read {config.store}: add --visibility public, or private"
            )
        return config
    return replace(config, visibility=visibility)


def _with_state(config: Config) -> Config:
    return replace(config, state=state_of(config.store))


def state_of(store: str, *folders: str) -> Path:
    """Name the folder of a mirror's state on the machine of a person, by where its store is."""
    base = os.environ.get("XDG_STATE_HOME", "")
    root = Path(base) if base.startswith("/") else Path.home() / ".local" / "state"
    stem = re.sub(r"[^A-Za-z0-9._-]+", "-", store.removeprefix("gs://")).strip("-.")[-40:]
    digest = hashlib.sha256(store.encode()).hexdigest()[:8]
    return root.joinpath("crosprov", "mirrors", *folders, f"{stem}-{digest}")


def _trees(given: argparse.Namespace) -> tuple[TreeSource, ...]:
    if not hasattr(given, "private_tree"):
        return ()
    public = (TreeSource(path=path.absolute()) for path in given.tree)
    private = (TreeSource(path=path.absolute(), public=False) for path in given.private_tree)
    return (*public, *private)
