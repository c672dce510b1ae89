"""What the plan of a DUT holds and tells, by what was observed of it."""

from __future__ import annotations

import base64
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from crosprov.errors import PlanError
from crosprov.planning.engine import Drawing
from crosprov.planning.plan import Reboot
from tests.deploys import labs, scripted
from tests.deploys.scripted import ScriptedHost

LSB = "/mnt/stateful_partition/etc/lsb-release"
FACTORY = "/mnt/stateful_partition/dev_image/etc/lsb-factory"
HEALTH = "http://10.0.0.6:8082/check_health"
LABEL = "eve-release/R121-15663.0.0"
UPDATE = f"~ build {LABEL}"
PLAIN = "dev_server: dev1, lsb_release: {CHROMEOS_RELEASE_TRACK: x-channel}"
WANTS = "dev_server: dev1, version: R121-15663.0.0"
ADDRESSES = (
    "CHROMEOS_AUSERVER=http://10.0.0.6:8082/update\nCHROMEOS_DEVSERVER=http://10.0.0.6:8082\n"
)
IMAGE = {
    "CHROMEOS_RELEASE_BOARD": "eve",
    "CHROMEOS_RELEASE_BUILDER_PATH": "eve-release/R120-15662.0.0",
    "CHROMEOS_RELEASE_TRACK": "testimage-channel",
    "CHROMEOS_RELEASE_VERSION": "15662.0.0",
    "CHROMEOS_AUSERVER": "http://build.example.com:8080/update",
}


@dataclass
class Dut:
    """A DUT that is pointed at its dev server, but for what a case says."""

    image: dict[str, str | None] = field(default_factory=dict)
    said: dict[str, str] = field(default_factory=dict)
    lsb: str | None = ADDRESSES
    health: str = "200"

    def host(self) -> ScriptedHost:
        host = labs.fresh()
        image = {key: value for key, value in {**IMAGE, **self.image}.items() if value is not None}
        text = "".join(f"{key}={value}\n" for key, value in image.items())
        host.dut |= {"image": base64.b64encode(text.encode()).decode(), **self.said}
        host.answers[HEALTH] = self.health
        if self.lsb is not None:
            host.paths[LSB] = scripted.Path("regular file", content=self.lsb.encode())
        return host


def planned(folder: Path, dut: Dut, wants: str = "dev_server: dev1") -> Drawing:
    return dut.host().plan(labs.model(labs.read(folder, (PLAIN, wants)), "dut01"))


def shown(drawing: Drawing) -> list[str]:
    return [f"{change.action.mark} {change.resource}" for change in drawing.changes]


# --- what is told ---


def test_a_status_tells_of_the_dut(tmp_path: Path) -> None:
    assert planned(tmp_path, Dut()).about == {
        "board": "eve",
        "release version": "15662.0.0",
        "channel": "testimage-channel",
        "updates from": "http://10.0.0.6:8082/update",
        "update engine": "idle",
    }


@pytest.mark.parametrize(
    ("dut", "key", "value"),
    [
        (Dut(image={"CHROMEOS_RELEASE_BOARD": "eve-signed-mpkeys"}), "board", "eve"),
        (Dut(image={"CHROMEOS_RELEASE_BOARD": None}), "board", "unknown"),
        (Dut(said={"operation": ""}), "update engine", "no answer"),
        (
            Dut(said={"operation": "UPDATE_STATUS_DOWNLOADING", "new_version": "15663.0.0"}),
            "update engine",
            "downloading 15663.0.0",
        ),
        (
            Dut(said={"operation": "UPDATE_STATUS_IDLE", "new_version": "0.0.0.0"}),
            "update engine",
            "idle",
        ),
        (
            Dut(said={"debug_build": "0", "devsw_boot": "0"}),
            "updates from",
            "http://build.example.com:8080/update",
        ),
        (
            Dut(said={"debug_build": "0", "devsw_boot": "1"}),
            "updates from",
            "http://10.0.0.6:8082/update",
        ),
        (
            Dut(image={"CHROMEOS_AUSERVER": None}, said={"debug_build": "0", "devsw_boot": "0"}),
            "updates from",
            "https://tools.google.com/service/update2",
        ),
        (
            Dut(lsb=f"{ADDRESSES}CHROMEOS_AUSERVER=http://other.example.com/update\n"),
            "updates from",
            "http://other.example.com/update",
        ),
        (
            Dut(lsb=f"nonsense\n{ADDRESSES}"),
            "updates from",
            "http://build.example.com:8080/update",
        ),
    ],
)
def test_a_status_computes_as_update_engine_does(
    tmp_path: Path, dut: Dut, key: str, value: str
) -> None:
    assert planned(tmp_path, dut).about[key] == value


