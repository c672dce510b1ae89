"""Measure a plan of many DUTs that are as the inventory wants them: is it linear?

Boots DUT twins on this machine, which needs root and about 15 MB of memory for each, and plans
some of them, more of them, all of them. The host of their dev server runs without its service: it
refuses the question of each DUT whether it answers, which costs a DUT as much as an answer.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path

from bench import machine, table
from bench.measure import BenchError, Command, Series, run
from crosprov.errors import CrosprovError
from crosprov.inventory.load import load_lab
from crosprov.twin import TwinLab
from crosprov.twinning import twin_lab

_PROJECT = Path(__file__).parent.parent
_CROSPROV = Path(sys.executable).with_name("crosprov")
_SERVER = "10.0.0.6"
_LINES = (
    f"CHROMEOS_AUSERVER=http://{_SERVER}:8080/update\nCHROMEOS_DEVSERVER=http://{_SERVER}:8080\n"
)


def main() -> int:
    """Run the benchmark, print the table; return 0, or 1 when it could not be finished."""
    options = _options()
    with tempfile.TemporaryDirectory(prefix="crosprov-bench-") as folder:
        inventory = Path(folder) / "lab.yml"
        inventory.write_text(_inventory(options.hosts))
        twins = twin_lab(load_lab(inventory))
        try:
            twins.up(_say)
            for number in range(1, options.hosts + 1):
                _point(twins, _name(number))
            text = _measure(inventory, options.hosts, options.runs)
            print(text, end="")
            if options.write:
                table.put_into(_PROJECT / "docs/benchmarks.md", text, "duts")
        except (BenchError, CrosprovError) as error:
            _say(f"bench: {error}")
            return 1
        finally:
            twins.down(lambda text: None)
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="bench duts", description=(__doc__ or "").split("\n\n")[0]
    )
    parser.add_argument("--hosts", type=int, default=200, metavar="N", help="DUTs to boot (200)")
    parser.add_argument("--runs", type=int, default=3, metavar="N", help="runs of each size (3)")
    parser.add_argument("--write", action="store_true", help="write docs/benchmarks.md")
    options = parser.parse_args()
    if not 4 <= options.hosts <= 240 or options.runs < 1:
        parser.error("--hosts is from 4 to 240, --runs counts from 1")
    return options


def _name(number: int) -> str:
    return f"dut{number:03}"


def _inventory(count: int) -> str:
    duts = {
        _name(number): {
            "ssh": {"host": f"10.0.1.{number}"},
            "dut": {"board": "eve", "dev_server": "dev1"},
        }
        for number in range(1, count + 1)
    }
    server = {"ssh": {"host": _SERVER}, "dev_server": {}}
    return json.dumps({"lab": "crosprov-bench-duts", "hosts": {"dev1": server, **duts}})


def _point(twins: TwinLab, name: str) -> None:
    """Leave a DUT as an apply would."""
    path = twins.stateful(name) / "etc/lsb-release"
    path.parent.mkdir(exist_ok=True)
    path.write_text(_LINES)


def _measure(inventory: Path, count: int, runs: int) -> str:
    lines = [
        f"{machine.describe(())}\nLoad before the first run: {machine.load():.2f}.",
        "",
        "| DUTs, nothing to do | seconds | milliseconds per DUT | commands per DUT |",
        "|--:|--:|--:|--:|",
    ]
    for some in (count // 4, count // 2, count):
        limit = f"dut[001:{some:03}]"
        argv = (str(_CROSPROV), "plan", "--twin", str(inventory), "--limit", limit,
                "--parallel", "32", "--format", "json")  # fmt: skip
        log = inventory.with_name(f"{some}.log")
        samples = [run(Command(argv, inventory.parent, {}), log) for _ in range(runs)]
        hosts = json.loads(samples[0].output[samples[0].output.index("{") :])["hosts"]
        if len(hosts) != some or any(host["changes"] for host in hosts):
            raise BenchError(f"of {some} DUTs not all were planned, or some have something to do")
        wall = Series.of(sample.wall for sample in samples)
        trips = sum(host["round_trips"] for host in hosts) / some
        each = 1000 * wall.median / some
        lines.append(f"| {some} | {wall} | {each:.0f} | {trips:g} |")
    return "\n".join(lines) + "\n"


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
