from __future__ import annotations

import base64
import os
import pty
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from crosprov.errors import TwinError
from crosprov.twin.factory.script import script

TIMESTAMP, GITHASH = "20240102030405", "0123abcd" * 5
VERSION = "20240102030405-0123ab-docker-1.10.3"
TARBALL = f"factory-server-{VERSION}.txz"
TOOLS = (
    *("base64", "basename", "bash", "cat", "chmod", "cp", "curl", "dirname", "grep", "id"),
    *("mkdir", "mktemp", "mv", "readlink", "rm", "sed", "sh", "touch", "xz"),
)
# Records its words in one line; wants a terminal where docker does; fails where it is told to.
DOCKER = """\
#!/bin/sh
line=docker
for word; do line="$line [$word]"; done
case $1 in version) echo "$FAKE_VERSION"; [ "$FAKE_VERSION" ]; exit;; esac
echo "$line" >> "$FAKE_CALLS"
case $1 in
  ps) if [ "$2" = -q ]; then echo "$FAKE_IDS"; else printf "$FAKE_PS"; fi;;
  load) cat > "$FAKE_CALLS.loaded";;
  save) echo image;;
esac
case $line in
  *'[--tty]'*|*'[-it]'*) [ -t 0 ] || { echo 'the input device is not a TTY' >&2; exit 1; };;
esac
[ -z "$FAKE_FAILS" ] || ! echo "$line" | grep -qF -e "$FAKE_FAILS"
"""
SUDO = '#!/bin/sh\necho "sudo $*" >> "$FAKE_CALLS"\nexec "$@"\n'