@pytest.mark.parametrize(
    ("dut", "wants", "words"),
    [
        (Dut(said={"debug_build": "0", "devsw_boot": "0"}), "dev_server: dev1", "ignores"),
        (Dut(said={"nebraska": "yes"}), "dev_server: dev1", "updates do not come from dev1"),
        (Dut(image={"CHROMEOS_RELEASE_BOARD": "kevin"}), "dev_server: dev1", "board kevin, and"),
        (Dut(health="none"), "dev_server: dev1", "asked from it: no answer"),
        (Dut(health="500"), "dev_server: dev1", "asked from it: 500"),
        (Dut(health="unable"), "dev_server: dev1", "nothing to ask"),
        (
            Dut(lsb=f"{ADDRESSES}CHROMEOS_RELEASE_VERSION=0.0.0.0\n"),
            "dev_server: dev1",
            "update: CHROMEOS_RELEASE_VERSION; stale_release_keys: remove",
        ),
        (
            Dut(image={"CHROMEOS_RELEASE_BUILDER_PATH": LABEL},
                said={"operation": "UPDATE_STATUS_UPDATED_NEED_REBOOT", "new_version": "1.2.3"}),
            WANTS,
            "leaves it with the next reboot: an update to 1.2.3",
        ),
        (
            Dut(said={"operation": "UPDATE_STATUS_UPDATED_NEED_REBOOT", "updating": LABEL}),
            f"{WANTS}, reboot: never",
            "is installed and starts with the next reboot",
        ),
    ],
)  # fmt: skip
def test_what_keeps_it_from_taking_effect_is_told(
    tmp_path: Path, dut: Dut, wants: str, words: str
) -> None:
    drawing = planned(tmp_path, dut, wants)
    (notice,) = drawing.notices
    assert words in notice
    assert drawing.changes == []


def test_a_dut_in_order_has_nothing_to_tell(tmp_path: Path) -> None:
    drawing = planned(tmp_path, Dut())
    assert (drawing.changes, drawing.notices) == ([], [])


@pytest.mark.parametrize(
    ("label", "answer", "count"),
    [
        ("eve-release/R120-1.0.0", "True", 0),
        ("eve-release/R120-1.0.0", "False", 1),
        ("eve-release/R120-1.0.0", "", 0),
        ("eve-release/R120", "False", 0),  # the newest build of a milestone: is_staged knows none
    ],
)
def test_a_pinned_build_that_is_not_staged_is_told(
    tmp_path: Path, label: str, answer: str, count: int
) -> None:
    host = Dut(lsb=None).host()
    archive = f"gs://chromeos-image-archive/{label}"
    question = f"http://10.0.0.6:8082/is_staged?archive_url={archive}&artifacts=full_payload"
    host.answers[question] = answer
    wants = f"dev_server: dev1, label: {label}"
    drawing = host.plan(labs.model(labs.read(tmp_path, (PLAIN, wants)), "dut01"))
    assert len(drawing.notices) == count
    assert all("is not staged on dev1" in notice for notice in drawing.notices)


# --- the addresses ---


def test_the_dut_s_own_view_of_the_dev_server_comes_first(tmp_path: Path) -> None:
    drawing = planned(tmp_path, Dut(lsb=None, health="none"))
    assert shown(drawing) == [f"> probe {HEALTH}", f"+ file {LSB}", "> job update-engine"]


