"""The command `status`: how old the last good sync is, and what is wrong since then."""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from crosprov.mirror import giving_up, outcome, report_json
from crosprov.mirror.commands.answers import LACKING, Answer, Context, as_json
from crosprov.mirror.commands.there import done_there, is_done_there
from crosprov.mirror.config import Config
from crosprov.mirror.findings import several
from crosprov.mirror.giving_up import GaveUp
from crosprov.mirror.model import Fault
from crosprov.mirror.report import age_of, said_of, shortened
from crosprov.mirror.selection import chosen

_DAY = 86_400
_FEW = 5  # places of trees that are named

Told = Mapping[str, Any]  # a report, as SCHEMA describes it


def status(given: argparse.Namespace, context: Context) -> Answer:
    """Tell how old the last good sync is."""
    with chosen(given.mirror, given, context.inventories) as config:
        if is_done_there(config, given):
            return done_there(config, given, context)
        known = _Known.of(config.state)
    is_synced = config.kind != "manual" or known.was_tried
    if not is_synced and given.max_age is not None:
        raise Fault(
            f"the mirror {config.name} is filled by people, so no sync of it can be too old",
            hint="leave --max-age out",
        )
    is_good = known.is_good(given.max_age) if is_synced else not (known.findings or known.harm)
    code = 0 if is_good else LACKING
    if given.format == "json":
        return Answer(as_json({"mirror": config.name, **known.as_json()}), code)
    lines = known.lines() if is_synced else _manual(config, known)
    return Answer("".join(f"{line}\n" for line in lines), code)


@dataclass(frozen=True, slots=True)
class _Known:
    """What a mirror's state tells: the last report of a sync, of a verification, and since then.

    `harm` says which of the reports are there and tell nothing; `findings` are those of the
    verification that still stand.
    """

    last: Told | None = None
    read: Told | None = None
    gave_up: GaveUp | None = None
    harm: tuple[str, ...] = ()
    findings: Sequence[Told] = ()
    now: float = 0.0

    @classmethod
    def of(cls, state: Path | None) -> _Known:
        """Read what there is; a mirror without a folder for it has nothing."""
        if state is None:
            return cls()
        last, read = report_json.last_report(state), report_json.last_verified(state)
        names = (report_json.LAST, report_json.LAST_VERIFIED)
        harm = tuple(filter(None, (report_json.harm_of(state, name) for name in names)))
        findings = outcome.standing(read, last.get("last_good") if last else None) if read else ()
        return cls(last, read, giving_up.gave_up(state), harm, findings, time.time())

    @property
    def was_tried(self) -> bool:
        """Tell whether there was a sync; one by hand fills a mirror of people, too."""
        return self.last is not None or self.gave_up is not None

    @property
    def age(self) -> float | None:
        """Give the seconds since a sync last left nothing to be done."""
        good = self.last.get("last_good") if self.last else None
        return None if good is None else self.now - float(good)

    def is_good(self, max_age: float | None) -> bool:
        """Tell whether nothing is wrong, and the last good sync at most so many days ago."""
        if max_age is not None and (self.age is None or self.age > max_age * _DAY):
            return False
        wrong = self.gave_up or self.harm or self.findings
        return bool(self.last and self.last.get("good")) and not wrong

    def as_json(self) -> dict[str, Any]:
        """Give it for programs."""
        return {
            "age": self.age,
            "last_sync": self.last,
            "last_verify": self.read,
            "gave_up": asdict(self.gave_up) if self.gave_up else None,
            "findings": [one["name"] for one in self.findings],
        }

    def lines(self) -> Iterator[str]:
        """Tell of a mirror that is synced."""
        never = "not known" if self.last is None and self.harm else "never"
        yield f"last good sync: {never if self.age is None else f'{age_of(self.age)} ago'}"
        if self.gave_up is not None:
            yield from _given_up(self.gave_up, self.now)
        elif self.last is None and not self.harm:
            yield "no sync has ended yet"
        yield from self.harm
        failures = []
        if self.last is not None:
            yield from _unclear(self.last)
            failures = self.last["failures"]
            yield from _failed(self.last, self.now, since=self.gave_up)
        yield from self.reading(failures)

    def reading(self, told: Sequence[Told] = ()) -> Iterator[str]:
        """Tell what the last verification of all files found, but for what was `told` before."""
        if self.read is None:
            return
        words = f"files compared: {self.read['checked']}"
        if self.read.get("unknown"):
            words += f", not compared, as nothing was known of them: {self.read['unknown']}"
        words += f", findings: {len(self.findings)}"
        mended = len(self.read["failures"]) - len(self.findings)
        if mended:
            words += f", and {mended} that a sync has mended"
        yield f"all files read: {age_of(self.now - float(self.read['ended']))} ago, {words}"
        known = {one["name"] for one in told}
        yield from (_line(one) for one in self.findings if one["name"] not in known)
        again = sum(one["name"] in known for one in self.findings)
        if again:
            yield f"  {several(again, 'file')} of those that failed"


def _manual(config: Config, known: _Known) -> Iterator[str]:
    """Tell of a mirror that people fill when its files were last read; no sync is missed there."""
    yield "filled by people, so it is not synced"
    yield from known.harm
    yield from known.reading()
    if known.read is None and not known.harm:
        yield "its files were not read yet: crosprov mirror verify does that"


def _given_up(ending: GaveUp, now: float) -> Iterator[str]:
    how = "was interrupted" if ending.interrupted else "gave up"
    yield f"last sync {how} {age_of(now - ending.ended)} ago: {shortened(ending.sentence)}"
    if ending.hint:
        yield f"  hint: {ending.hint}"


def _failed(last: Told, now: float, *, since: GaveUp | None) -> Iterator[str]:
    """Tell of a sync that ended what it could not do; it is the last but for one that gave up."""
    if last.get("good"):
        return
    words = [f"files that failed: {len(last['failures'])}"]
    if last["untried"]:
        words.append(f"not tried: {last['untried']}")
    which = "the last sync that came to an end" if since else "last sync"
    yield f"{which}: {age_of(now - float(last.get('ended', 0)))} ago, {', '.join(words)}"
    if last["stopped"]:
        yield f"  stopped: {last['stopped']}"
    yield from map(_line, last["failures"])


def _unclear(last: Told) -> Iterator[str]:
    """Tell where the trees hide what they need: what is lacking for that, no sync can know."""
    places = last.get("unclear") or ()
    if not places:
        return
    count = several(len(places), "note")
    yield f"not clear what the trees need, so that it may be lacking: {count}"
    yield from (f"  {place}" for place in places[:_FEW])
    if len(places) > _FEW:
        yield f"  and {len(places) - _FEW} further: crosprov mirror sync --dry-run tells them all"


def _line(failure: Told) -> str:
    return f"  {said_of(failure['name'], shortened(failure['sentence']))}"
