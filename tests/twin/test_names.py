from __future__ import annotations

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from crosprov.twin.names import Names
from crosprov.twin.spec import MAX_HOSTS


def made(names: Names, number: int) -> list[str]:
    return [names.bridge, names.switch, *(f(number) for f in (names.namespace, names.link))]


@given(path=st.text(st.characters(exclude_characters="\0", codec="utf-8")))
def test_interfaces_fit_the_kernel_and_belong_to_their_lab(path: str) -> None:
    names = Names.of(Path("/state") / path.replace("/", "-"))
    for name in (names.bridge, names.link(MAX_HOSTS)):
        assert len(name) <= 15
    assert all(names.owns(name) for name in made(names, MAX_HOSTS))


def test_no_lab_owns_what_is_another_s() -> None:
    one, other = Names("00000a"), Names("00000b")
    assert not any(one.owns(name) for name in made(other, 1))
    assert not any(one.owns(name) for name in ("eth0", "docker0", "ct00000a", "ct00000ab1", ""))