@pytest.mark.parametrize(
    ("address", "root"),
    [("192.0.2.80", "http://192.0.2.80:8082"), ("2001:db8::1", "http://[2001:db8::1]:8082")],
)
def test_another_address_of_the_dev_server(tmp_path: Path, address: str, root: str) -> None:
    host = Dut(lsb=None).host()
    host.answers[f"{root}/check_health"] = "200"
    wants = f"dev_server: dev1, dev_server_address: '{address}'"
    host.take_in(host.plan(labs.model(labs.read(tmp_path, (PLAIN, wants)), "dut01")))
    assert host.paths[LSB].content.decode().splitlines() == [
        f"CHROMEOS_AUSERVER={root}/update",
        f"CHROMEOS_DEVSERVER={root}",
    ]


def test_what_nebraska_writes_is_left_to_it(tmp_path: Path) -> None:
    lsb = "CHROMEOS_AUSERVER=http://localhost:4711/update\n"
    host = Dut(lsb=lsb, said={"nebraska": "yes"}).host()
    model = labs.model(labs.read(tmp_path, (PLAIN, "dev_server: dev1")), "dut01")
    host.take_in(host.plan(model))
    assert host.paths[LSB].content.decode() == f"{lsb}CHROMEOS_DEVSERVER=http://10.0.0.6:8082\n"
    assert host.plan(model).changes == []


def test_stale_keys_are_removed_when_that_is_asked_for(tmp_path: Path) -> None:
    host = Dut(lsb=f"CHROMEOS_RELEASE_VERSION=0.0.0.0\n{ADDRESSES}").host()
    wants = "dev_server: dev1, stale_release_keys: remove"
    model = labs.model(labs.read(tmp_path, (PLAIN, wants)), "dut01")
    host.take_in(host.plan(model))
    assert host.paths[LSB].content.decode() == ADDRESSES
    assert host.plan(model).notices == []


@pytest.mark.parametrize(
    ("wrote", "lsb", "after"),
    [
        ("X", "CHROMEOS_AUSERVER=http://gone/update\n", "CHROMEOS_AUSERVER=http://gone/update\n"),
        ("CHROMEOS_AUSERVER=http://gone/update", "CHROMEOS_AUSERVER=http://gone/update\nA=1\n",
         "A=1\n"),
        ("CHROMEOS_AUSERVER=http://gone/update", "CHROMEOS_AUSERVER=http://other/update\n",
         "CHROMEOS_AUSERVER=http://other/update\n"),
    ],
)  # fmt: skip
def test_without_a_dev_server_what_is_recorded_goes(
    tmp_path: Path, wrote: str, lsb: str, after: str
) -> None:
    host = Dut(lsb=lsb, said={"wrote": f"{LSB} {wrote}"}).host()
    host.take_in(host.plan(labs.model(labs.read(tmp_path, (f"{PLAIN}", "")), "dut01")))
    assert host.paths[LSB].content.decode() == after


@pytest.mark.parametrize("kind", ["directory", "symbolic link"])
def test_what_stands_there_is_nothing_to_a_dut_without_wishes(tmp_path: Path, kind: str) -> None:
    host = Dut(lsb=None).host()
    host.paths[LSB] = scripted.Path(kind)
    drawing = host.plan(labs.model(labs.read(tmp_path, (PLAIN, "label: null")), "dut01"))
    assert (drawing.changes, drawing.notices) == ([], [])


# --- a DUT under production ---

UMPIRE = "http://10.0.0.7:9080/"


def test_a_factory_dut_is_pointed_at_its_umpire(tmp_path: Path) -> None:
    host = Dut(said={"wrote": f"{LSB} x"}).host()
    host.answers[UMPIRE] = "404"  # which proves as much as 200
    wants = "factory: {server: factory1, project: kevin}"
    model = labs.model(labs.read(tmp_path, (PLAIN, wants)), "dut01")
    host.take_in(host.plan(model))
    assert host.paths[FACTORY].content.decode().splitlines() == [
        "CHROMEOS_AUSERVER=http://10.0.0.7:9080/update",
        "CHROMEOS_DEVSERVER=http://10.0.0.7:9080/update",
    ]
    assert host.paths[LSB].content == b""  # the addresses of the dev server are taken back
    again = host.plan(model)
    assert (again.changes, again.notices) == ([], [])


