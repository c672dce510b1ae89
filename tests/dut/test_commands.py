"""The commands of a DUT's changes, carried out by a real shell with imitated tools."""

from __future__ import annotations

import hashlib
import io
import subprocess
import tarfile
from collections.abc import Callable
from pathlib import Path, PurePosixPath

import pytest

from crosprov.errors import ChangeFailed, PlanError
from crosprov.execution.events import ChangeProgress
from crosprov.facts.engine import DutFact, DutState
from crosprov.operations import stateful, updating
from crosprov.operations.fetched import fetched
from crosprov.operations.installation import Source
from crosprov.operations.override import Wish, former, override
from crosprov.operations.reaching import Question, reachable
from crosprov.update_errors import ERRORS, FLAGS, HTTP, explain, shell_function
from tests.dut.conftest import Web
from tests.support.machine import Machine, summary

LABEL = "eve-release/R121-15663.0.0"
OLD = {"CHROMEOS_AUSERVER": "http://old:8080/update", "CHROMEOS_DEVSERVER": "http://old:8080"}
NEW = {"CHROMEOS_AUSERVER": "http://new:8080/update", "CHROMEOS_DEVSERVER": "http://new:8080"}


def engine(machine: Machine, operation: str, version: str = "15663.0.0") -> None:
    text = f"CURRENT_OP=UPDATE_STATUS_{operation}\nNEW_VERSION={version}\n"
    (machine.stubs / "engine").write_text(text)


# --- the question ---


def asked(machine: Machine) -> DutState:
    done = machine.transport().run(DutFact().command(PurePosixPath(machine.state_dir)))
    assert (done.status, done.stderr) == (0, b"")
    return DutFact().process(done.stdout.decode().splitlines())


def test_one_question_tells_of_firmware_engine_and_records(machine: Machine) -> None:
    machine.state_dir.mkdir()
    (machine.state_dir / "lsb-release").write_text("/x A=1\n/x B=2 3\n")
    boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    (machine.state_dir / "build").write_text(f"{LABEL} {boot}\n")
    engine(machine, "UPDATED_NEED_REBOOT")
    seen = asked(machine)
    assert (seen.debug_build, seen.devsw_boot, seen.nebraska) == ("1", "1", False)
    assert (seen.needs_reboot, seen.at_work, seen.new_version) == (True, False, "15663.0.0")
    assert seen.updating == LABEL
    assert seen.wrote == ("/x A=1", "/x B=2 3")


def test_an_update_of_an_earlier_boot_is_over(machine: Machine) -> None:
    machine.state_dir.mkdir()
    (machine.state_dir / "build").write_text(f"{LABEL} another-boot\n")
    assert asked(machine).updating == ""


def test_a_host_without_the_tools_of_a_dut_answers_too(machine: Machine) -> None:
    for tool in ("crossystem", "update_engine_client"):
        (machine.root / "bin" / tool).write_text("#!/bin/sh\nexit 127\n")
    seen = asked(machine)
    assert (seen.debug_build, seen.operation, seen.override_counts) == ("", "", True)


# --- the addresses ---


def pointed(path: Path, addresses: dict[str, str]) -> Callable[[], object]:
    return lambda: override(Wish(str(path), addresses=addresses), restarts=["update-engine"])


def test_what_was_written_is_recorded_and_taken_back(machine: Machine, tmp_path: Path) -> None:
    path = tmp_path / "etc" / "lsb-release"
    machine.apply(pointed(path, OLD))
    machine.apply(pointed(path, NEW))
    assert machine.plan(pointed(path, NEW)).empty
    path.write_text(f"# mine\n{path.read_text()}CHROMEOS_AUSERVER_OLD=x\n")
    machine.apply(lambda: override(Wish(str(path))))
    assert path.read_text() == "# mine\nCHROMEOS_AUSERVER_OLD=x\n"
    assert machine.plan(lambda: override(Wish(str(path)))).empty
    assert not (machine.state_dir / "lsb-release").exists()


