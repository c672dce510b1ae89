"""The next name for a file whose name is taken."""

from __future__ import annotations

import re

from crosprov.mirror.policy.naming import stem_of

_PATCH = re.compile(r"_p([0-9]{1,9})$", re.ASCII)


def next_name(name: str) -> str:
    """Raise a name's version by a suffix, as the policy suggests: 0.0.1, 0.0.1_p1, 0.0.1_p2."""
    stem = stem_of(name)
    found = _PATCH.search(stem)
    number = int(found[1]) + 1 if found else 1
    bare = stem[: found.start()] if found else stem
    return f"{bare}_p{number}{name[len(stem) :]}"
