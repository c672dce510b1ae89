"""Putting the dev server together: each part once, as the options want it."""

from __future__ import annotations

from collections.abc import Callable

from crosprov.devserver.aliases import read_aliases
from crosprov.devserver.archive import StoreArchive
from crosprov.devserver.health import Health
from crosprov.devserver.layout import Layout
from crosprov.devserver.options import Options
from crosprov.devserver.rpc import Server
from crosprov.devserver.staging import Stager
from crosprov.devserver.stores import Store, opener, web_sources
from crosprov.devserver.updates import Updates
from crosprov.devserver.xbuddy import XBuddy


def assemble(options: Options, stores: Callable[[str], Store] | None = None) -> Server:
    """Make all parts of a dev server; `stores` opens sources otherwise than the options say.

    Raises Refused(500) for options or a shadow configuration that mean nothing. The stager is
    the caller's to close.
    """
    layout, web = Layout(options.static_dir), web_sources(options)
    aliases = read_aliases(options.xbuddy_config)
    stores = stores or opener(options)
    xbuddy = XBuddy(
        layout,
        StoreArchive(stores),
        base=options.archive,
        aliases=aliases,
        board=options.board or "",
    )
    stager = Stager(layout, stores, capacity=options.capacity or aliases.capacity or 0)

    def translate(path: str, board: str) -> str:
        return xbuddy.of_board(board).find(path).build

    updates = Updates(layout, stager, options, translate=translate)
    return Server(options, layout, stager, updates, xbuddy, Health(layout.static_dir), web)
