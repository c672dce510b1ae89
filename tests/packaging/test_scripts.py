"""The scripts at the top: what they run, what they say, and how they end."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from crosprov.twin import TwinLab, why_not
from tests.packaging.tree import ROOT, copy_project
from tests.support import sshd

SCRIPTS = [*sorted((ROOT / "scripts").iterdir()), ROOT / ".ci/run"]

# A crosprov that writes down how it was called, and fails when it is told to.
PROGRAM = """\
#!/bin/sh
echo "$*" >>"$CALLS"
case " $* " in *" ${FAILS:-nothing} "*) exit 7 ;; esac
"""

# A test that ends without its lab, or with a lab that somebody else has booted meanwhile.
LEFT = """\
import os
from pathlib import Path
from crosprov.twin import Kind, TwinHost, TwinLab, TwinSpec

def test_it_forgets_its_lab(monkeypatch):
    monkeypatch.delenv(os.environ["OTHER"], raising=False)
    host = TwinHost("host1", "10.0.0.1", Kind.LIGHT)
    lab = TwinLab(TwinSpec("left", (host,)), state_dir=Path(os.environ["LEFT"]))
    lab.up(lambda text: None)
    assert lab.list()[0].running
"""


def sh(folder: Path, *command: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a command in a folder, without a terminal or any input."""
    return subprocess.run(
        list(command),
        cwd=folder,
        env={**os.environ, **environment},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=500,
    )


