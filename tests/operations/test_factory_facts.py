"""What a factory server is asked: the questions themselves, to a Docker of recorded answers."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from crosprov.facts.dome_containers import DomeContainers, DomeContainersFact
from crosprov.facts.factory_versions import Installed, InstalledFact, Kept, Tagged
from crosprov.inventory.load import read_lab
from crosprov.operations.dome_containers import differences, made_by_the_script
from crosprov.roles.factory_server import Settings

REPOSITORY = "cros/factory_server"
OLD, NEW = "20230616101859-adb3ce", "20240101000000-bbbbbb"
SCRIPT = """\
#!/bin/bash
DOCKER_VERSION="1.10.3"
DOCKER_IMAGE_GITHASH="{hash}0000000000000000000000000000000000"
DOCKER_IMAGE_TIMESTAMP="{time}"
  DOCKER_IMAGE_TIMESTAMP="$(sed -n 's/^DOCKER_IMAGE_TIMESTAMP="x"/y/p' "$1")"
"""

# What `docker container inspect -f` printed for the question on Debian's docker.io 20.10.24, with
# volumes' names cut short.
UWSGI = """\
/dome_uwsgi state\trunning
/dome_uwsgi image\tsha256:new
/dome_uwsgi restart\tunless-stopped
/dome_uwsgi command\t["uwsgi","--ini","uwsgi.ini"]
/dome_uwsgi env\tHOST_SHARED_DIR=/cros_docker
/dome_uwsgi env\tHOST_UMPIRE_DIR=/cros_docker/umpire
/dome_uwsgi env\tHOST_TFTP_DIR=/cros_docker/tftp
/dome_uwsgi env\tHOST_LOCALTIME_PATH=/etc/localtime
/dome_uwsgi env\tPATH=/usr/local/sbin:/usr/bin
/dome_uwsgi env\tDOCKER_IMAGE_ISLOCAL=0
/dome_uwsgi mount /tmp/shared\tcros-docker-shared-tmp-vol
/dome_uwsgi mount /etc/localtime\t/etc/localtime read-only
/dome_uwsgi mount /var/run/docker.sock\t/var/run/docker.sock
/dome_uwsgi mount /run\teae69ba59885
/dome_uwsgi mount /var/db/factory/dome/db.sqlite3\t/cros_docker/dome/db.sqlite3
/dome_uwsgi mount /var/log/dome\t/cros_docker/dome/log
/dome_uwsgi mount /var/tftp\t/cros_docker/tftp
/dome_uwsgi mount /var/db/factory/umpire\t/cros_docker/umpire
"""
NGINX = "".join(
    line.replace("uwsgi ", "nginx ", 1) + "\n"
    for line in UWSGI.splitlines()
    if " env" not in line and " command" not in line
) + (
    '/dome_nginx command\t["nginx","-g","daemon off;"]\n'
    '/dome_nginx port 80/tcp\t[{"HostIp":"","HostPort":"8000"}]\n'
)
DOCKER = """\
#!/bin/sh
case "$*" in
  *Destination*'/run'*Name*'{{end}}{{end}} dome_uwsgi') cat {folder}/volume;;
  'container inspect -f old'*) cat {folder}/old;;
  'container inspect'*) cat {folder}/containers;;
  'image inspect -f {{.Id}} '*) cat "{folder}/id-$(printf %s "$5" | tr / _)";;
  'image inspect'*) cat "{folder}/env-$(printf %s "$5" | tr / _)";;
  'image ls'*) cat {folder}/tags;;
  'ps -a '*) cat {folder}/users;;
  'ps -q') [ ! -e {folder}/down ];;
  *) echo "asked for $*" >&2; exit 64;;
