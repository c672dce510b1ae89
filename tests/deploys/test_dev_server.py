"""What the deploy of a dev server asks for: its environment, its builds, its files."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from crosprov.errors import PlanError
from crosprov.operations.staging import Wish, united
from crosprov.planning.plan import Shell
from crosprov.wishes import wishes_of
from tests.deploys import labs
from tests.deploys.scripted import ScriptedHost

ENVIRONMENTS = "/usr/lib/crosprov/devserver"
STAGE = ("port: 8082, ", "port: 8082, stage: [{archive_url: gs://bucket/eve/R1, "
         "artifacts: [stateful], files: [a.bin]}], ")  # fmt: skip


def summary(host: ScriptedHost, folder: Path, *changes: tuple[str, str]) -> list[str]:
    """Word the plan of the dev server when its host is as it is."""
    drawing = host.plan(labs.model(labs.read(folder, *changes), "dev1"))
    return [f"{change.action.mark} {change.resource}" for change in drawing.changes]


def settled(folder: Path, *changes: tuple[str, str]) -> ScriptedHost:
    return labs.settled(labs.read(folder, *changes), "dev1")


WISHES: list[tuple[tuple[tuple[str, str], ...], list[Wish]]] = [
    ((), []),
    (
        (STAGE,),
        [Wish("eve/R1", "gs://bucket/eve/R1", ("stateful",), ("a.bin",))],
    ),
    (
        (("port: 8082, ", "port: 8082, archive: gs://ours/x, xbuddy: "
          "[remote/eve/R120-1.2.3/test, remote/eve/latest/test, mine], "),),
        [
            Wish("x/eve-release/R120-1.2.3", "gs://ours/x/eve-release/R120-1.2.3", ("test_image",)),
            Wish("", "gs://ours/x", xbuddy="remote/eve/latest/test"),
            Wish("", "gs://ours/x", xbuddy="mine"),
        ],
    ),
    (
        (
            ("board: eve, ", "board: eve, version: R121-15663.0.0, "),
            ("port: 8082, ", "port: 8082, stage: [{archive_url: gs://chromeos-image-archive/"
             "eve-release/R121-15663.0.0, artifacts: [stateful]}], "),
        ),
        [
            Wish("eve-release/R121-15663.0.0",
                 "gs://chromeos-image-archive/eve-release/R121-15663.0.0",
                 ("stateful", "full_payload")),
        ],
    ),
    (
        (
            ("board: eve, ", "board: eve, version: R121-15663.0.0, "),
            ("port: 8082, ", "port: 8082, stage: [{local_path: /srv/devserver/static/incoming/"
             "eve-release/R121-15663.0.0, artifacts: [stateful]}], "),
        ),
        [
            Wish("eve-release/R121-15663.0.0",
                 "/srv/devserver/static/incoming/eve-release/R121-15663.0.0",
                 ("stateful", "full_payload")),
        ],
    ),
    (
        (("port: 8082, ", "port: 8082, stage: [{archive_url: http://192.0.2.1/eve/R1, "
          "artifacts: [stateful], files: [a.bin]}], "),),
        [Wish("eve/R1", "http://192.0.2.1/eve/R1", ("stateful",), ("a.bin",))],
    ),
    (
        (("board: eve, ", "board: eve, builder_path: x/eve-full/R121-1.0.0, stateful: update, "),
         ("port: 8082, ", "port: 8082, archive: gs://ours/of/2024, ")),
        [
            Wish("of/2024/x/eve-full/R121-1.0.0",
                 "gs://ours/of/2024/x/eve-full/R121-1.0.0", ("full_payload", "stateful")),
        ],
    ),
]  # fmt: skip


@pytest.mark.parametrize(("changes", "wishes"), WISHES)
def test_what_is_wanted_is_collected(
    tmp_path: Path, changes: tuple[tuple[str, str], ...], wishes: list[Wish]
) -> None:
    lab = labs.read(tmp_path, *changes)
    assert list(wishes_of(lab, lab.hosts["dev1"])) == wishes


def test_one_build_is_one_wish() -> None:
    one, two = Wish("b", "gs://b", ("x", "y")), Wish("b", "gs://b", ("y",), ("f",))
    assert united([one, two, Wish("c", "gs://c", ("x",))]) == (
        Wish("b", "gs://b", ("x", "y"), ("f",)), Wish("c", "gs://c", ("x",)),
    )  # fmt: skip


def test_more_builds_than_are_kept_are_refused(tmp_path: Path) -> None:
    twice = ("port: 8082, ", "port: 8082, capacity: 1, stage: ["
             "{archive_url: gs://bucket/eve/R1, artifacts: [stateful]}, "
             "{archive_url: gs://bucket/eve/R2, artifacts: [stateful]}], ")  # fmt: skip
    lab = labs.read(tmp_path, twice)
    with pytest.raises(PlanError, match="keep 1 builds, and 2 are wanted"):
        labs.fresh().plan(labs.model(lab, "dev1"))


@pytest.mark.parametrize(
    "changes",
    [
        [("port: 8082, ", "port: 8082, stage: [{archive_url: http://192.0.2.1/eve/R1, "
          "artifacts: [stateful, full_payload]}], ")],
        [("port: 8082, ", "port: 8082, archive: http://192.0.2.1/eve, "),
         ("board: eve, ", "board: eve, version: R121-15663.0.0, ")],
    ],
)  # fmt: skip
def test_what_a_web_server_cannot_list_is_refused(
    tmp_path: Path, changes: list[tuple[str, str]]
) -> None:
    lab = labs.read(tmp_path, *changes)
    with pytest.raises(PlanError, match=r"^full_payload of .* cannot be staged from http://192"):
        wishes_of(lab, lab.hosts["dev1"])


def test_builds_are_staged_after_the_server_is_up(tmp_path: Path) -> None:
    host = labs.fresh()
    drawing = host.plan(labs.model(labs.read(tmp_path, STAGE), "dev1"))
    names = [f"{change.action.mark} {change.resource}" for change in drawing.changes]
    assert names.index("~ unit devserver.service") < names.index("+ build eve/R1")
    build = drawing.changes[names.index("+ build eve/R1")]
    assert (build.after, build.before) == ({"stateful": "staged", "a.bin": "staged"}, {})
    assert "the dev server is not up yet" in build.unknown[0]
    step = build.steps[0]
    assert isinstance(step, Shell) and step.reports
    assert "stage.py stage 8082" in step.command


def test_only_what_is_missing_is_staged(tmp_path: Path) -> None:
    host = settled(tmp_path, STAGE)
    assert summary(host, tmp_path, STAGE) == []
    host.staged.discard(("eve/R1", "a.bin"))
    drawing = host.plan(labs.model(labs.read(tmp_path, STAGE), "dev1"))
    (change,) = drawing.changes
    assert (str(change.resource), change.action.mark) == ("build eve/R1", "~")
    assert (change.before, change.after) == ({"a.bin": None}, {"a.bin": "staged"})
    assert change.unknown == ()


def test_the_status_tells_what_is_staged(tmp_path: Path) -> None:
    host = settled(tmp_path, STAGE)
    about = host.plan(labs.model(labs.read(tmp_path, STAGE), "dev1")).about
    assert about["builds staged"] == "1 of 1: eve/R1"
    assert about["dev server"].startswith("embedded")


def test_an_xbuddy_path_that_cannot_be_translated_stays_planned(tmp_path: Path) -> None:
    change = ("port: 8082, ", "port: 8082, xbuddy: [remote/eve/latest/test], ")
    host = settled(tmp_path, change)
    drawing = host.plan(labs.model(labs.read(tmp_path, change), "dev1"))
    assert [str(one.resource) for one in drawing.changes] == ["build remote/eve/latest/test"]
    assert drawing.changes[0].unknown == ("xBuddy knows no such build",)


def test_old_environments_go_when_the_new_one_serves(tmp_path: Path) -> None:
    host = settled(tmp_path)
    old, kept = f"{ENVIRONMENTS}/{'0' * 16}", f"{ENVIRONMENTS}/by-hand"
    host.environments |= {old, kept}
    assert summary(host, tmp_path) == [f"- environments {ENVIRONMENTS}"]
    host.take_in(host.plan(labs.model(labs.read(tmp_path), "dev1")))
    assert old not in host.environments and kept in host.environments


def older(host: ScriptedHost) -> None:
    host.packages.add("python3")
    host.python = "3.9"


def riscv(host: ScriptedHost) -> None:
    host.machine = "riscv64"


@pytest.mark.parametrize(
    ("harm", "words"),
    [
        (older, "the host has Python 3.9, and the dev server runs on 3.11, 3.12, 3.13"),
        (riscv, "cannot be installed on a machine of kind riscv64"),
    ],
)
def test_a_host_that_no_wheel_is_for_is_refused(
    tmp_path: Path, harm: Callable[[ScriptedHost], None], words: str
) -> None:
    host = labs.fresh()
    harm(host)
    with pytest.raises(PlanError, match=words):
        summary(host, tmp_path)


def test_xbuddys_configuration_is_written_and_taken_back(tmp_path: Path) -> None:
    change = ("port: 8082, ", "port: 8082, xbuddy_config: {GENERAL: {capacity: '7'}}, ")
    host = settled(tmp_path, change)
    path = "/etc/crosprov/xbuddy_config.ini"
    assert host.paths[path].content.decode().endswith("[GENERAL]\ncapacity = 7\n")
    unit = host.paths["/etc/systemd/system/devserver.service"].content.decode()
    assert f'--xbuddy_config "{path}"' in unit
    assert f"- file {path}" in summary(host, tmp_path)


def test_files_next_to_the_inventory_are_served(tmp_path: Path) -> None:
    (tmp_path / "packages").mkdir()
    (tmp_path / "packages" / "one").write_text("1")
    change = ("port: 8082, ", "port: 8082, files: {a/packages: packages, motd: motd.j2}, ")
    root = "/srv/devserver/static"
    assert summary(labs.fresh(), tmp_path, change)[-3:] == [
        f"+ folders {root}/a/packages",
        f"+ file {root}/a/packages/one",
        f"+ file {root}/motd",
    ]


def test_the_server_may_fetch_from_declared_web_servers_only(tmp_path: Path) -> None:
    change = ("port: 8082, ", "port: 8082, web_sources: [http://192.0.2.9], stage: ["
              "{archive_url: https://192.0.2.1/lab/eve/R1, files: [a.bin]}, "
              "{archive_url: gs://bucket/eve/R2, files: [a.bin]}], ")  # fmt: skip
    host = settled(tmp_path, change)
    unit = host.paths["/etc/systemd/system/devserver.service"].content.decode()
    assert unit.count("--web_source") == 2
    assert '--web_source "http://192.0.2.9" --web_source "https://192.0.2.1/lab/eve/R1"' in unit
