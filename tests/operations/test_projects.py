"""Projects of Dome, carried out against a factory server in this process."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from crosprov.errors import ChangeFailed
from crosprov.operations import dome_requests
from crosprov.operations.effects import effects
from crosprov.operations.project_status import tell_projects
from crosprov.operations.project_wish import State, Wish
from crosprov.operations.projects import project, release
from tests.support.factory import Factory, free_base
from tests.support.machine import Machine, summary


@pytest.fixture
def eve() -> Wish:
    """A project that shall be enabled."""
    return Wish("eve", free_base())


def wanted(factory: Factory, *wishes: Wish) -> Callable[[], None]:
    def deploy() -> None:
        for wish in wishes:
            project(wish, dome=factory.dome)
        tell_projects(wishes, dome=factory.dome)

    return deploy


def enabled(factory: Factory, wish: Wish) -> None:
    """Let a project be as it is wanted."""
    factory.rows[wish.name] = {
        "umpireEnabled": True, "umpirePort": wish.base, "netbootBundle": None,
    }  # fmt: skip
    factory.make(wish.name, wish.base)


def test_a_project_is_made_and_enabled_once(machine: Machine, factory: Factory, eve: Wish) -> None:
    (change,) = machine.apply(wanted(factory, eve))
    assert (change.action, str(change.resource)) == ("create", "project eve")
    assert change.after == {
        "project": "enabled", "umpire_port": str(eve.base), "container": "made",
    }  # fmt: skip
    assert factory.requests == ["POST /projects/", "PUT /projects/eve/"]
    plan = machine.plan(wanted(factory, eve))
    assert plan.empty
    assert plan.round_trips == 1
    assert plan.about["Umpire eve"] == f"version 8, answers on port {eve.base}"


def test_it_is_ready_when_nothing_is_deployed(
    machine: Machine, factory: Factory, eve: Wish
) -> None:
    factory.deploying = 3
    machine.apply(wanted(factory, eve))
    assert factory.deploying == 0


def test_what_is_made_by_hand_is_adopted(machine: Machine, factory: Factory, eve: Wish) -> None:
    factory.make("eve", eve.base)
    (change,) = machine.apply(wanted(factory, eve))
    assert factory.requests == ["POST /projects/", "PUT /projects/eve/"]
    assert "made anew" not in change.after
    assert factory.rows["eve"]["umpirePort"] == eve.base
    assert machine.plan(wanted(factory, eve)).empty


def other_port(factory: Factory, eve: Wish) -> None:
    factory.remove("umpire_eve")
    factory.make("eve", free_base())


def other_image(factory: Factory, eve: Wish) -> None:
    factory.remove("umpire_eve")
    factory.make("eve", eve.base, image="sha256:old")


def other_volume(factory: Factory, eve: Wish) -> None:
    factory.containers["umpire_eve"].lines.append("bind /else:/mnt/else")


def by_hand_elsewhere(factory: Factory, eve: Wish) -> None:
    other_port(factory, eve)
    factory.rows["eve"]["umpireEnabled"] = False


def disabled(factory: Factory, eve: Wish) -> None:
    factory.remove("umpire_eve")
    factory.rows["eve"]["umpireEnabled"] = False


def other_stored(factory: Factory, eve: Wish) -> None:
    factory.rows["eve"]["umpirePort"] = 1


ANEW = ["PUT /projects/eve/", "PUT /projects/eve/"]


@pytest.mark.parametrize(
    ("spoil", "requests", "after"),
    [
        (lambda f, e: f.halt("umpire_eve"), ["docker start umpire_eve"], {"container": "running"}),
        (lambda f, e: f.halt("umpire_eve", "dead"), ["docker restart umpire_eve"],
         {"container": "running"}),
        (lambda f, e: f.remove("umpire_eve"), ANEW, {"container": "made"}),
        (other_port, ANEW, {"made anew": "it has other ports; it has other variables"}),
        (other_volume, ANEW, {"made anew": "it has other volumes"}),
        (other_image, ANEW, {"made anew": "its image changed", "image id": "one"}),
        (
            by_hand_elsewhere, ["docker stop umpire_eve", "docker rm umpire_eve", *ANEW[:1]],
            {"project": "enabled", "made anew": "it has other ports; it has other variables"},
        ),
        (disabled, ANEW[:1], {"project": "enabled", "container": "made"}),
        (other_stored, ANEW[:1], {}),
    ],
    ids=["stopped", "dead", "removed", "port", "volume", "image", "by hand", "disabled", "stored"],
)  # fmt: skip
def test_what_differs_is_mended(
    machine: Machine, factory: Factory, eve: Wish, spoil: Callable[[Factory, Wish], None],
    requests: list[str], after: dict[str, str],
) -> None:  # fmt: skip
    enabled(factory, eve)
    spoil(factory, eve)
    (change,) = machine.apply(wanted(factory, eve))
    assert change.action == "update"
    if spoil is other_stored:
        after = {"umpire_port": str(eve.base)}
    assert change.after == after
    assert factory.requests == requests
    assert machine.plan(wanted(factory, eve)).empty


def test_its_data_outlives_a_change_of_port(machine: Machine, factory: Factory, eve: Wish) -> None:
    enabled(factory, eve)
    precious = Path(factory.dome.data("eve")) / "precious"
    precious.write_bytes(b"data")
    moved = replace(eve, base=free_base())
    (change,) = machine.apply(wanted(factory, moved))
    assert change.before["umpire_port"] == str(eve.base)
    assert change.after["made anew"] == "it has other ports; it has other variables"
    assert precious.read_bytes() == b"data"
    assert machine.plan(wanted(factory, moved)).empty


def test_projects_can_trade_their_ports(machine: Machine, factory: Factory, eve: Wish) -> None:
    kevin = Wish("kevin", free_base())
    enabled(factory, eve)
    enabled(factory, kevin)
    traded = replace(eve, base=kevin.base), replace(kevin, base=eve.base)

    def both() -> None:
        release(traded[0], [traded[1]], dome=factory.dome)
        release(traded[1], [traded[0]], dome=factory.dome)
        wanted(factory, *traded)()

    machine.apply(both)
    assert factory.rows["eve"]["umpirePort"] == kevin.base
    assert machine.plan(both).empty


def test_a_port_in_use_leaves_a_new_project_away(
    machine: Machine, factory: Factory, eve: Wish
) -> None:
    factory.taken.add(eve.base)
    with pytest.raises(ChangeFailed, match=r"Dome answered 500 to PUT /projects/eve/: Error\('bu"):
        machine.apply(wanted(factory, eve))
    assert factory.rows == {}


def test_a_port_in_use_leaves_the_old_one(machine: Machine, factory: Factory, eve: Wish) -> None:
    enabled(factory, eve)
    moved = replace(eve, base=free_base())
    factory.taken.add(moved.base)
    with pytest.raises(ChangeFailed, match=f"its Umpire runs on its old port {eve.base} again"):
        machine.apply(wanted(factory, moved))
    assert machine.plan(wanted(factory, eve)).empty


def test_an_umpire_that_never_gets_ready(
    machine: Machine, factory: Factory, eve: Wish, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dome_requests, "UMPIRE_WITHIN", 0)
    factory.deploying = -1
    with pytest.raises(ChangeFailed, match="the Umpire of eve is not ready on port"):
        machine.apply(wanted(factory, eve))
    assert (factory.rows, factory.containers) == ({}, {})


@pytest.mark.parametrize(
    ("request_", "status", "words"),
    [
        ("POST /projects/", 400, "Dome answered 400 to POST /projects/: as asked"),
        ("PUT /projects/eve/", 500, "Dome answered 500 to PUT /projects/eve/: it's bad"),
        ("GET /projects/", 500, r"Dome answered 500 to GET /projects/: it's bad \(asked for 0 s"),
    ],
)
def test_what_dome_refuses_is_said_in_a_sentence(
    machine: Machine, factory: Factory, eve: Wish, monkeypatch: pytest.MonkeyPatch,
    request_: str, status: int, words: str,
) -> None:  # fmt: skip
    monkeypatch.setattr(dome_requests, "DOME_WITHIN", 0)
    factory.faults[request_] = status
    with pytest.raises(ChangeFailed, match=words):
        machine.apply(wanted(factory, eve))
    assert factory.rows == {}


def test_a_dome_that_hangs_is_given_up(
    machine: Machine, factory: Factory, eve: Wish, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dome_requests, "REQUEST_WITHIN", 1)
    factory.faults["POST /projects/"] = 0
    with pytest.raises(ChangeFailed, match="Dome gave no answer to POST /projects/"):
        machine.apply(wanted(factory, eve))


def test_what_a_dome_says_counts_nothing_when_its_database_is_made_anew(
    machine: Machine, factory: Factory, eve: Wish
) -> None:
    def anew() -> None:
        effects().new_database = True
        wanted(factory, eve)()

    enabled(factory, eve)
    assert machine.plan(wanted(factory, eve)).empty
    plan = machine.plan(anew)
    (change,) = plan.changes
    assert (change.action, change.unknown) == (
        "update", ("what Dome knows: its database is made anew",),
    )  # fmt: skip
    factory.rows.clear()
    machine.carry_out(plan)
    assert factory.rows["eve"]["umpireEnabled"]
    assert machine.plan(wanted(factory, eve)).empty


@pytest.mark.parametrize("there", ["nothing", "as wanted", "disabled"])
def test_before_dome_answers_it_is_looked_at_again(
    machine: Machine, factory: Factory, eve: Wish, there: str
) -> None:
    if there != "nothing":
        enabled(factory, eve)
    if there == "disabled":
        disabled(factory, eve)
    factory.faults["GET /projects/"] = 500
    plan = machine.plan(wanted(factory, eve))
    (change,) = plan.changes
    assert change.unknown == ("what Dome knows: it does not answer yet",)
    del factory.faults["GET /projects/"]
    machine.carry_out(plan)
    expected = {"nothing": ["POST /projects/", *ANEW[:1]], "as wanted": [], "disabled": ANEW[:1]}
    assert factory.requests == expected[there]
    assert machine.plan(wanted(factory, eve)).empty


@pytest.mark.parametrize("cut", [1, 2, 3])
@pytest.mark.parametrize("there", ["nothing", "a stopped one", "another port"])
def test_a_run_that_is_cut_short_is_finished_by_the_next(
    machine: Machine, factory: Factory, eve: Wish, there: str, cut: int
) -> None:
    if there != "nothing":
        enabled(factory, eve)
    if there == "a stopped one":
        factory.rows.clear()
        factory.halt("umpire_eve")
    wish = replace(eve, base=free_base()) if there == "another port" else eve
    factory.cut = cut
    with contextlib.suppress(ChangeFailed):
        machine.apply(wanted(factory, wish))
    factory.cut = 0
    machine.apply(wanted(factory, wish))
    assert factory.rows["eve"]["umpirePort"] == wish.base
    assert machine.plan(wanted(factory, wish)).empty


def test_a_dome_that_is_down_is_known_by_its_database(
    machine: Machine, factory: Factory, eve: Wish
) -> None:
    enabled(factory, eve)
    with sqlite3.connect(factory.database) as base:
        base.execute("create table backend_project (name, umpire_enabled, umpire_port)")
        base.execute("insert into backend_project values ('eve', 1, ?)", (eve.base,))
        base.execute(
            "create table backend_domeconfig (tftp_enabled, mcast_enabled, version_check_enabled)"
        )
    factory.faults["GET /projects/"] = 502
    plan = machine.plan(wanted(factory, eve))
    assert plan.empty
    factory.halt("umpire_eve")
    (change,) = machine.plan(wanted(factory, eve)).changes
    assert (change.after, change.unknown) == ({"container": "running"}, ())


@pytest.mark.parametrize("state", [State.DISABLED, State.ABSENT])
def test_a_disabled_project_keeps_its_data(
    machine: Machine, factory: Factory, eve: Wish, state: State
) -> None:
    enabled(factory, eve)
    wish = replace(eve, state=state)
    (change,) = machine.apply(wanted(factory, wish))
    assert change.after == {"project": "disabled", "container": "removed"}
    assert change.destroys is None
    assert factory.containers == {}
    assert Path(factory.dome.data("eve")).is_dir()
    plan = machine.plan(wanted(factory, wish))
    assert plan.empty
    assert plan.about == ({"Umpire eve": "disabled"} if state is State.DISABLED else {})


def test_an_absent_project_is_not_made(machine: Machine, factory: Factory, eve: Wish) -> None:
    assert machine.plan(wanted(factory, replace(eve, state=State.ABSENT))).empty
    machine.apply(wanted(factory, replace(eve, state=State.DISABLED)))
    assert factory.rows["eve"]["umpireEnabled"] is False


@pytest.mark.parametrize("known", [True, False], ids=["known to Dome", "only its folder"])
def test_data_is_deleted_where_the_plan_names_it(
    machine: Machine, factory: Factory, eve: Wish, known: bool
) -> None:
    enabled(factory, eve)
    if not known:
        factory.remove("umpire_eve")
        factory.rows.clear()
    wish = replace(eve, state=State.DELETED)
    (change,) = machine.apply(wanted(factory, wish))
    assert change.action == "delete"
    assert change.destroys == change.before["data"] == factory.dome.data("eve")
    assert not Path(factory.dome.data("eve")).exists()
    assert factory.rows == {}
    assert machine.plan(wanted(factory, wish)).empty


def test_projects_of_others_are_only_mentioned(
    machine: Machine, factory: Factory, eve: Wish
) -> None:
    enabled(factory, Wish("kevin", free_base()))
    plan = machine.plan(wanted(factory, eve))
    assert summary(plan) == ["+ project eve"]
    assert plan.notices == (
        "Dome has projects that the inventory does not name: kevin; they stay as they are",
    )


@pytest.mark.parametrize(
    ("shared", "says"),
    [
        ("/cros_docker", "kevin, link; name them, or kevin may go on from the image of before"),
        ("", "make the Umpires of kevin anew with data in /cros_docker in place of"),
    ],
)
def test_an_update_tells_what_becomes_of_projects_of_others(
    machine: Machine, factory: Factory, shared: str, says: str
) -> None:
    enabled(factory, Wish("kevin", free_base()))
    factory.rows["link"] = {"umpireEnabled": False, "umpirePort": None, "netbootBundle": None}
    dome = replace(factory.dome, shared_dir=shared or factory.dome.shared_dir)

    def deploy() -> None:
        effects().images[dome.image] = "sha256:new"
        tell_projects((), dome=dome)

    (notice,) = machine.plan(deploy).notices
    assert says in notice