def test_a_factory_dut_has_to_reach_its_umpire_itself(tmp_path: Path) -> None:
    host = Dut(lsb=None).host()
    wants = "factory: {server: factory1, project: kevin}"
    model = labs.model(labs.read(tmp_path, (PLAIN, wants)), "dut01")
    drawing = host.plan(model)
    assert shown(drawing) == [f"> probe {UMPIRE}", f"+ file {FACTORY}"]
    (step,) = drawing.changes[0].steps
    assert "does not reach the Umpire of kevin on factory1" in step.model_dump_json()
    host.take_in(drawing)
    later = host.plan(model)
    assert later.changes == []
    assert later.notices == (
        [f"it does not reach the Umpire of kevin on factory1: {UMPIRE}, asked from it: no answer"]
    )


def test_another_address_of_the_factory_server(tmp_path: Path) -> None:
    host = Dut(lsb=None).host()
    host.answers["http://192.0.2.7:9080/"] = "200"
    wants = "factory: {server: factory1, project: kevin, address: 192.0.2.7}"
    host.take_in(host.plan(labs.model(labs.read(tmp_path, (PLAIN, wants)), "dut01")))
    assert b"CHROMEOS_DEVSERVER=http://192.0.2.7:9080/update\n" in host.paths[FACTORY].content


def test_a_former_factory_dut_loses_its_umpire(tmp_path: Path) -> None:
    line = "CHROMEOS_AUSERVER=http://10.0.0.7:9080/update"
    host = Dut(said={"wrote": f"{FACTORY} {line}"}).host()
    host.paths[FACTORY] = scripted.Path(
        "regular file", content=f"RMA_AUTORUN=true\n{line}\n".encode()
    )
    host.take_in(host.plan(labs.model(labs.read(tmp_path, (PLAIN, "dev_server: dev1")), "dut01")))
    assert host.paths[FACTORY].content == b"RMA_AUTORUN=true\n"


# --- the build ---


def reboots(drawing: Drawing) -> list[bool]:
    """Whether each reboot is asked for."""
    steps = (step for change in drawing.changes for step in change.steps)
    return [step.ask for step in steps if isinstance(step, Reboot)]


@pytest.mark.parametrize(
    ("reboot", "asked"), [("", [True]), (", reboot: allow", [False]), (", reboot: never", [])]
)
def test_another_build_is_installed_and_booted(
    tmp_path: Path, reboot: str, asked: list[bool]
) -> None:
    drawing = planned(tmp_path, Dut(), WANTS + reboot)
    assert shown(drawing) == [UPDATE]
    (change,) = drawing.changes
    assert change.before == {"build": "eve-release/R120-15662.0.0"}
    assert change.after == {"build": LABEL, "stateful": "stays as it is"}
    assert reboots(drawing) == asked


@pytest.mark.parametrize(
    "image",
    [
        {"CHROMEOS_RELEASE_BUILDER_PATH": LABEL},
        {"CHROMEOS_RELEASE_BUILDER_PATH": None, "CHROMEOS_RELEASE_VERSION": "15663.0.0"},
    ],
)
def test_the_build_that_runs_is_left_alone(tmp_path: Path, image: dict[str, str | None]) -> None:
    assert planned(tmp_path, Dut(image=image), WANTS).changes == []


def test_the_same_version_of_another_builder_is_another_build(tmp_path: Path) -> None:
    image: dict[str, str | None] = {"CHROMEOS_RELEASE_BUILDER_PATH": "eve-full/R121-15663.0.0"}
    assert shown(planned(tmp_path, Dut(image=image), WANTS)) == [UPDATE]


@pytest.mark.parametrize(
    "said", [{"updating": LABEL, "new_version": "999999.0.0"}, {"new_version": "15663.0.0"}]
)
def test_what_is_installed_is_only_booted(tmp_path: Path, said: dict[str, str]) -> None:
    dut = Dut(said={"operation": "UPDATE_STATUS_UPDATED_NEED_REBOOT", **said})
    drawing = planned(tmp_path, dut, WANTS)
    (change,) = drawing.changes
    assert (change.after["build"], change.after["update"]) == (LABEL, "installed already")
    assert isinstance(change.steps[0], Reboot)
    assert len(change.steps) == 2