def program(path: Path, text: str = "#!/bin/sh\n") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)
    return path


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A copy of the project whose set-up has been done."""
    copy = copy_project(tmp_path / "checkout")
    program(copy / "scripts/setup")
    return copy


@pytest.fixture
def stubbed(checkout: Path) -> Mapping[str, str]:
    """Programs that only write down how they are called; the environment that they need."""
    for name in ("crosprov", "python"):
        program(checkout / ".venv/bin" / name, PROGRAM)
    program(checkout / "scripts/why-no-lab")
    calls = checkout / "calls"
    calls.touch()
    return {"CALLS": str(calls)}


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_script_is_sound(script: Path) -> None:
    assert os.access(script, os.X_OK)
    first = script.read_text().split("\n", 1)[0]
    assert sh(ROOT, first.removeprefix("#!"), "-n", str(script)).returncode == 0


@pytest.mark.parametrize(
    ("arguments", "environment", "status", "said"),
    [
        pytest.param(["--no-such"], {}, 64, "there is only --test", id="option"),
        pytest.param([], {"PYTHON": "no-such-python"}, 1, "no Python 3.11 or newer", id="none"),
        pytest.param([], {"PYTHON": "false"}, 1, "false is no Python 3.11", id="too-old"),
    ],
)
def test_setup_says_why_it_cannot(
    tmp_path: Path, arguments: list[str], environment: dict[str, str], status: int, said: str
) -> None:
    copy = copy_project(tmp_path / "checkout")
    done = sh(copy, "scripts/setup", *arguments, **environment)
    assert (done.returncode, done.stdout) == (status, "")
    assert said in done.stderr
    assert not (copy / ".venv").exists()


def test_ci_runs_the_tests_with_nothing_to_read(checkout: Path) -> None:
    program(
        checkout / "scripts/test", '#!/bin/sh\necho "given $* and $(cat | wc -c) bytes"\nexit 5\n'
    )
    done = sh(checkout / "docs", "../.ci/run", "-k", "one")
    assert done.returncode == 5
    assert done.stdout.splitlines()[1].split() == "given -k one and 0 bytes".split()


@pytest.mark.parametrize(("fails", "status"), [("", 0), ("ruff", 1), ("mypy", 1), ("pytest", 1)])
def test_the_test_script_runs_all_and_ends_as_they_end(
    checkout: Path, stubbed: Mapping[str, str], fails: str, status: int
) -> None:
    program(checkout / "scripts/clean-lab")
    done = sh(checkout, "scripts/test", "-k", "one", **stubbed, FAILS=fails)
    assert done.returncode == status
    assert Path(stubbed["CALLS"]).read_text().splitlines() == [
        *(
            "-m ruff check .",
            "-m ruff format --check .",
            "-m mypy",
            "-m pytest -n 2 --dist loadfile --no-loadscope-reorder -k one",
        ),
    ]
    assert "pytest         " + ("failed" if fails == "pytest" else "passed") in done.stdout
    assert "ruff and mypy  " + ("failed" if fails in ("ruff", "mypy") else "passed") in done.stdout


@pytest.mark.lab
@pytest.mark.parametrize("ours", [True, False])
def test_the_test_script_takes_down_what_the_tests_left(
    checkout: Path, tmp_path: Path, ours: bool
) -> None:
    if reason := why_not():
        pytest.skip(reason)
    (checkout / ".venv").symlink_to(sys.prefix)
    program(checkout / "scripts/check")
    (checkout / "tests/left.py").write_text(LEFT)
    state = tmp_path / "state"
    environment = {"LEFT": str(state), "OTHER": "" if ours else "CROSPROV_TEST_RUN"}
    done = sh(checkout, "scripts/test", "-q", "tests/left.py", **environment)
    left = state.exists()
    TwinLab.at(state).down(lambda text: None)
    assert done.returncode == 0, done.stdout
    assert left is not ours


def test_the_test_script_says_that_the_lab_is_skipped(
    checkout: Path, stubbed: Mapping[str, str]
) -> None:
    program(checkout / "scripts/why-no-lab", "#!/bin/sh\nprintf 'no root'\n")
    done = sh(checkout, "scripts/test", **stubbed)
    assert done.returncode == 0
    assert done.stdout.startswith("The tests of the virtual lab are skipped: no root\n")
    assert done.stdout.endswith("virtual lab    skipped: no root\n")


@pytest.mark.parametrize(("fails", "status"), [("", 0), ("apply", 7), ("--detailed-exitcode", 7)])
def test_the_demo_ends_as_its_commands_end(
    checkout: Path, stubbed: Mapping[str, str], fails: str, status: int
) -> None:
    done = sh(checkout, "scripts/demo", **stubbed, FAILS=fails)
    assert done.returncode == status
    assert ("twin down inventory/demo.yml" in done.stderr) == bool(fails)
    assert ("Take the lab down" in done.stdout) == (not fails)


def test_the_demo_shows_each_command_before_it_runs(
    checkout: Path, stubbed: Mapping[str, str]
) -> None:
    done = sh(checkout, "scripts/demo", **stubbed)
    before_the_end, _, _ = done.stdout.partition("== The lab is up")
    shown = [line[2:] for line in before_the_end.splitlines() if line.startswith("$ ")]
    ran = Path(stubbed["CALLS"]).read_text().splitlines()
    assert [line.split(" ", 1)[1] for line in shown] == ran
    verbs = [line.split()[0] for line in ran]
    assert verbs == ["validate", "twin", "twin", "-m", "plan", "apply", "plan", "status"]


def test_the_demo_on_a_machine_without_a_lab(checkout: Path) -> None:
    (checkout / ".venv").symlink_to(sys.prefix)
    program(checkout / "scripts/why-no-lab", "#!/bin/sh\nprintf 'it is a toaster'\n")
    done = sh(checkout, "scripts/demo")
    assert done.returncode == 0, done.stderr
    assert "This machine cannot boot the virtual lab: it is a toaster.\n" in done.stdout
    assert "demo is sound: 5 hosts" in done.stdout
    if sshd.installed() or os.geteuid() == 0:
        assert "\n  + directory /srv/crosprov-demo\n" in done.stdout
    else:
        assert "No host can be reached" in done.stdout
    assert not Path("/srv/crosprov-demo").exists()


@pytest.mark.lab
@pytest.mark.timeout(900)
def test_the_demo_from_its_beginning_to_its_end(checkout: Path) -> None:
    if reason := why_not():
        pytest.skip(reason)
    (checkout / ".venv").symlink_to(sys.prefix)
    inventory = checkout / "inventory/demo.yml"
    text = inventory.read_text()
    inventory.write_text(text.replace("lab: demo\n", f"lab: demo-of-test-{os.getpid()}\n"))
    try:
        done = sh(checkout, "scripts/demo")
    finally:
        crosprov = str(Path(sys.prefix) / "bin/crosprov")
        down = sh(checkout, crosprov, "twin", "down", str(inventory))
    assert done.returncode == 0, done.stdout + done.stderr
    second = done.stdout.partition("== 6.")[2]
    assert "Plan: nothing to do" in second
    assert "5 of 5 hosts in order" in second
    assert down.returncode == 0, down.stderr