esac
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A factory server as it is after an update, in the test's own folder."""
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/docker").write_text(DOCKER.replace("{folder}", str(tmp_path)))
    (tmp_path / "bin/docker").chmod(0o755)
    for name, version, image in (
        ("", NEW, "new"), (f":{NEW}", NEW, "new"), (f":{OLD}", OLD, "old"),
    ):  # fmt: skip
        time, _, githash = version.partition("-")
        (tmp_path / f"id-cros_factory_server{name}").write_text(f"sha256:{image}\n")
        (tmp_path / f"env-cros_factory_server{name}").write_text(
            f"PATH=/bin\nDOCKER_IMAGE_GITHASH={githash}{'0' * 34}\nDOCKER_IMAGE_TIMESTAMP={time}\n"
        )
    (tmp_path / "tags").write_text(f"{OLD}\n{NEW}\nlatest\nmine\n")
    (tmp_path / "users").write_text("dome_nginx\n")
    (tmp_path / "volume").write_text("eae69ba59885\n")
    (tmp_path / "old").touch()
    (tmp_path / "containers").write_text(NGINX + UWSGI)
    for place, version in (("", NEW), (f"/kept/{NEW}", NEW), (f"/kept/{OLD}", OLD)):
        (tmp_path / f"server{place}").mkdir(parents=True)
        time, _, githash = version.partition("-")
        text = SCRIPT.replace("{hash}", githash).replace("{time}", time)
        (tmp_path / f"server{place}/cros_docker.sh").write_text(text)
    (tmp_path / f"server/kept/{OLD}/image-id").write_text("sha256:old\n")
    (tmp_path / "server/kept/previous").write_text(f"{OLD}\n")
    (tmp_path / "db.sqlite3").touch()
    return tmp_path


def ask(folder: Path, command: str) -> list[str]:
    done = subprocess.run(
        ["sh", "-c", command], env={"PATH": f"{folder}/bin:/usr/bin:/bin"}, timeout=60, check=True,
        capture_output=True, text=True,
    )  # fmt: skip
    assert done.stderr == ""
    return done.stdout.splitlines()


def versions(folder: Path) -> Installed:
    fact = InstalledFact()
    return fact.process(ask(folder, fact.command(f"{folder}/server", REPOSITORY)))


def containers(folder: Path) -> DomeContainers:
    fact = DomeContainersFact()
    command = fact.command(
        f"{folder}/db.sqlite3", REPOSITORY, f"{folder}/mark", f"{folder}/phase"
    )  # fmt: skip
    return fact.process(ask(folder, command))


def settings(text: str = "{}") -> Settings:
    lab = read_lab(f"lab: l\nhosts: {{f: {{factory_server: {text}}}}}\n", Path("/lab.yml"))
    return lab.hosts["f"].settings(Settings)


def test_versions_are_read_from_scripts_and_images(folder: Path) -> None:
    seen = versions(folder)
    assert (seen.docker, seen.script, seen.current, seen.image) == ("ok", NEW, NEW, "sha256:new")
    assert seen.kept == {
        OLD: Kept(seen.kept[OLD].script, "sha256:old"), NEW: Kept(seen.digest, ""),
    }  # fmt: skip
    assert seen.tags == {
        OLD: Tagged(OLD, "sha256:old", ("dome_nginx",)),
        NEW: Tagged(NEW, "sha256:new", ("dome_nginx",)),
    }
    assert (seen.previous, seen.left, seen.replaced) == (OLD, (), False)


@pytest.mark.parametrize("harm", ["down", "none", "bare", "foreign", "left", "replaced"])
def test_versions_of_a_host_that_is_otherwise(folder: Path, harm: str) -> None:
    harms: dict[str, Callable[[], object]] = {
        "down": (folder / "down").touch,
        "none": (folder / "bin/docker").unlink,
        "bare": lambda: (folder / "server").rename(folder / "away"),
        "foreign": lambda: (folder / "server/cros_docker.sh").write_text("echo hello\n"),
        "left": (folder / f"server/kept/{NEW}/factory-server-x.txz").touch,
        "replaced": lambda: (folder / "id-cros_factory_server").write_text("sha256:other\n"),
    }
    before = versions(folder)
    harms[harm]()
    seen = versions(folder)
    expected = {
        "down": seen.docker == "down" and seen.kept == before.kept and not seen.current,
        "none": seen.docker == "none" and seen.script == NEW and not seen.tags,
        "bare": (seen.script, seen.kept, seen.current) == ("", {}, NEW),
        "foreign": seen.script == "-",
        "left": [path.rpartition("/")[2] for path in seen.left] == ["factory-server-x.txz"],
        "replaced": seen.replaced,
    }
    assert expected[harm], seen