def test_another_update_that_waits_for_a_reboot_is_given_up(tmp_path: Path) -> None:
    said = {"operation": "UPDATE_STATUS_UPDATED_NEED_REBOOT", "new_version": "15999.0.0"}
    (change,) = planned(tmp_path, Dut(said=said), WANTS).changes
    (first, *_) = change.steps
    assert "--reset_status" in first.model_dump_json()


def test_an_update_of_ours_that_was_under_way_goes_on(tmp_path: Path) -> None:
    said = {"operation": "UPDATE_STATUS_DOWNLOADING", "updating": LABEL}
    (change,) = planned(tmp_path, Dut(said=said), WANTS).changes
    assert change.after["update"] == "under way already"
    assert "follow --follow" in change.steps[0].model_dump_json()


@pytest.mark.parametrize(
    ("dut", "wants", "words"),
    [
        (
            Dut(said={"operation": "UPDATE_STATUS_DOWNLOADING", "new_version": "15999.0.0"}),
            WANTS,
            "at work on 15999.0.0 for somebody else (DOWNLOADING)",
        ),
        (
            Dut(said={"operation": "UPDATE_STATUS_FINALIZING"}, lsb=""),
            "dev_server: dev1",
            "is in the middle of an update (FINALIZING)",
        ),
        (Dut(image={"CHROMEOS_RELEASE_BOARD": "kevin"}), WANTS, "is for the board kevin, not eve"),
        (Dut(said={"debug_build": "0", "devsw_boot": "0"}), WANTS, "from its own server only"),
    ],
)
def test_a_build_that_cannot_be_installed_is_refused(
    tmp_path: Path, dut: Dut, wants: str, words: str
) -> None:
    with pytest.raises(PlanError) as caught:
        planned(tmp_path, dut, wants)
    assert words in caught.value.message
    assert caught.value.hint


def commands(drawing: Drawing) -> str:
    """The shell of the last change."""
    return "".join(step.model_dump_json() for step in drawing.changes[-1].steps)


def test_a_build_has_the_name_that_the_dev_server_gives_it(tmp_path: Path) -> None:
    archive = ("port: 8082, ", "port: 8082, archive: gs://ours/of/2024, ")
    lab = labs.read(tmp_path, (PLAIN, WANTS), archive)
    said = commands(Dut().host().plan(labs.model(lab, "dut01")))
    assert f"--omaha_url=http://10.0.0.6:8082/update/of/2024/{LABEL}" in said
    assert f"is_staged?archive_url=gs://ours/of/2024/{LABEL}&" in said


@pytest.mark.parametrize(("more", "told"), [("", 1), (f", label: {LABEL}", 0)])
def test_an_official_build_is_updated_from_what_auserver_names(
    tmp_path: Path, more: str, told: int
) -> None:
    lsb = ADDRESSES.replace("/update\n", f"/update/{LABEL}\n") if more else ADDRESSES
    dut = Dut(lsb=lsb, said={"debug_build": "0", "devsw_boot": "1"})
    drawing = planned(tmp_path, dut, WANTS + more)
    assert shown(drawing) == [UPDATE]
    assert [f"write label: {LABEL}, too" in notice for notice in drawing.notices] == [True] * told


def test_a_reboot_has_the_time_that_the_inventory_gives_it(tmp_path: Path) -> None:
    (change,) = planned(tmp_path, Dut(), f"{WANTS}, reboot_within: 90").changes
    assert [reboot.within for reboot in change.reboots] == [90]


# --- the stateful partition of the build ---

ALL_OF_IT = f"{WANTS}, stateful: update"
WAITS: dict[str, str] = {"operation": "UPDATE_STATUS_UPDATED_NEED_REBOOT", "updating": LABEL}
RUNS: dict[str, str | None] = {"CHROMEOS_RELEASE_BUILDER_PATH": LABEL}


