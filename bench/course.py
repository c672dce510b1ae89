"""The course: what is run in which order, and what is checked after each run."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from bench import desired, snapshot
from bench.contenders import Contender, json_of
from bench.lab import BenchLab
from bench.measure import BenchError, Command, Sample, Series, run
from bench.table import FLOOR, Row
from crosprov.planning.batch import Batch

Progress = Callable[[str], None]

_FEW = 5  # hosts of the smaller run that tells what a further host costs
_DRIFT = f"echo 'edited by hand' >> {desired.DRIFTING}"


@dataclass(slots=True)
class Course:
    """One benchmark; every figure comes from the same run and the same hosts."""

    lab: BenchLab
    contenders: Sequence[Contender]
    floor: Command
    work: Path
    runs: int
    progress: Progress
    samples: dict[tuple[str, str], list[Sample]] = field(default_factory=dict)

    def __call__(self) -> dict[str, Row]:
        """Run everything and return the figures; raises BenchError when a check fails."""
        for contender in self.contenders:
            self.lab.fresh(self.progress)
            self._run(contender.name, "first apply", contender.apply)
            self._check_converged(contender.name)
        self._write_floor()
        for name, command in self._each():
            self._untouched(name, "memory", command, memory=True)
        for _ in range(self.runs):  # in turns, so that noise of the machine meets all alike
            for name, command in self._each():
                self._untouched(name, "nothing to do", command)
        for name in self.lab.names:
            self.lab.shell(name, _DRIFT)
        for _ in range(self.runs):
            for contender in self.contenders:
                done = self._untouched(contender.name, "dry run", contender.dry_run)
                self._check_told(contender, done.output)
        return {name: self._row(name) for name, _ in self._each()}

    @property
    def round_trips(self) -> float:
        """Return the most execs that crosprov needed on a host with nothing to do."""
        reports = [json_of(s.output) for s in self.samples["crosprov", "nothing to do"]]
        return max(float(host["round_trips"]) for report in reports for host in report["hosts"])

    def memory_per_host(self) -> float | None:
        """Measure crosprov with few hosts and all; return MB per further host, or None."""
        if len(self.lab.names) <= _FEW:
            return None
        whole = self._crosprov.apply
        few = Command((*whole.argv, "--limit", ",".join(self.lab.names[:_FEW])), whole.cwd, {})
        series = []
        for what, command in (("few hosts", few), ("all hosts", whole)):
            done = [self._run("crosprov", what, command) for _ in range(self.runs)]
            series.append(Series.of(sample.largest for sample in done))
        return (series[1].median - series[0].median) / (len(self.lab.names) - _FEW)

    @property
    def _crosprov(self) -> Contender:
        return next(c for c in self.contenders if c.name == "crosprov")

    def _each(self) -> list[tuple[str, Command]]:
        return [*((c.name, c.apply) for c in self.contenders), (FLOOR, self.floor)]

    def _run(self, name: str, what: str, command: Command, *, memory: bool = False) -> Sample:
        done = self.samples.setdefault((name, what), [])
        log = self.work / "logs" / f"{name}-{what.replace(' ', '-')}-{len(done) + 1}.log"
        log.parent.mkdir(exist_ok=True)
        sample = run(command, log, memory=memory)
        self.progress(f"{name:9} {what:14} {sample.wall:7.2f} s  {sample.cpu:7.2f} s CPU")
        done.append(sample)
        return sample

    def _untouched(self, name: str, what: str, command: Command, *, memory: bool = False) -> Sample:
        before = snapshot.take(self.lab)
        sample = self._run(name, what, command, memory=memory)
        after = snapshot.take(self.lab)
        for host, touched in after.touched.items():
            if paths := [p for p, when in touched.items() if before.touched[host][p] != when]:
                raise BenchError(f"{name}, {what}: it wrote {', '.join(paths)} on {host}")
        return sample

    def _check_converged(self, name: str) -> None:
        if wrong := snapshot.differences(snapshot.take(self.lab)):
            more = f" (and {len(wrong) - 5} more)" if len(wrong) > 5 else ""
            raise BenchError(f"after {name}'s first apply: {'; '.join(wrong[:5])}{more}")

    def _check_told(self, contender: Contender, output: str) -> None:
        if (told := contender.told(output)) != len(self.lab.names):
            raise BenchError(
                f"{contender.name}'s dry run tells of changes on {told} hosts, "
                f"and {desired.DRIFTING} was edited on {len(self.lab.names)}"
            )

    def _write_floor(self) -> None:
        """Give the floor the very questions that crosprov asks of each host."""
        plan = json_of(self._run("crosprov", "plan", self._crosprov.dry_run).output)
        hosts = []
        for host in plan["hosts"]:
            target = self.lab.target(host["host"])
            asked = [observed["command"] for observed in host["observed"]]
            hosts.append(
                {
                    "host": target.host,
                    "user": target.user,
                    "key": target.identity_file,
                    "known_hosts": target.known_hosts,
                    "script": Batch.of(asked).script.decode(),
                }
            )
        (self.work / "floor.json").write_text(json.dumps(hosts))

    def _row(self, name: str) -> Row:
        def series(what: str) -> Series | None:
            found = self.samples.get((name, what))
            return Series.of(sample.wall for sample in found) if found else None

        nothing = self.samples[name, "nothing to do"]
        return Row(
            name=name,
            first=series("first apply"),
            nothing=Series.of(sample.wall for sample in nothing),
            nothing_cpu=Series.of(sample.cpu for sample in nothing),
            dry_run=series("dry run"),
            memory=max(sample.tree for sample in self.samples[name, "memory"]),
        )