def test_what_somebody_else_wrote_since_then_stays(machine: Machine, tmp_path: Path) -> None:
    path = tmp_path / "lsb-release"
    machine.apply(pointed(path, OLD))
    text = path.read_text().replace("AUSERVER=http://old", "AUSERVER=http://theirs")
    path.write_text(text)
    machine.apply(lambda: override(Wish(str(path))))
    assert path.read_text() == "CHROMEOS_AUSERVER=http://theirs:8080/update\n"


def test_each_file_has_lines_of_its_own_in_the_record(machine: Machine, tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    machine.apply(pointed(one, OLD))
    machine.apply(pointed(two, OLD))
    machine.apply(lambda: former(Wish(str(two))))
    assert (one.read_text().count("\n"), two.read_text()) == (2, "")
    assert machine.plan(lambda: former(Wish(str(two)))).empty


@pytest.mark.parametrize("name", ["mv", "chmod", "mkdir"])
def test_a_run_that_is_killed_is_finished_by_the_next(
    machine: Machine, tmp_path: Path, name: str
) -> None:
    path = tmp_path / "etc" / "lsb-release"
    machine.apply(pointed(path, OLD))
    before = path.read_text()
    kill = machine.root / "bin" / name
    kill.write_text("#!/bin/sh\ncase $* in *lsb-release*|*/state*) kill -9 0;; esac\n")
    kill.chmod(0o755)
    with pytest.raises(Exception):  # noqa: B017,PT011 - it is gone, in one way or another
        machine.apply(pointed(path, NEW))
    kill.unlink()
    assert path.read_text() == before
    machine.apply(pointed(path, NEW))
    machine.apply(lambda: override(Wish(str(path))))
    assert path.read_text() == ""


def test_a_server_that_is_not_reached_leaves_the_dut_alone(
    machine: Machine, tmp_path: Path, web: Web, monkeypatch: pytest.MonkeyPatch
) -> None:
    del web.answers["/check_health"]
    monkeypatch.setattr("crosprov.operations.reaching._REACHED_WITHIN", 0)
    path = tmp_path / "lsb-release"

    def wanted() -> None:
        wish = Wish(str(path), addresses=NEW)
        reachable(Question(f"{web.root}/check_health", "dev1", "dev_server_address"), [wish])
        override(wish)

    with pytest.raises(ChangeFailed, match="this DUT does not reach dev1"):
        machine.apply(wanted)
    assert not path.exists()
    web.answers["/check_health"] = b"{}"
    assert summary(machine.plan(wanted)) == [f"+ file {path}"]


# --- the build ---


def updated(web: Web) -> Callable[[], object]:
    return updated_with(web, stateful=False)


def updated_with(web: Web, *, stateful: bool) -> Callable[[], object]:
    source = Source("dev1", web.root, f"gs://builds/{LABEL}", LABEL)
    return lambda: updating.build(
        LABEL, numbers="15663.0.0", source=source, board="eve", reboot="never", stateful=stateful
    )


def test_an_update_is_installed_by_the_update_engine(machine: Machine, web: Web) -> None:
    machine.apply(updated(web))
    assert machine.calls == [f"--update --omaha_url={web.root}/update/{LABEL}"]
    assert web.asked == [f"/is_staged?archive_url=gs://builds/{LABEL}&artifacts=full_payload"]
    assert asked(machine).updating == LABEL
    assert machine.plan(updated(web)).empty


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("10", "error 10: the payload has another hash"),
        ("37", "error 37: the dev server answered the update request with an HTTP error"),
        ("2404", "error 2404: the dev server answered the update request with HTTP status 404"),
        ("2147483657", "the payload could not be downloaded"),
        ("1234", "a code that crosprov does not know"),
        ("0", "it is at UPDATE_STATUS_IDLE, and names no error"),
    ],
)
def test_a_failure_is_explained(machine: Machine, web: Web, code: str, words: str) -> None:
    (machine.stubs / "error").write_text(code)
    with pytest.raises(ChangeFailed) as caught:
        machine.apply(updated(web))
    assert f"update_engine did not install {LABEL}: " in caught.value.message
    assert words in caught.value.message
    assert asked(machine).updating == ""


