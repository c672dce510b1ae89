"""Files as they are met on DUTs: what the plan says, what the file is then, who reads what."""

from __future__ import annotations

from pathlib import Path

import pytest

from crosprov.errors import PlanError
from tests.deploys import labs, scripted
from tests.deploys.scripted import ScriptedHost
from tests.dut import readers
from tests.dut.files import Case, cases, shown

LSB = "/mnt/stateful_partition/etc/lsb-release"
WANTED = {
    "CHROMEOS_AUSERVER": "http://10.0.0.6:8082/update",
    "CHROMEOS_DEVSERVER": "http://10.0.0.6:8082",
}
ONLY_ADDRESSES = (", lsb_release: {CHROMEOS_RELEASE_TRACK: x-channel}", "")
CASES = cases()


def dut_with(before: bytes) -> ScriptedHost:
    host = labs.fresh()
    host.paths[LSB] = scripted.Path("regular file", content=before)
    return host


@pytest.mark.parametrize("case", [c for c in CASES if not c.refused], ids=lambda case: case.name)
def test_a_file_is_merged(tmp_path: Path, case: Case) -> None:
    model = labs.model(labs.read(tmp_path, ONLY_ADDRESSES), "dut01")
    host = dut_with(case.before)
    plan = host.plan(model)
    assert shown("".join(change.diff or "" for change in plan.changes)).strip("\n") == case.diff
    assert "\n".join(plan.notices).replace(LSB, "FILE") == case.told
    host.take_in(plan)
    after = host.paths[LSB].content
    assert after == case.after
    for key, value in WANTED.items():
        assert readers.update_engine(after)[key] == value
        assert readers.first_wins(after)[key] == value
        assert readers.every(after, key) == [f"{key}={value}"]
    assert host.plan(model).changes == []


@pytest.mark.parametrize("case", [c for c in CASES if c.refused], ids=lambda case: case.name)
def test_a_file_is_refused(tmp_path: Path, case: Case) -> None:
    model = labs.model(labs.read(tmp_path, ONLY_ADDRESSES), "dut01")
    with pytest.raises(PlanError) as caught:
        dut_with(case.before).plan(model)
    assert caught.value.message.replace(LSB, "FILE") == case.refused


def test_the_table_is_read_whole() -> None:
    assert len({case.name for case in CASES}) == len(CASES) >= 60