@pytest.mark.parametrize(
    ("dut", "update", "take", "boot"),
    [
        (Dut(), True, True, True),
        (Dut(said=WAITS), False, True, True),
        (Dut(said={**WAITS, "stateful": f"{LABEL} wanted"}), False, True, True),
        (Dut(said={**WAITS, "stateful": f"{LABEL} placed"}), False, False, True),
        (Dut(said={"stateful": "eve-release/R119-1.0.0 placed"}), True, True, True),
        (Dut(image=RUNS), False, False, False),
        (Dut(image=RUNS, said={"stateful": f"{LABEL} placed"}), False, False, False),
        (Dut(image=RUNS, said={"stateful": f"{LABEL} wanted"}), False, True, True),
    ],
)
def test_a_stateful_partition_goes_with_its_build(
    tmp_path: Path, dut: Dut, update: bool, take: bool, boot: bool
) -> None:
    drawing = planned(tmp_path, dut, ALL_OF_IT)
    assert shown(drawing) == ([UPDATE] if boot else [])
    said = commands(drawing) if boot else ""
    assert ("follow --update" in said, "take_stateful http" in said) == (update, take)
    assert ("did not replace its stateful" in said) == boot
    if boot:
        assert drawing.changes[0].after["stateful"] == "replaced by that of the build"


def test_what_was_placed_for_another_boot_is_taken_away_with_its_build(tmp_path: Path) -> None:
    said = {"stateful": "eve-release/R119-1.0.0 placed"}
    assert "\\ndiscard_stateful\\n" in commands(planned(tmp_path, Dut(said=said), WANTS))
    assert "\\ndiscard_stateful\\n" not in commands(planned(tmp_path, Dut(), WANTS))


@pytest.mark.parametrize(
    ("path", "more", "lost"),
    [
        ("/usr/local/bin/x.sh", "", True),
        ("/mnt/stateful_partition/x.sh", "", False),
        ("/usr/local/bin/x.sh", ", reboot: never", False),
        ("/usr/local/bin/x.sh", ", stateful: keep", False),
    ],
)
def test_files_that_go_with_the_old_stateful_partition_are_fetched_again(
    tmp_path: Path, path: str, more: str, lost: bool
) -> None:
    host = Dut().host()
    host.paths[path] = scripted.Path("regular file", content=b"hello")
    wants = WANTS if "stateful" in more else ALL_OF_IT
    digest = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"
    files = f"files: {{{path}: {{source: tools/x.sh, sha256: {digest}}}}}"
    drawing = host.plan(
        labs.model(labs.read(tmp_path, (PLAIN, f"{wants}{more}, {files}")), "dut01")
    )
    assert shown(drawing) == [UPDATE, *([f"+ file {path}"] if lost else [])]


def test_a_dev_server_is_reached_before_an_update(tmp_path: Path) -> None:
    assert shown(planned(tmp_path, Dut(health="none"), WANTS)) == [f"> probe {HEALTH}", UPDATE]


# --- files ---

URL = "http://10.0.0.6:8082/static/tools/x.sh"
DEST = "/usr/local/bin/x.sh"


@pytest.mark.parametrize(
    ("there", "digest", "served", "changes"),
    [
        (None, "", "size=5", [f"+ file {DEST}"]),
        (None, "", "", [f"+ file {DEST}"]),
        (b"hello", "", "", []),
        (b"hello", "", "size=5", [f"~ file {DEST}"]),
        (b"hello", "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824", "", []),
        (b"other", "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824", "",
         [f"~ file {DEST}"]),
    ],
)  # fmt: skip
def test_files_are_fetched_when_they_differ(
    tmp_path: Path, there: bytes | None, digest: str, served: str, changes: list[str]
) -> None:
    host = Dut().host()
    if there is not None:
        host.paths[DEST] = scripted.Path("regular file", content=there)
    if served:
        host.answers[URL] = served
    sha256 = f", sha256: {digest}" if digest else ""
    wants = f"dev_server: dev1, files: {{{DEST}: {{source: tools/x.sh{sha256}}}}}"
    drawing = host.plan(labs.model(labs.read(tmp_path, (PLAIN, wants)), "dut01"))
    assert shown(drawing) == changes