def test_an_update_engine_that_finds_nothing_is_a_failure(machine: Machine, web: Web) -> None:
    (machine.stubs / "noupdate").touch()
    (machine.stubs / "error").write_text("53")
    with pytest.raises(ChangeFailed, match="error 53: the dev server has no update for the DUT"):
        machine.apply(updated(web))


@pytest.mark.parametrize("answer", [b"False", None])
def test_a_build_that_is_not_staged_is_not_asked_for(
    machine: Machine, web: Web, answer: bytes | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("crosprov.operations.installation._SERVED_WITHIN", 0)
    del web.answers["/is_staged"]
    if answer:
        web.answers["/is_staged"] = answer
    with pytest.raises(ChangeFailed, match=f"dev1 has not staged {LABEL}; it answers: "):
        machine.apply(updated(web))
    assert machine.calls == []


def test_an_update_shows_its_progress(machine: Machine, web: Web) -> None:
    (machine.stubs / "slow").touch()
    machine.apply(updated(web))
    told = [event.text for event in machine.events if isinstance(event, ChangeProgress)]
    assert "downloads, 50 % of 2.0 MiB" in told


def test_an_update_under_way_that_is_ours_is_followed(machine: Machine, web: Web) -> None:
    machine.apply(updated(web))
    engine(machine, "DOWNLOADING")
    machine.apply(updated(web))
    assert machine.calls[-1] == "--follow"


def test_an_update_of_somebody_else_is_not_disturbed(machine: Machine, web: Web) -> None:
    engine(machine, "DOWNLOADING")
    with pytest.raises(PlanError, match="for somebody else"):
        machine.plan(updated(web))


def test_another_update_that_waits_is_given_up_first(machine: Machine, web: Web) -> None:
    engine(machine, "UPDATED_NEED_REBOOT", "15999.0.0")
    machine.apply(updated(web))
    assert [call.split()[0] for call in machine.calls] == ["--reset_status", "--update"]


# --- the stateful partition ---


@pytest.fixture
def partition(machine: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A stateful partition of its own: the paths of this machine are not a DUT's."""
    monkeypatch.setattr("crosprov.operations.stateful.ROOT", str(tmp_path / "stateful"))
    (tmp_path / "stateful").mkdir()
    return tmp_path / "stateful"


def packed(*names: str) -> bytes:
    """A stateful.tgz with these folders, a file in each."""
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w:gz") as archive:
        for name in names:
            archive.addfile(tarfile.TarInfo(f"{name}/file"))
    return content.getvalue()


TGZ = f"/static/{LABEL}/stateful.tgz"


def test_a_stateful_partition_is_left_for_the_next_boot(
    machine: Machine, web: Web, partition: Path
) -> None:
    web.answers[TGZ] = packed("var_new", "dev_image_new")
    machine.apply(updated_with(web, stateful=True))
    assert "artifacts=full_payload,stateful" in web.asked[0]
    names = sorted(str(path.relative_to(partition)) for path in partition.rglob("*"))
    new = ["dev_image_new", "dev_image_new/file", "var_new", "var_new/file"]
    assert names == [".update_available", *new]
    assert (partition / ".update_available").read_bytes() == b""  # a word in it wipes more
    assert asked(machine).stateful == f"{LABEL} placed"
    assert machine.plan(updated_with(web, stateful=True)).empty
    assert not list(machine.state_dir.glob("*.tgz"))


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, f"{TGZ} could not be fetched"),
        (b"no archive", "gzip"),
        (packed("dev_image_new"), "lacks var_new or dev_image_new"),
    ],
)
def test_a_stateful_partition_that_is_none_leaves_the_dut_as_it_was(
    machine: Machine, web: Web, partition: Path, content: bytes | None, words: str
) -> None:
    if content is not None:
        web.answers[TGZ] = content
    with pytest.raises(ChangeFailed, match=words):
        machine.apply(updated_with(web, stateful=True))
    assert (list(partition.iterdir()), machine.calls) == ([], [])
    assert asked(machine).stateful == ""


