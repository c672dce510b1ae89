"""What was measured, as a table for people and for docs/benchmarks.md."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from bench.measure import BenchError, Series

FLOOR = "floor"


@dataclass(frozen=True, slots=True)
class Row:
    """One contender's figures: seconds, and MB of memory."""

    name: str
    first: Series | None
    nothing: Series
    nothing_cpu: Series
    dry_run: Series | None
    memory: float


@dataclass(frozen=True, slots=True)
class Goals:
    """The figures that crosprov has to reach for nothing to do, and what was measured."""

    ansible: float
    pyinfra: float
    floor: float
    round_trips: float
    megabytes_per_host: float | None

    def lines(self) -> Iterator[tuple[str, str, str, bool]]:
        """Yield what is asked, the limit, the measured figure, and whether it is reached."""
        yield "of Ansible's time", "1/40", f"1/{1 / self.ansible:.0f}", self.ansible <= 1 / 40
        yield "of pyinfra's time", "1/6", f"1/{1 / self.pyinfra:.1f}", self.pyinfra <= 1 / 6
        yield "times the floor", "2.5", f"{self.floor:.2f}", self.floor <= 2.5
        yield "execs per host", "3", f"{self.round_trips:g}", self.round_trips <= 3
        if self.megabytes_per_host is not None:
            per_host = self.megabytes_per_host
            yield "MB per further host", "1", f"{per_host:.2f}", per_host < 1


def goals(rows: Mapping[str, Row], round_trips: float, megabytes_per_host: float | None) -> Goals:
    """Compare crosprov's medians with the others'."""
    own = rows["crosprov"].nothing.median
    return Goals(
        own / rows["Ansible"].nothing.median,
        own / rows["pyinfra"].nothing.median,
        own / rows[FLOOR].nothing.median,
        round_trips,
        megabytes_per_host,
    )


def markdown(rows: Mapping[str, Row], reached: Goals, about: str, hosts: int) -> str:
    """Put everything into Markdown."""
    own = rows["crosprov"].nothing.median
    lines = [
        about,
        "",
        f"{hosts} hosts; seconds of wall time, median (least–most); MB at the peak, all processes.",
        "",
        "| | first apply | nothing to do | times crosprov's | CPU, nothing to do | dry run "
        "| memory |",
        "|---|--:|--:|--:|--:|--:|--:|",
    ]
    for row in rows.values():
        cells = (
            row.name, row.first or "", row.nothing, f"{row.nothing.median / own:.2f}",
            row.nothing_cpu, row.dry_run or "", f"{row.memory:.0f}",
        )  # fmt: skip
        lines.append(f"| {' | '.join(map(str, cells))} |")
    lines += ["", "| crosprov, nothing to do | at most | measured | |", "|---|--:|--:|---|"]
    for what, limit, figure, good in reached.lines():
        lines.append(f"| {what} | {limit} | {figure} | {'reached' if good else 'missed'} |")
    return "\n".join(lines) + "\n"


def put_into(page: Path, text: str, name: str = "measured") -> None:
    """Replace what stands between two markers; raises BenchError when they are missing."""
    first, last = f"<!-- {name}: begin -->", f"<!-- {name}: end -->"
    old = page.read_text()
    head, begin, rest = old.partition(first)
    _, end, tail = rest.partition(last)
    if not (begin and end):
        raise BenchError(f"{page} has not the two markers {first} and {last}")
    page.write_text(f"{head}{begin}\n\n{text}\n{end}{tail}")