@dataclass
class Bench:
    """The stand-in in a folder of its own, with a docker that records its calls."""

    root: Path

    @property
    def script(self) -> Path:
        return self.root / "opt/cros_docker.sh"

    @property
    def shared(self) -> Path:
        return self.root / "shared"

    def run(
        self, *words: str, tty: bool = False, env: Mapping[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        given = {
            "PATH": f"{self.root}/bin", "HOST_SHARED_DIR": str(self.shared),
            "FAKE_CALLS": str(self.root / "calls"), "FAKE_VERSION": "20.10.24+dfsg1",
            **(env or {}),
        }  # fmt: skip
        argv = ["bash", str(self.script), *words]
        if not tty:
            return subprocess.run(
                argv,
                env=given,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                cwd=self.root,
            )
        ours, theirs = pty.openpty()
        try:
            return subprocess.run(
                argv, env=given, stdin=theirs, capture_output=True, text=True, cwd=self.root
            )
        finally:
            os.close(ours)
            os.close(theirs)

    @property
    def calls(self) -> list[str]:
        """Give the calls since this was last asked, with the bench's own folder left out."""
        file = self.root / "calls"
        lines = file.read_text().splitlines() if file.exists() else []
        file.unlink(missing_ok=True)
        return [line.replace(str(self.root), "") for line in lines]


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    (tmp_path / "bin").mkdir()
    (tmp_path / "opt").mkdir()
    for tool in TOOLS:
        found = shutil.which(tool)
        assert found, tool
        (tmp_path / "bin" / tool).symlink_to(found)
    for name, text in (("docker", DOCKER), ("sudo", SUDO)):
        (tmp_path / "bin" / name).write_text(text)
        (tmp_path / "bin" / name).chmod(0o755)
    made = Bench(tmp_path)
    made.script.write_bytes(script(TIMESTAMP, GITHASH))
    return made


def test_its_version_needs_no_docker(bench: Bench) -> None:
    (bench.root / "bin/docker").unlink()
    done = bench.run("version")
    assert (done.returncode, done.stdout) == (0, f"Chrome OS Factory Server: {VERSION}\n")


@pytest.mark.parametrize(
    "words",
    ["", "help", "nonsense", "umpire", "umpire help", "umpire stop", "overlord", "overlord help",
     "goofy", "goofy help", "dev help"],
)  # fmt: skip
def test_usage_ends_with_1(bench: Bench, words: str) -> None:
    done = bench.run(*words.split())
    assert done.returncode == 1
    assert "usage:" in done.stdout
    assert bench.calls == []


@pytest.mark.parametrize(
    "words", ["build", "publish", "dev", "dev run", "goofy try", "umpire test"]
)
def test_what_needs_the_source_tree_is_refused(bench: Bench, words: str) -> None:
    done = bench.run(*words.split())
    assert done.returncode == 1
    assert done.stdout.startswith("ERROR: ")
    assert bench.calls == []


@pytest.mark.parametrize(
    ("version", "good"),
    [("1.10.3", True), ("1.10.2", False), ("1.9.1", False), ("1.11", True), ("1.10", False),
     ("26.1.5+dfsg1", True), ("", False)],
)  # fmt: skip
def test_docker_s_version_is_compared_number_by_number(
    bench: Bench, version: str, good: bool
) -> None:
    done = bench.run("dev", "destroy", env={"FAKE_VERSION": version})
    assert (done.returncode == 0) is good
    if not good:
        assert done.stdout.rstrip("\n").endswith(f"but you have {version}")


def test_a_missing_docker_is_said_on_stdout(bench: Bench) -> None:
    (bench.root / "bin/docker").unlink()
    done = bench.run("run")
    assert done.returncode == 1
    assert done.stdout.startswith("ERROR: Docker not installed")


ONE_SHOT = (
    "docker [run] [--rm] {more}[--volume] [/shared/dome/db.sqlite3:/var/db/factory/dome/db.sqlite3]"
    " [--volume] [/shared/dome/log:/var/log/dome] [--workdir] [/usr/local/factory/py/dome]"
    " [cros/factory_server] [python3] [manage.py] "
)
MIGRATE = ONE_SHOT.format(more="[--interactive] [--tty] ") + "[migrate]"
DOWN = [
    f"docker [{verb}] [{name}]" for name in ("dome_uwsgi", "dome_nginx") for verb in ("stop", "rm")
]


def test_run_takes_dome_down_and_makes_it_anew(bench: Bench) -> None:
    done = bench.run("run", tty=True, env={"DOME_PORT": "1234"})
    assert done.returncode == 0, done.stdout + done.stderr
    calls = bench.calls
    assert calls[:7] == [
        *DOWN, "sudo mkdir -p /shared/dome", "sudo touch /shared/dome/db.sqlite3", MIGRATE,
    ]  # fmt: skip
    assert "[shell] [--command]" in calls[7]
    assert calls[8] == ONE_SHOT.format(
        more="[--volume] [/var/run/docker.sock:/var/run/docker.sock] "
    ) + "[restart_old_umpire]"  # fmt: skip
    assert "[--name] [dome_uwsgi]" in calls[9]
    assert "[--env] [HOST_TFTP_DIR=/shared/tftp]" in calls[9]
    assert calls[9].endswith("[cros/factory_server] [uwsgi] [--ini] [uwsgi.ini]")
    assert calls[10] == (
        "docker [run] [--detach] [--restart] [unless-stopped] [--name] [dome_nginx]"
        " [--volumes-from] [dome_uwsgi] [--publish] [1234:80] [--workdir]"
        " [/usr/local/factory/py/dome] [cros/factory_server] [nginx] [-g] [daemon off;]"
    )
    assert len(calls) == 11


def test_run_without_a_terminal_leaves_dome_down(bench: Bench) -> None:
    (bench.shared / "dome").mkdir(parents=True)
    (bench.shared / "dome/db.sqlite3").touch()
    done = bench.run("run")
    assert done.returncode == 1
    assert "not a TTY" in done.stderr
    assert bench.calls == [*DOWN, MIGRATE]


def test_run_ends_at_the_first_container_that_does_not_start(bench: Bench) -> None:
    done = bench.run("run", tty=True, env={"FAKE_FAILS": "[--name] [dome_uwsgi]"})
    assert done.returncode == 1
    assert "[dome_uwsgi]" in bench.calls[-1]


@pytest.mark.parametrize("there", [None, b"", b"anything"])
def test_pull_takes_whatever_file_is_there(bench: Bench, there: bytes | None) -> None:
    site = bench.root / "site"
    site.mkdir()
    (site / TARBALL).write_bytes(b"image")
    target = bench.script.parent / TARBALL
    if there is not None:
        target.write_bytes(there)
    done = bench.run("pull", env={"STANDIN_SITE": f"file://{site}"})
    assert done.returncode == 0
    assert target.read_bytes() == (b"image" if there is None else there)
    assert f"2. {TARBALL}\n" in done.stdout


def test_a_pull_that_fails_leaves_nothing(bench: Bench) -> None:
    done = bench.run("pull", env={"STANDIN_SITE": f"file://{bench.root}/none"})
    assert done.returncode == 1
    assert "ERROR: Failed to pull" in done.stdout
    assert not (bench.script.parent / TARBALL).exists()


def test_the_site_may_be_written_into_the_script(bench: Bench) -> None:
    (bench.root / TARBALL).write_bytes(b"image")
    bench.script.write_bytes(script(TIMESTAMP, GITHASH, site=f"file://{bench.root}"))
    assert bench.run("pull").returncode == 0
    assert (bench.script.parent / TARBALL).read_bytes() == b"image"


def test_install_loads_what_is_beside_the_script(bench: Bench) -> None:
    (bench.script.parent / TARBALL).write_bytes(b"image")
    assert bench.run("install").returncode == 0
    assert bench.calls == ["docker [load]"]
    assert (bench.root / "calls.loaded").read_bytes() == b"image"


def test_install_without_a_tarball_is_an_error_of_bash(bench: Bench) -> None:
    done = bench.run("install")
    assert done.returncode == 1
    assert "No such file or directory" in done.stderr
    assert bench.calls == []


def test_update_leaves_a_script_that_others_cannot_read(bench: Bench) -> None:
    newer = script("20250102030405", GITHASH)
    (bench.root / "newer").write_bytes(base64.encodebytes(newer))
    done = bench.run("update", env={"STANDIN_SCRIPT": f"file://{bench.root}/newer"})
    assert done.returncode == 0, done.stdout + done.stderr
    assert bench.script.read_bytes() == newer
    assert bench.script.stat().st_mode & 0o777 == 0o711


def test_an_update_that_fails_leaves_the_script(bench: Bench) -> None:
    before = bench.script.read_bytes()
    done = bench.run("update", env={"STANDIN_SCRIPT": f"file://{bench.root}/none"})
    assert done.returncode == 1
    assert "ERROR: Failed to download" in done.stdout
    assert bench.script.read_bytes() == before


@pytest.mark.parametrize(
    ("running", "tty", "code"),
    [("dome_uwsgi Up 2 hours\\n", True, 0), ("dome_uwsgi Up 2 hours\\n", False, 1),
     ("dome_uwsgi Exited (0)\\n", True, 1)],
)  # fmt: skip
def test_passwd_wants_a_running_dome_and_a_terminal(
    bench: Bench, running: str, tty: bool, code: int
) -> None:
    done = bench.run("passwd", "operator", tty=tty, env={"FAKE_PS": running})
    assert done.returncode == code
    asked = "docker [exec] [-it] [dome_uwsgi] [python3] [manage.py] [changepassword] [operator]"
    assert (asked in bench.calls) is ("Up" in running)


def test_prune_takes_everything_that_is_not_used(bench: Bench) -> None:
    assert bench.run("prune", env={"FAKE_IDS": "aa bb"}).returncode == 0
    assert bench.calls[-2:] == [
        "docker [stop] [aa] [bb] [aa] [bb] [aa] [bb]", "docker [system] [prune] [-af]",
    ]  # fmt: skip


def test_save_writes_into_the_current_folder(bench: Bench) -> None:
    assert bench.run("save").returncode == 0
    assert (bench.root / TARBALL).read_bytes().startswith(b"\xfd7zXZ")


def test_umpire_runs_for_the_project_that_was_used_last(bench: Bench) -> None:
    (bench.shared / "umpire").mkdir(parents=True)
    (bench.shared / "umpire/.default_project").write_text("eve\n")
    assert bench.run("umpire", "run", env={"UMPIRE_PORT": "9100"}).returncode == 0
    *_, line = bench.calls
    assert "[--name] [umpire_eve] [--tmpfs] [/run:rw,size=16384k]" in line
    assert "[--volume] [/shared/umpire/eve:/var/db/factory/umpire]" in line
    for offset in (0, 2, 4, 6, 8, 9):
        assert f"[--publish] [{9100 + offset}:{8080 + offset}]" in line
    assert line.endswith("[--privileged] [cros/factory_server] [/usr/local/factory/bin/umpired]")


def test_an_umpire_that_does_not_start_is_removed(bench: Bench) -> None:
    done = bench.run("umpire", "run", env={"FAKE_FAILS": "[--privileged]"})
    assert done.returncode == 1
    assert bench.calls[-1] == "docker [rm] [umpire_default]"
    assert "ERROR: " in done.stdout


def test_overlord_without_a_terminal_falls_into_setup_and_loses_its_folder(bench: Bench) -> None:
    done = bench.run("overlord", "run")
    assert done.returncode == 1
    assert "ERROR: Overlord setup failed." in done.stdout
    assert not (bench.shared / "overlord").exists()


def test_overlord_s_discovery_never_starts_without_the_source_tree(bench: Bench) -> None:
    config = bench.shared / "overlord/config"
    config.mkdir(parents=True)
    assert bench.run("overlord", "run").returncode == 1
    assert not any("[run]" in call for call in bench.calls), "it has no certificate"
    (config / "cert.pem").touch()
    (config / "key.pem").touch()
    assert bench.run("overlord", "run", env={"OVERLORD_HTTP_PORT": "9090"}).returncode == 127
    runs = [call for call in bench.calls if "[run]" in call]
    assert len(runs) == 1
    assert "[--publish] [4455:4455] [--publish] [9090:9000]" in runs[0]


@pytest.mark.parametrize(
    ("timestamp", "githash", "site"),
    [("2024", GITHASH, None), (TIMESTAMP, "abc", None), (TIMESTAMP, GITHASH, 'file://"$(x)')],
)
def test_a_wrong_version_is_refused(timestamp: str, githash: str, site: str | None) -> None:
    with pytest.raises(TwinError, match="stand-in script"):
        script(timestamp, githash, site=site)