def test_a_build_that_is_not_installed_takes_its_stateful_partition_along(
    machine: Machine, web: Web, partition: Path
) -> None:
    web.answers[TGZ] = packed("var_new", "dev_image_new")
    (machine.stubs / "error").write_text("10")
    with pytest.raises(ChangeFailed, match="error 10"):
        machine.apply(updated_with(web, stateful=True))
    assert list(partition.iterdir()) == []
    assert asked(machine).stateful == ""


@pytest.mark.parametrize("taken", [True, False])
def test_a_boot_that_did_not_take_it_is_told(
    machine: Machine, partition: Path, taken: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("crosprov.operations.stateful._REPLACED_WITHIN", 0)
    if not taken:
        (partition / ".update_available").touch()
    folder = str(machine.state_dir)
    monkeypatch.setattr("crosprov.operations.stateful.state_dir", lambda: folder)
    done = machine.transport().run(stateful.verify())
    assert (done.status == 0) == taken
    assert (b"is it in developer mode?" in done.stderr) == (not taken)


CODES = [*ERRORS, 0, 3, HTTP - 1, HTTP, HTTP + 404, HTTP + 999, HTTP + 1000, FLAGS | 9, 1 << 31]


def test_the_shell_explains_as_python_does() -> None:
    script = shell_function() + "".join(f"explain {code}\n" for code in CODES)
    done = subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == [explain(code) for code in CODES]


# --- files ---


def test_a_file_is_fetched_once_and_again_when_it_changed(
    machine: Machine, web: Web, tmp_path: Path
) -> None:
    path = tmp_path / "new folder" / "x.sh"
    web.answers["/static/x.sh"] = b"first\n"

    def wanted() -> None:
        fetched(str(path), f"{web.root}/static/x.sh", mode="0755")

    assert summary(machine.plan(wanted)) == [f"+ file {path}"]
    machine.apply(wanted)
    assert (path.read_bytes(), path.stat().st_mode & 0o777) == (b"first\n", 0o755)
    assert machine.plan(wanted).empty
    path.chmod(0o644)
    machine.apply(wanted)
    assert path.stat().st_mode & 0o777 == 0o755
    path.write_bytes(b"by hand")
    machine.apply(wanted)
    web.answers["/static/x.sh"] = b"second\n"
    machine.apply(wanted)
    assert path.read_bytes() == b"second\n"
    assert machine.plan(wanted).empty
    del web.answers["/static/x.sh"]
    plan = machine.plan(wanted)
    assert plan.empty
    assert plan.notices == (f"{web.root}/static/x.sh is not served, so {path} stays as it is",)


def test_a_file_with_another_digest_never_comes_to_its_place(
    machine: Machine, web: Web, tmp_path: Path
) -> None:
    path = tmp_path / "x.sh"
    path.write_bytes(b"old")
    web.answers["/static/x.sh"] = b"damaged"
    right = hashlib.sha256(b"right").hexdigest()

    def wanted() -> None:
        fetched(str(path), f"{web.root}/static/x.sh", sha256=right)

    with pytest.raises(ChangeFailed, match=f"and the inventory wants {right}"):
        machine.apply(wanted)
    assert path.read_bytes() == b"old"
    assert not list(tmp_path.glob(".x.sh*"))
    web.answers["/static/x.sh"] = b"right"
    machine.apply(wanted)
    assert path.read_bytes() == b"right"
    assert machine.plan(wanted).empty


def test_a_file_that_is_not_served_is_a_failure(machine: Machine, web: Web, tmp_path: Path) -> None:
    with pytest.raises(ChangeFailed, match="static/x.sh could not be fetched"):
        machine.apply(lambda: fetched(str(tmp_path / "x.sh"), f"{web.root}/static/x.sh"))


def test_a_directory_is_not_replaced_by_a_file(machine: Machine, web: Web, tmp_path: Path) -> None:
    with pytest.raises(PlanError, match="is a directory where a file is wanted"):
        machine.plan(lambda: fetched(str(tmp_path), f"{web.root}/static/x.sh"))
