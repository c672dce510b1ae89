"""Measure the way from a bare host to Dome's answer, and the share of each step.

Boots a twin for each run, which needs root, with a route to the internet or to a mirror of
packages. The image is the virtual lab's stand-in, of some 13 MB; a real one is larger, which the
steps `send` and `image` feel. The time runs from the moment at which the program has read the
inventory; the start of Python and its imports are not in it.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from bench import machine, table
from bench.measure import BenchError
from crosprov.errors import CrosprovError
from crosprov.execution import events
from crosprov.execution.events import Event
from crosprov.inventory.load import load_lab
from crosprov.session import Session
from crosprov.twin import rootfs
from crosprov.twin.factory import image
from crosprov.twin.factory.script import script
from crosprov.twinning import twin_lab, twin_of

_PROJECT = Path(__file__).parent.parent
_HOST = "factory1"
_ANSWERS = "dome"  # its change ends when Dome answers over HTTP
_SMALL = ("directory", "file")  # kinds that are told together


@dataclass
class Watch:
    """The moments of a run, in seconds since its beginning."""

    begun: float = field(default_factory=time.monotonic)
    step: str = "plan"
    steps: list[tuple[str, float]] = field(default_factory=list)
    answered: float = 0.0
    _since: float = 0.0

    def __call__(self, event: Event) -> None:
        """Take an event in: each one that begins a step ends the one before."""
        match event:
            case events.Sending() if event.sent == 0:
                self.begin("send")
            case events.ChangeStarted():
                self.begin(_worded(event))
            case events.ChangeDone():
                if event.change.resource.kind == _ANSWERS:
                    self.answered = time.monotonic() - self.begun
                if event.number == event.total:
                    self.begin("verify")

    def begin(self, step: str) -> None:
        """End the step under way and begin another."""
        now = time.monotonic() - self.begun
        self.steps.append((self.step, now - self._since))
        self.step, self._since = step, now

    def end(self) -> None:
        """End the last step."""
        self.begin("")
        if not self.answered:
            raise BenchError("Dome was not made: is the host not bare?")

    @property
    def grouped(self) -> dict[str, float]:
        """Give the seconds of each step in order; those of one name are one."""
        found: dict[str, float] = {}
        for name, seconds in self.steps:
            found[name] = found.get(name, 0.0) + seconds
        return found


def _worded(event: events.ChangeStarted) -> str:
    resource = event.change.resource
    if resource.kind in _SMALL:
        return "folders" if resource.kind == "directory" else f"file {resource.name}"
    return f"{resource.kind} {resource.name}"


def main() -> int:
    """Run the benchmark, print the table; return 0, or 1 when it could not be finished."""
    options = _options()
    with tempfile.TemporaryDirectory(prefix="crosprov-bench-") as name:
        try:
            inventory = _prepare(Path(name), options.projects)
            text = _measure(inventory, options.runs)
        except (BenchError, CrosprovError) as error:
            _say(f"bench: {error}")
            return 1
    print(text, end="")
    if options.write:
        table.put_into(_PROJECT / "docs/benchmarks.md", text, "factory")
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="bench factory", description=(__doc__ or "").split("\n\n")[0]
    )
    parser.add_argument("--runs", type=int, default=3, metavar="N", help="bare hosts (3)")
    parser.add_argument("--projects", type=int, default=2, metavar="N", help="projects (2)")
    parser.add_argument("--write", action="store_true", help="write docs/benchmarks.md")
    options = parser.parse_args()
    if options.runs < 1 or not 0 <= options.projects <= 9:
        parser.error("--runs counts from 1, --projects is from 0 to 9")
    return options


def _prepare(folder: Path, projects: int) -> Path:
    tarball = image.build(folder, rootfs.ensure(rootfs.CACHE, _say))
    (folder / "cros_docker.sh").write_bytes(script(image.TIMESTAMP, image.GITHASH))
    server = {
        "profile": "small",
        "script": {"file": "cros_docker.sh"},
        "image_archive": tarball.name,
        "projects": {f"p{n}": {"umpire_port": 8080 + 20 * n} for n in range(1, projects + 1)},
    }
    hosts = {_HOST: {"ssh": {"host": "10.0.0.7", "user": "root"}, "factory_server": server}}
    inventory = folder / "lab.yml"
    inventory.write_text(json.dumps({"lab": "crosprov-bench-factory", "hosts": hosts}))
    return inventory


def _measure(inventory: Path, runs: int) -> str:
    before = machine.load()
    twins = twin_lab(load_lab(inventory))
    watches = []
    for number in range(1, runs + 1):
        _say(f"run {number} of {runs}")
        try:
            twins.up(lambda text: None)
            watches.append(_apply(inventory))
        finally:
            twins.down(lambda text: None)
    about = f"{machine.describe(())}\nLoad before the first run: {before:.2f}."
    return "\n".join([about, "", *_table(watches)]) + "\n"


def _apply(inventory: Path) -> Watch:
    session = Session.open(inventory)
    session.reach = twin_of(session.lab).target
    watch = Watch()
    with session.fleet() as fleet:
        plan = session.plan(fleet, watch)
        report = session.apply(plan, fleet, watch, check_first=False)
    watch.end()
    if not report.converged:
        raise BenchError(f"the apply did not converge: {report.hosts[0].message}")
    return watch


def _table(watches: list[Watch]) -> Iterator[str]:
    answered = statistics.median(watch.answered for watch in watches)
    shares = [watch.grouped for watch in watches]
    yield "| step | seconds | share of the time to Dome's answer |"
    yield "|---|--:|--:|"
    passed = False
    for step in shares[0]:
        seconds = [found.get(step, 0.0) for found in shares]
        middle = statistics.median(seconds)
        share = "" if passed else f"{100 * middle / answered:.0f} %"
        yield f"| {step} | {_seconds(seconds)} | {share} |"
        if step.split()[0] == _ANSWERS and not passed:
            passed = True
            yield f"| **Dome answers** | {_seconds([w.answered for w in watches])} | 100 % |"
    yield f"| **all is verified** | {_seconds([sum(found.values()) for found in shares])} | |"


def _seconds(seconds: list[float]) -> str:
    middle = f"{statistics.median(seconds):.2f}"
    return f"{middle} ({min(seconds):.2f}–{max(seconds):.2f})" if len(seconds) > 1 else middle


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
