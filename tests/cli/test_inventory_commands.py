"""validate, schema, init and graph, as the real program."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

from crosprov.cli.app import run
from tests.inventory.labs import EXAMPLES, ROOT

PROGRAM = "import sys; sys.argv[0] = 'crosprov'; from crosprov.cli import main; main()"
DEMO = str(EXAMPLES[0])


def crosprov(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", PROGRAM, *arguments],
        cwd=ROOT,
        env={**os.environ, "COLUMNS": "100", **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_validate_a_sound_inventory() -> None:
    done = crosprov("validate", DEMO)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("demo is sound: 5 hosts\n")


def test_validate_a_part() -> None:
    done = crosprov("validate", DEMO, "--limit", "dut*,!dut02")
    assert done.returncode == 0
    assert done.stdout.splitlines()[:2] == [
        "demo is sound: 1 host of 5 chosen",
        "  dut01  10.0.1.1",
    ]


NEEDING = """\
lab: l
hosts:
  factory1:
    docker: {package_files: [there.deb, gone.deb]}
    factory_server:
      bundle: server.bundle
      admin_password: {file: secret}
      projects: {eve: {bundle: {file: there.deb}}, kevin: {umpire_port: 8100, bundle: {file: no}}}
"""


def test_validate_tells_of_files_that_a_plan_will_need(tmp_path: Path) -> None:
    path = tmp_path / "lab.yml"
    path.write_text(NEEDING)
    (tmp_path / "there.deb").touch()
    done = crosprov("validate", str(path))
    assert (done.returncode, done.stderr) == (0, "")
    expected = [
        ("4:41", "docker.package_files.1", "gone.deb"),
        ("6:15", "factory_server.bundle", "server.bundle"),
        ("7:30", "factory_server.admin_password.file", "secret"),
        ("8:94", "factory_server.projects.kevin.bundle.file", "no"),
    ]
    assert done.stdout.partition("a plan will need these:\n")[2].splitlines() == [
        f"  {path}:{place}: host factory1: {field}: {tmp_path / file} does not exist"
        for place, field, file in expected
    ]
    answer = json.loads(crosprov("validate", str(path), "--format", "json").stdout)
    assert answer["valid"] is True
    assert [file["field"] for file in answer["absent"]] == [field for _, field, _ in expected]


@pytest.fixture
def bad(tmp_path: Path) -> Path:
    path = tmp_path / "lab.yml"
    path.write_text("lab: l\nhosts:\n  dut1: {dut: {bord: eve, dev_server: dev1}}\n")
    return path


def test_validate_tells_every_problem(bad: Path) -> None:
    done = crosprov("validate", str(bad))
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.splitlines() == [
        f"{bad}:3:10: host dut1: dut.board: is required",
        "  hint: board: the board that its image is for",
        f"{bad}:3:16: host dut1: dut.bord: is not a key here",
        "  hint: did you mean board?",
        f"{bad}:3:39: host dut1: dut.dev_server: names dev1, which is not a host",
        f"error: {bad} has 3 problems",
    ]


def test_validate_for_programs(bad: Path) -> None:
    done = crosprov("validate", str(bad), "--format", "json")
    assert (done.returncode, done.stderr) == (1, "")
    answer = json.loads(done.stdout)
    assert answer["valid"] is False
    assert [problem["field"] for problem in answer["problems"]] == [
        "dut.board",
        "dut.bord",
        "dut.dev_server",
    ]
    sound = json.loads(crosprov("validate", DEMO, "--format", "json").stdout)
    assert sound["valid"] is True
    assert [host["needs"] for host in sound["hosts"]] == [[], ["mirror1"], [], ["dev1"], ["dev1"]]


@pytest.mark.parametrize(
    ("arguments", "message", "hint"),
    [
        (("valdate",), "no such command 'valdate'", "crosprov --help tells how"),
        (("validate",), "missing argument 'INVENTORY'", "crosprov validate --help tells how"),
        (("validate", DEMO, "--lmit", "x"), "no such option: --lmit", "crosprov validate --help"),
        (("graph", DEMO, "--format", "png"), "invalid value for '--format'", "crosprov graph"),
        (("validate", "no/such.yml"), "no/such.yml does not exist", "crosprov init DIR"),
        (("validate", DEMO, "--limit", "dut1"), "dut1 matches no host", "did you mean dut01?"),
        (("graph", DEMO, "--role", "dutt"), "dutt is not a role", "did you mean dut?"),
        (("graph", DEMO, "--out", "/no/such/dir"), "cannot be written: No such", ""),
    ],
)
def test_wrong_usage(arguments: tuple[str, ...], message: str, hint: str) -> None:
    done = crosprov(*arguments)
    assert (done.returncode, done.stdout) == (64, "")
    error, *hints = done.stderr.splitlines()
    assert error.startswith("error: ")
    assert message in error
    assert hint in "".join(hints)


@pytest.mark.parametrize(
    "arguments", [(), ("--help",), ("-h",), ("validate", "--help"), ("graph", "-h"), ("init", "-h")]
)
def test_help(arguments: tuple[str, ...]) -> None:
    done = crosprov(*arguments)
    assert (done.returncode, done.stderr) == (0, "")
    assert "Usage: crosprov" in done.stdout
    assert "  crosprov init" in done.stdout or "Examples:" in done.stdout


def test_version() -> None:
    from crosprov import __version__

    assert crosprov("--version").stdout == f"crosprov {__version__}\n"


def test_init_writes_a_sound_inventory_once(tmp_path: Path) -> None:
    directory = tmp_path / "new/lab"
    first = crosprov("init", str(directory))
    assert (first.returncode, first.stderr) == (0, "")
    assert crosprov("validate", str(directory / "lab.yml")).returncode == 0
    (directory / "lab.yml").write_text("mine\n")
    again = crosprov("init", str(directory))
    assert again.returncode == 64
    assert "lab.yml already exists" in again.stderr
    assert (directory / "lab.yml").read_text() == "mine\n"


def test_init_writes_nothing_beside_a_file_of_others(tmp_path: Path) -> None:
    (tmp_path / "crosprov.schema.json").write_text("mine\n")
    assert crosprov("init", str(tmp_path)).returncode == 64
    assert [path.name for path in tmp_path.iterdir()] == ["crosprov.schema.json"]


def test_init_where_nothing_can_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for below in ("file", "file/lab"):
        done = crosprov("init", str(tmp_path / below))
        assert done.returncode == 64
        assert done.stderr.splitlines() == [
            f"error: {tmp_path / 'file'} is a file, not a directory",
            "hint: name a directory: crosprov init DIR",
        ]


def test_init_prints_a_command_that_can_be_run(tmp_path: Path) -> None:
    done = crosprov("init", str(tmp_path / "my lab"))
    assert done.stdout.endswith(f"crosprov validate '{tmp_path}/my lab/lab.yml'\n")


def test_schema(tmp_path: Path) -> None:
    printed = crosprov("schema")
    assert json.loads(printed.stdout)["title"] == "crosprov inventory"
    assert crosprov("schema", "--out", str(tmp_path / "s.json")).stdout == ""
    assert (tmp_path / "s.json").read_text() == printed.stdout


def test_graph(tmp_path: Path) -> None:
    assert "dut01…dut02" in crosprov("graph", DEMO).stdout
    assert crosprov("graph", DEMO, "--format", "dot").stdout.startswith('digraph "demo" {')
    assert crosprov("graph", DEMO, "--limit", "dut01").stdout.count("wave") == 1
    out = tmp_path / "lab.svg"
    assert crosprov("graph", DEMO, "--format", "svg", "--out", str(out)).returncode == 0
    assert ElementTree.parse(out).getroot().tag.endswith("svg")


def test_a_closed_pipe_is_no_error() -> None:
    command = f'"{sys.executable}" -c "{PROGRAM}" schema | head -n 1'
    done = subprocess.run(
        ["bash", "-c", command], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.stdout, done.stderr) == ("{\n", "")


FAILING = """\
import sys
from crosprov.cli.failure import guarded
def program():
    raise {error}
