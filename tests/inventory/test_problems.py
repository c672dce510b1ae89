"""What is wrong with an inventory is told: where, what, and what to do.

A case is a block of bad_inventories.txt: its name, an inventory, and all that must be told.
ROLES there stands for the names of all roles, and DIR for the folder of the inventory.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from crosprov import roles
from tests.inventory.labs import problems_of

BLOCKS = Path(__file__).with_name("bad_inventories.txt").read_text(encoding="utf-8")
CASES = [
    pytest.param(text, told.strip(), id=name.replace(" ", "-"))
    for name, text, told in re.findall(
        r"^=== ([^\n]+)\n(.*?)^>>>\n(.*?)(?=^=== |\Z)", BLOCKS, re.MULTILINE | re.DOTALL
    )
]


@pytest.mark.parametrize(("text", "told"), CASES)
def test_every_problem_is_told(text: str, told: str, tmp_path: Path) -> None:
    lines = []
    for problem in problems_of(text, tmp_path):
        lines.append(str(problem).removeprefix(f"{tmp_path}/lab.yml:"))
        if problem.hint:
            lines.append(f"  hint: {problem.hint}")
    assert "\n".join(lines).replace(str(tmp_path), "DIR") == told.replace(
        "ROLES", ", ".join(roles.available())
    )


def test_the_table_is_read_whole() -> None:
    assert len(CASES) == BLOCKS.count("=== ") >= 60


def test_problems_are_in_the_order_of_the_file() -> None:
    problems = problems_of("lab: 3\nhosts:\n  b: {dut: {}}\n  A: {dut: {}}\n")
    places = [(problem.line, problem.column) for problem in problems]
    assert len(places) == 4
    assert places == sorted(places)


def test_a_secret_in_the_open_is_not_repeated() -> None:
    text = """\
    lab: l
    hosts:
      f:
        factory_server: {admin_password: hunter2, dome_port: hunter2}
        common: {files: {/a: {content: hunter2, mode: hunter2}}}
    """
    problems = problems_of(text)
    assert len(problems) == 3
    assert "hunter2" not in repr(problems)
