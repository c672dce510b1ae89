from __future__ import annotations

import pytest

from crosprov.errors import PlanError
from crosprov.facts.users import UserFact
from crosprov.operations import files
from crosprov.operations.users import user
from tests.support.machine import Machine, summary

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJv lab@example.com"
OTHER = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIKq other@example.com"


def ask(machine: Machine, command: str) -> str:
    done = machine.transport().run(command)
    assert done.status == 0, done.stderr
    return done.stdout.decode().strip()


def home(machine: Machine) -> str:
    (machine.root / "home").mkdir(exist_ok=True)
    return f"{machine.root}/home/ann"


def test_an_account_is_made_once(etc_machine: Machine) -> None:
    place = home(etc_machine)

    def wanted() -> None:
        user("ann", home=place, groups=["adm", "labgroup"], authorized_keys=[KEY])

    changes = etc_machine.apply(wanted)
    assert [f"{c.action} {c.resource}" for c in changes] == [
        "create user ann", f"create file {place}/.ssh/authorized_keys",
    ]  # fmt: skip
    assert changes[0].after == {
        "shell": "/bin/bash", "home": place, "groups": "in adm, labgroup", "new groups": "labgroup",
    }  # fmt: skip
    assert ask(etc_machine, "id -Gn ann") == "ann adm labgroup"
    assert ask(etc_machine, "getent passwd ann | cut -d: -f6,7") == f"{place}:/bin/bash"
    keys = ask(etc_machine, f"stat -c '%a %U %G' {place}/.ssh {place}/.ssh/authorized_keys")
    assert keys.splitlines() == ["700 ann ann", "600 ann ann"]
    assert etc_machine.plan(wanted).empty


def test_only_what_differs_is_changed(etc_machine: Machine) -> None:
    place = home(etc_machine)
    etc_machine.apply(lambda: user("ann", home=place, groups=["adm"]))
    (change,) = etc_machine.apply(
        lambda: user("ann", shell="/bin/sh", home=place, groups=["tty", "adm"])
    )
    assert change.before == {"shell": "/bin/bash"}
    assert change.after == {"shell": "/bin/sh", "groups": "in tty"}
    assert set(ask(etc_machine, "id -Gn ann").split()) == {"ann", "adm", "tty"}
    assert etc_machine.plan(lambda: user("ann", shell=None)).empty


def test_two_wishes_for_an_account_add_up(etc_machine: Machine) -> None:
    place = home(etc_machine)

    def wanted() -> None:
        user("ann", home=place)
        user("ann", shell=None, groups=["adm"])

    assert summary(etc_machine.plan(wanted)) == ["+ user ann", "~ user ann"]
    etc_machine.apply(wanted)
    assert etc_machine.plan(wanted).empty


def test_a_group_of_its_own_name_may_be_there_before(etc_machine: Machine) -> None:
    ask(etc_machine, "groupadd web")
    etc_machine.apply(lambda: user("web", home=home(etc_machine), system=True))
    assert ask(etc_machine, "id -gn web") == "web"
    assert not (etc_machine.root / "home" / "ann").exists()


def test_files_of_an_account_of_this_plan(etc_machine: Machine) -> None:
    path = f"{etc_machine.root}/secret"

    def wanted() -> None:
        user("ann", home=home(etc_machine), system=True)
        files.file(path, "x", mode="0600", user="ann", group="ann")

    etc_machine.apply(wanted)
    assert ask(etc_machine, f"stat -c '%a %U' {path}") == "600 ann"
    assert etc_machine.plan(wanted).empty


def test_keys_of_others_stay(etc_machine: Machine) -> None:
    place = home(etc_machine)
    etc_machine.apply(lambda: user("ann", home=place, authorized_keys=[KEY]))
    path = etc_machine.root / "home/ann/.ssh/authorized_keys"
    with path.open("a") as file:
        file.write(f"{OTHER}\n")
    wanted = KEY.replace("Jv", "Jw")
    (change,) = etc_machine.apply(lambda: user("ann", home=place, authorized_keys=[wanted]))
    assert change.diff is not None
    assert f"-{KEY}" in change.diff.splitlines()
    assert path.read_text().splitlines() == [
        "# BEGIN crosprov", wanted, "# END crosprov", OTHER,
    ]  # fmt: skip
    assert ask(etc_machine, f"stat -c '%a %U' {path}") == "600 ann"


def test_root_does_not_write_through_a_link(etc_machine: Machine) -> None:
    place = home(etc_machine)
    etc_machine.apply(lambda: user("ann", home=place))
    (etc_machine.root / "home/ann/.ssh").symlink_to(etc_machine.root)
    with pytest.raises(PlanError, match="is not written as root"):
        etc_machine.plan(lambda: user("ann", home=place, authorized_keys=[KEY]))


@pytest.mark.parametrize(
    ("key", "says"),
    [
        ("hello", "`hello`"),
        ("", "not a public key"),
        (f"{KEY}\n{KEY}", "it is not"),
        ("-----BEGIN OPENSSH PRIVATE KEY-----", "it is not"),
    ],
)
def test_what_is_no_public_key_is_refused(machine: Machine, key: str, says: str) -> None:
    with pytest.raises(PlanError, match=says) as raised:
        machine.plan(lambda: user("root", shell=None, authorized_keys=[key]))
    assert "PRIVATE" not in raised.value.message


@pytest.mark.parametrize("name", ["", "a b", "-x", "a:b", "x" * 40, "a,b"])
def test_what_is_no_name_is_refused(machine: Machine, name: str) -> None:
    with pytest.raises(PlanError, match="not the name of an account"):
        machine.plan(lambda: user("root", groups=[name]))


@pytest.mark.parametrize(
    ("said", "exists", "where", "groups"),
    [
        (["user a:x:1:2:Ann, Lab,,:/home/a:/bin/sh", "groups a adm", "group adm"], True, "/home/a",
         {"a", "adm"}),
        (["base /srv/a", "group adm"], False, "/srv/a", set()),
    ],
)  # fmt: skip
def test_answers_are_read(said: list[str], exists: bool, where: str, groups: set[str]) -> None:
    state = UserFact().process(said)
    assert (state.exists, state.home, set(state.groups)) == (exists, where, groups)
    assert state.known_groups == {"adm"}
