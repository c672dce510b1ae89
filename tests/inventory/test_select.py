"""--limit and --role."""

from __future__ import annotations

import pytest

from crosprov.errors import UsageError
from crosprov.inventory.select import select
from tests.inventory.labs import lab_of

LAB = lab_of("""\
lab: l
groups:
  canary: {hosts: [dut1, dev1]}
  none: {hosts: []}
hosts:
  dev1: {dev_server: }
  dev2: {dev_server: , docker: }
  "dut[1:3]": {dut: {board: eve}}
""")


@pytest.mark.parametrize(
    ("limit", "role", "chosen"),
    [
        (None, None, "dev1 dev2 dut1 dut2 dut3"),
        ("all", None, "dev1 dev2 dut1 dut2 dut3"),
        ("dut2", None, "dut2"),
        ("dut2,dev1", None, "dev1 dut2"),
        (" dut2 , dev1 ", None, "dev1 dut2"),
        ("canary", None, "dev1 dut1"),
        ("d?[tv][12]", None, "dev1 dev2 dut1 dut2"),
        ("dut*", None, "dut1 dut2 dut3"),
        ("dut[2:3]", None, "dut2 dut3"),
        ("dut[12]", None, "dut1 dut2"),
        ("!dut*", None, "dev1 dev2"),
        ("!canary", None, "dev2 dut2 dut3"),
        ("dut*,!canary", None, "dut2 dut3"),
        ("!canary,dut*", None, "dut2 dut3"),
        ("none,dut1", None, "dut1"),
        (None, "dut", "dut1 dut2 dut3"),
        ("canary", "dev_server", "dev1"),
        (None, "docker", "dev2"),
    ],
)
def test_chosen(limit: str | None, role: str | None, chosen: str) -> None:
    assert " ".join(select(LAB, limit, role)) == chosen


@pytest.mark.parametrize(
    ("limit", "role", "message", "hint"),
    [
        ("dutt1", None, "dutt1 matches no host and no group of l", "did you mean dut1?"),
        ("canari", None, "canari matches no host and no group of l", "did you mean canary?"),
        ("dut[3:4]", None, "dut4 matches no host and no group of l", "did you mean dut"),
        ("dut1,", None, "has an empty pattern", "with commas between"),
        ("!", None, "has an empty pattern", "with commas between"),
        ("", None, "has an empty pattern", "with commas between"),
        ("!all", None, "no host of l is left by --limit !all", ""),
        ("none", None, "no host of l is left by --limit none", ""),
        ("dut1", "dev_server", "is left by --limit dut1 and --role dev_server", ""),
        (None, "dutt", "dutt is not a role", "did you mean dut?"),
        (None, "mirror", "no host of l is left by --role mirror", ""),
    ],
)
def test_nothing_is_chosen_silently(
    limit: str | None, role: str | None, message: str, hint: str
) -> None:
    with pytest.raises(UsageError) as caught:
        select(LAB, limit, role)
    assert message in caught.value.message
    assert hint in (caught.value.hint or "")