sys.exit(guarded(program))
"""


@pytest.mark.parametrize(
    ("error", "status", "line"),
    [
        ("KeyboardInterrupt", 130, "error: stopped by the keyboard"),
        ("ValueError('a\\nb')", 70, "error: crosprov has a defect: ValueError: a b"),
        ("RecursionError", 70, "error: crosprov has a defect: RecursionError"),
        ("SystemExit(5)", 5, ""),
    ],
)
@pytest.mark.parametrize("debug", ["0", "1"])
def test_there_is_no_traceback_unless_asked_for(
    error: str, status: int, line: str, debug: str
) -> None:
    done = subprocess.run(
        [sys.executable, "-c", FAILING.format(error=error)],
        cwd=ROOT,
        env={**os.environ, "CROSPROV_DEBUG": debug},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == status
    assert line in done.stderr
    assert ("Traceback" in done.stderr) == (debug == "1" and status == 70)


def test_checking_an_inventory_loads_nothing_heavy() -> None:
    program = (
        "import sys; from crosprov.cli.app import run; status = run(sys.argv[1:]); "
        "heavy = {'pyinfra', 'paramiko', 'rich', 'jinja2', 'httpx', 'gevent'} & set(sys.modules); "
        "print(status, sorted(heavy), file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, "validate", DEMO],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert done.stderr == "0 []\n"


def test_ctrl_c_in_a_command_is_a_sentence(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def stop(path: Path) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("crosprov.inventory.load.load_lab", stop)
    assert run(["validate", "lab.yml"]) == 130
    assert capsys.readouterr().err.startswith("error: stopped by the keyboard\nhint: ")
