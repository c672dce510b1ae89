"""What the sub-commands do: each gives its answer as a text, and an exit status."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping

from crosprov.mirror.commands.answers import Answer, Context
from crosprov.mirror.commands.checking import check
from crosprov.mirror.commands.filling import needs, sync, verify
from crosprov.mirror.commands.publishing import acl, manifest, pack, protect, publish
from crosprov.mirror.commands.state import status

COMMANDS: Mapping[str, Callable[[argparse.Namespace, Context], Answer]] = {
    command.__name__: command
    for command in (
        sync, verify, status, needs, check, publish, acl, manifest, pack, protect,
    )
}  # fmt: skip