def test_containers_that_the_script_made_differ_in_nothing(folder: Path) -> None:
    seen = containers(folder)
    wanted = settings()
    assert seen.lines == made_by_the_script(wanted)
    expected = {"database": (None, "/cros_docker/dome/db.sqlite3")} if not seen.database else {}
    assert differences(wanted, seen) == expected


@pytest.mark.parametrize(
    ("text", "old", "new", "key", "differs"),
    [
        ("{dome_port: 9}", "", "", "dome_nginx port 80/tcp", ("8000", "9")),
        ("{}", '"8000"}]', '"8001"}]', "dome_nginx port 80/tcp", ("8001", "8000")),
        ("{}", "sha256:new", "sha256:old", "dome_uwsgi image", ("sha256:old", "current")),
        ("{}", "uwsgi state\trunning", "uwsgi state\tpaused", "dome_uwsgi state",
         ("paused", "running")),
        ("{}", "unless-stopped", "no", "dome_nginx restart", ("no", "unless-stopped")),
        ("{}", "nginx mount /run\teae69ba59885", "nginx mount /run\tother",
         "dome_nginx mount /run", ("other", "shared")),
        ("{}", "uwsgi env\tHOST_TFTP_DIR=/cros", "uwsgi env\tHOST_TFTP_DIR=/x",
         "dome_uwsgi env HOST_TFTP_DIR", ("/x_docker/tftp", "/cros_docker/tftp")),
        ("{}", '/dome_nginx port 80/tcp\t[{"HostIp":"","HostPort":"8000"}]',
         '/dome_nginx port 80/tcp\t[{"HostIp":"127.0.0.1","HostPort":"8000"}]',
         "dome_nginx port 80/tcp", ('[{"HostIp":"127.0.0.1","HostPort":"8000"}]', "8000")),
        ("{}", '/dome_nginx port', '/dome_nginx port 443/tcp\t[]\n/dome_nginx port',
         "dome_nginx port 443/tcp", ("[]", None)),
        ("{}", "/dome_uwsgi mount /var/run/docker.sock\t/var/run/docker.sock\n", "",
         "dome_uwsgi mount /var/run/docker.sock", (None, "/var/run/docker.sock")),
    ],
)  # fmt: skip
def test_what_somebody_made_otherwise_is_a_difference(
    folder: Path, text: str, old: str, new: str, key: str, differs: tuple[str | None, str | None]
) -> None:
    made = (folder / "containers").read_text()
    assert old in made
    (folder / "containers").write_text(made.replace(old, new))
    assert differences(settings(text), containers(folder))[key] == differs


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("/dome_uwsgi mount /etc/localtime\t/etc/localtime read-only\n", ""),
        ("/dome_uwsgi env\tPATH", "/dome_uwsgi env\tHOST_MCAST_DIR=/x\n/dome_uwsgi env\tPATH"),
    ],
    ids=["a mount that older scripts lack", "a variable that newer scripts have"],
)
def test_scripts_of_other_times_may_make_them_otherwise(folder: Path, old: str, new: str) -> None:
    made = (folder / "containers").read_text()
    (folder / "containers").write_text(made.replace(old, new))
    assert differences(settings(), containers(folder)) == {}


def test_what_a_run_left_is_seen(folder: Path) -> None:
    (folder / "old").write_text("old /dome_uwsgi.crosprov-old\n")
    (folder / "phase").touch()
    (folder / "mark").touch()
    (folder / f"db.sqlite3.before-{NEW}").touch()
    seen = containers(folder)
    assert seen.leftovers == ("dome_uwsgi.crosprov-old",)
    assert (seen.cut, seen.due, seen.copies) == (True, True, (NEW,))


def test_the_answers_stay_the_same(folder: Path) -> None:
    fact = DomeContainersFact()
    first = containers(folder)
    lines = (folder / "containers").read_text().splitlines()
    (folder / "containers").write_text("\n".join(reversed(lines)) + "\n")  # mounts have no order
    assert containers(folder) == first
    assert fact.process(["database other", "docker none"]).database == "other"
    assert json.dumps(first.lines) == json.dumps(dict(sorted(first.lines.items())))
