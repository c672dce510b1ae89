from __future__ import annotations

import pytest

from crosprov.errors import ChangeFailed, HostSilent, PlanError
from crosprov.facts.packages import PackagesFact
from crosprov.operations.packages import packages
from crosprov.planning.batch import Answer
from crosprov.planning.planner import draw
from tests.support.machine import Machine, summary


@pytest.fixture
def debian(machine: Machine) -> Machine:
    """A host with curl, and an archive that has nginx and rsync too."""
    admin = machine.root / "dpkg"
    (admin / "updates").mkdir(parents=True)
    machine.environ["DPKG_ADMINDIR"] = str(admin)
    know(machine, "curl amd64 installed 7.88")
    (machine.stubs / "archive").write_text("nginx\nrsync\ncurl\n")
    lists(machine, "nginx\nrsync\ncurl\n")
    return machine


def know(machine: Machine, *lines: str) -> None:
    (machine.stubs / "dpkg").write_text("".join(f"{line}\n" for line in lines))


def lists(machine: Machine, content: str) -> None:
    (machine.stubs / "lists").mkdir(exist_ok=True)
    (machine.stubs / "lists" / "main_Packages").write_text(content)


@pytest.mark.parametrize(
    ("known", "wanted", "plan", "before"),
    [
        (["curl amd64 installed 7"], ["curl"], [], {}),
        (["curl amd64 installed 7"], [], [], {}),
        (["curl all installed 7"], ["curl", "curl"], [], {}),
        (["curl i386 installed 7"], ["curl"], ["+ packages curl"], {}),
        (["curl amd64 config-files 7"], ["curl"], ["+ packages curl"], {}),
        (["curl amd64 installed 7"], ["curl", "rsync"], ["+ packages rsync"], {}),
        (["curl amd64 unpacked 7"], ["curl"], ["~ packages curl"], {"curl": "unpacked"}),
        (["curl amd64 half-configured 7"], ["curl"], ["~ packages curl"],
         {"curl": "half-configured"}),
        (["exim amd64 installed 4 mail-agent, smtp"], ["mail-agent"], [], {}),
        (["exim amd64 config-files 4 mail-agent"], ["mail-agent"], ["+ packages mail-agent"], {}),
    ],
)  # fmt: skip
def test_what_is_missing(
    debian: Machine, known: list[str], wanted: list[str], plan: list[str], before: dict[str, str]
) -> None:
    know(debian, *known)
    made = debian.plan(lambda: packages(wanted))
    assert summary(made) == plan
    assert [change.before for change in made.changes] == [before for _ in plan]


def test_what_is_missing_is_installed_once(debian: Machine) -> None:
    (change,) = debian.apply(lambda: packages(["curl", "nginx", "rsync"]))
    assert change.after == {"nginx": "(known after apply)", "rsync": "(known after apply)"}
    assert debian.calls == ["apt-get install nginx rsync"]
    assert debian.plan(lambda: packages(["curl", "nginx", "rsync"])).empty


def test_two_wishes_for_a_package_install_it_once(debian: Machine) -> None:
    def wanted() -> None:
        packages(["nginx"])
        packages(["curl", "nginx", "rsync"])

    debian.apply(wanted)
    assert debian.calls == ["apt-get install nginx", "apt-get install rsync"]


@pytest.mark.parametrize("have", [None, "curl\n"])
def test_lists_are_fetched_only_when_they_do_not_do(debian: Machine, have: str | None) -> None:
    (debian.stubs / "lists" / "main_Packages").unlink()
    if have is not None:
        lists(debian, have)
    debian.apply(lambda: packages(["nginx"]))
    first = [] if have is None else ["apt-get install nginx"]
    assert debian.calls == [*first, "apt-get update", "apt-get install nginx"]


def test_a_package_that_is_nowhere_is_named(debian: Machine) -> None:
    with pytest.raises(ChangeFailed, match="Unable to locate package nowhere"):
        debian.apply(lambda: packages(["nowhere"]))


def test_an_archive_out_of_reach_is_said(debian: Machine) -> None:
    (debian.stubs / "offline").touch()
    lists(debian, "curl\n")
    with pytest.raises(ChangeFailed, match="Failed to fetch"):
        debian.apply(lambda: packages(["nginx"]))


def test_an_interrupted_dpkg_is_repaired_first(debian: Machine) -> None:
    (debian.root / "dpkg" / "updates" / "0001").touch()
    know(debian, "nginx amd64 unpacked 1", "curl amd64 installed 7")
    (change,) = debian.apply(lambda: packages(["curl", "nginx"]))
    assert change.before == {"nginx": "unpacked", "dpkg": "interrupted"}
    assert debian.calls == ["dpkg --configure", "apt-get install nginx"]
    assert debian.plan(lambda: packages(["curl", "nginx"])).empty


def test_an_install_that_is_killed_is_finished(debian: Machine) -> None:
    (debian.stubs / "cut").touch()
    with pytest.raises(HostSilent):
        debian.apply(lambda: packages(["nginx", "rsync"]))
    (debian.stubs / "cut").unlink()
    assert summary(debian.plan(lambda: packages(["nginx", "rsync"]))) == ["+ packages rsync"]
    debian.apply(lambda: packages(["nginx", "rsync"]))
    assert debian.plan(lambda: packages(["nginx", "rsync"])).empty


@pytest.mark.parametrize("name", ["", "nginx=1.0", "nginx-", "-y", "ng inx", "nginx/stable", "NG"])
def test_what_is_no_name_is_refused(debian: Machine, name: str) -> None:
    with pytest.raises(PlanError, match="not the name of a package"):
        debian.plan(lambda: packages([name]))


def test_a_host_without_dpkg_is_said(machine: Machine) -> None:
    question = PackagesFact().command(names=["curl"])
    script = f"command() {{ [ $2 != dpkg-query ]; }}\n{question}"
    done = machine.transport().run("sh -s", stdin=script.encode())
    answers = {question: Answer(done.status, done.stdout, b"")}
    with pytest.raises(PlanError, match="no dpkg"):
        draw(machine.model(lambda: packages(["curl"])), answers)
