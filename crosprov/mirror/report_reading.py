"""A report out of its JSON, as another machine gives it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import fields
from typing import Any

from crosprov.mirror.report import Failure, Kind, NeededBy, Report, Tried

_LISTS = ("planned", "remarks", "unclear")


def report_in(content: Mapping[str, Any]) -> Report:
    """Read what `report_json.as_json` wrote; raises ValueError for anything else."""
    try:
        known = _known(Report, content)
        known |= {name: tuple(known[name]) for name in _LISTS if name in known}
        known["failures"] = tuple(_failure(one) for one in content["failures"])
        return Report(**known)
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError("this is no report") from error


def _failure(content: Mapping[str, Any]) -> Failure:
    known = _known(Failure, content)
    known["kind"] = Kind(content["kind"])
    known["needed_by"] = _each(NeededBy, content["needed_by"])
    known["tried"] = _each(Tried, content["tried"])
    return Failure(**known)


def _each(kind: Any, listed: Iterable[Mapping[str, Any]]) -> tuple[Any, ...]:
    return tuple(kind(**_known(kind, one)) for one in listed)


def _known(kind: Any, content: Mapping[str, Any]) -> dict[str, Any]:
    """Pick the fields of a structure; what is derived from them is left."""
    return {one.name: content[one.name] for one in fields(kind) if one.name in content}
