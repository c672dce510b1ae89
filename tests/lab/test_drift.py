"""Whatever is changed by hand on a host of the demo lab: the next plan lists it, and only it.

The table says, for each harm, all that the plan lists for that host. Harms of different hosts are
done together, a round at a time, so each round also proves that hosts do not get mixed up, and
that hosts are mended in the order of their references.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any

import pytest

from crosprov import wheelhouse
from crosprov.wheels import DEVSERVER
from tests.lab.conftest import Story
from tests.lab.labs import differences, told

pytestmark = pytest.mark.lab

SITE = "/etc/nginx/conf.d/crosprov-mirror.conf"
SITE_CHANGES = ("run check nginx configuration", "run unit nginx.service")
DEFAULT = "/etc/nginx/sites-enabled/default"
STORE = "/srv/mirror/gentoo/distfiles"
ENVIRONMENT = f"/usr/lib/crosprov/devserver/{wheelhouse.digest(DEVSERVER)}"
PROGRAM = f"{ENVIRONMENT}/lib/python3*/site-packages/crosprov/devserver/app.py"
CLIENT = "/usr/lib/crosprov/stage.py"
UNIT = "/etc/systemd/system/devserver.service"
STATIC = "/srv/devserver/static"
LSB = "/mnt/stateful_partition/etc/lsb-release"
IMAGE = "cros/factory_server"
SCRIPT = "/opt/cros_docker/cros_docker.sh"
DOME = "update dome /cros_docker"
RECORDS = "/var/lib/crosprov"
RECORDS_OF_A_DUT = "/mnt/stateful_partition/crosprov"


@dataclass(frozen=True)
class Harm:
    """What is done by hand on a host, and what a plan lists after it, in its order."""

    name: str
    host: str
    command: str
    lists: tuple[str, ...]


HARMS = [
    Harm("text edited", "mirror1", "echo drift >> /etc/motd", ("update file /etc/motd",)),
    Harm("file deleted", "mirror1", "rm /etc/motd", ("create file /etc/motd",)),
    Harm("mode changed", "mirror1", "chmod 600 /etc/motd", ("update file /etc/motd",)),
    Harm("owner changed", "mirror1", "chown 1:1 /etc/motd", ("update file /etc/motd",)),
    Harm(
        "file replaced by a link", "mirror1", "ln -sf /etc/hostname /etc/motd",
        ("update file /etc/motd",),
    ),
    Harm("file emptied", "mirror1", ": > /etc/motd", ("update file /etc/motd",)),
    Harm(
        "site edited", "mirror1", f"sed -i s/autoindex/#/ {SITE}",
        (f"update file {SITE}", *SITE_CHANGES),
    ),
    Harm("site deleted", "mirror1", f"rm {SITE}", (f"create file {SITE}", *SITE_CHANGES)),
    Harm(
        "site broken, service stopped", "mirror1",
        f"echo '}}' >> {SITE}; systemctl stop nginx",
        (f"update file {SITE}", SITE_CHANGES[0], "update unit nginx.service"),
    ),
    Harm(
        "default site back", "mirror1", f"ln -s ../sites-available/default {DEFAULT}",
        (f"delete link {DEFAULT}", *SITE_CHANGES),
    ),
    Harm("folder's mode", "mirror1", f"chmod 700 {STORE}", (f"update directory {STORE}",)),
    Harm("folder's owner", "mirror1", f"chown 7:7 {STORE}", (f"update directory {STORE}",)),
    Harm("folder deleted", "mirror1", f"rm -r {STORE}", (f"create directory {STORE}",)),
    Harm("service stopped", "mirror1", "systemctl stop nginx", ("update unit nginx.service",)),
    Harm("service disabled", "mirror1", "systemctl disable nginx", ("update unit nginx.service",)),
    Harm(
        "service killed", "mirror1", "systemctl kill -s KILL nginx; sleep 1",
        ("update unit nginx.service",),
    ),
    Harm(
        "drop-in edited and not loaded", "mirror1",
        "cd /etc/systemd/system; mkdir nginx.service.d; cd nginx.service.d;"
        "printf '[Service]\\nNice=1\\n' > by-hand.conf; systemctl daemon-reload; sleep 1.1;"
        "printf '[Service]\\nNice=2\\n' > by-hand.conf",
        ("run unit nginx.service",),
    ),
    Harm("restart lost", "mirror1", f": > {RECORDS}/restart/nginx.service", SITE_CHANGES),
    Harm(
        "package removed", "mirror1", "apt-get -qy remove nginx-light nginx-common",
        (
            "create packages nginx-light",
            f"delete file {DEFAULT}",
            SITE_CHANGES[0],
            "update unit nginx.service",
        ),
    ),
    Harm(
        "program edited", "dev1", f"echo '#' | tee -a {PROGRAM}",
        (f"update environment {ENVIRONMENT}", "run unit devserver.service"),
    ),
    Harm(
        "program deleted", "dev1", f"rm {PROGRAM}",
        (f"update environment {ENVIRONMENT}", "run unit devserver.service"),
    ),
    Harm(
        "configuration edited", "dev1", "sed -i s/10.0.0.5/10.9.9.9/ /etc/crosprov/make.conf.*",
        ("update file /etc/crosprov/make.conf.mirrors",),
    ),
    Harm(
        "configuration's folder deleted", "dev1", "rm -r /etc/crosprov",
        ("create file /etc/crosprov/make.conf.mirrors",),
    ),
    Harm(
        "unit file edited", "dev1", f"sleep 1.1; sed -i s/8080/8081/ {UNIT}",
        (f"update file {UNIT}", "run unit devserver.service"),
    ),
    Harm(
        "unit file edited and in force", "dev1",
        f"sed -i s/8080/8081/ {UNIT}; systemctl daemon-reload; systemctl restart devserver",
        (f"update file {UNIT}", "run unit devserver.service"),
    ),
    Harm(
        "unit file's mode", "dev1", f"chmod 666 {UNIT}",
        (f"update file {UNIT}", "run unit devserver.service"),
    ),
    Harm(
        "unit file deleted", "dev1", f"rm {UNIT}; systemctl daemon-reload",
        (f"create file {UNIT}", "update unit devserver.service"),
    ),
    Harm("unit stopped", "dev1", "systemctl stop devserver", ("update unit devserver.service",)),
    Harm(
        "unit disabled and stopped", "dev1", "systemctl disable --now devserver",
        ("update unit devserver.service",),
    ),
    Harm("shell changed", "dev1", "usermod -s /bin/sh devserver", ("update user devserver",)),
    Harm(
        "home changed", "dev1",
        "systemctl stop devserver; usermod -d /home/x devserver",
        ("update user devserver", "update unit devserver.service"),
    ),
    Harm(
        "account deleted", "dev1", "systemctl stop devserver; userdel devserver",
        (
            "create user devserver",
            f"update directory {STATIC}",
            "update unit devserver.service",
        ),
    ),
    Harm("folder's owner", "dev1", f"chown root {STATIC}", (f"update directory {STATIC}",)),
    Harm(
        "unwanted file", "dev1", "echo x > /etc/crosprov/devserver.boto",
        ("delete file /etc/crosprov/devserver.boto", "run unit devserver.service"),
    ),
    Harm(
        "package removed", "dev1", "apt-get -qy remove python3-minimal",
        ("create packages python3",),
    ),
    Harm("killed", "factory1", "docker kill umpire_eve", ("update project eve",)),
    Harm("removed", "factory1", "docker rm -f umpire_eve", ("update project eve",)),
    Harm("stopped", "factory1", "docker stop -t 1 dome_nginx", (DOME,)),
    Harm(  # Dome cannot be asked for its projects either
        "paused", "factory1", "docker pause dome_uwsgi",
        (DOME, "update dome setting version_check", "update project eve"),
    ),
    Harm("its volumes' owner removed", "factory1", "docker rm -f dome_uwsgi", (DOME,)),
    Harm(
        "run with another port", "factory1",
        f"DOME_PORT=8001 script -qec 'bash {SCRIPT} run' /dev/null", (DOME,),
    ),
    Harm(
        "image removed", "factory1", f"docker rmi -f {IMAGE}:latest", (f"create image {IMAGE}",),
    ),
    Harm(
        "image replaced", "factory1", f"docker commit dome_nginx {IMAGE}:latest",
        (f"update image {IMAGE}",),
    ),
    Harm("image's name removed", "factory1", f"docker rmi {IMAGE}:$(docker image ls --format "
         f"'{{{{.Tag}}}}' {IMAGE} | grep -v latest)", (f"update image {IMAGE}",)),
    Harm("script edited", "factory1", f"echo >> {SCRIPT}", (f"update script {SCRIPT}",)),
    Harm("script updated itself", "factory1", f"chmod 711 {SCRIPT}", (f"update script {SCRIPT}",)),
    Harm("script deleted", "factory1", f"rm {SCRIPT}", (f"create script {SCRIPT}",)),
    Harm(
        "volume deleted", "factory1", "rm -r /cros_docker/tftp",
        ("create directory /cros_docker/tftp", DOME),
    ),
    Harm(
        "folder's mode", "factory1", "chmod 700 /cros_docker/umpire",
        ("update directory /cros_docker/umpire",),
    ),
    Harm("disabled", "factory1", "systemctl disable docker", ("update unit docker.service",)),
    Harm(
        # Nobody can be asked what the engine has; the plan says that it is known after apply.
        "engine stopped", "factory1", "systemctl stop docker.socket docker",
        (
            "update unit docker.service",
            "run check Docker of the factory server",
            f"update image {IMAGE}",
            DOME,
            "update dome setting version_check",
            "update project eve",
        ),
    ),
    Harm(
        "package removed", "factory1", "apt-get -qy remove tzdata", ("create packages tzdata",)
    ),
    Harm(
        "key changed", "dut01", f"sed -i s/10.0.0.6/10.9.9.9/ {LSB}",
        (f"update file {LSB}", "run job update-engine"),
    ),
    Harm(
        "key deleted", "dut01", f"sed -i /DEVSERVER/d {LSB}",
        (f"update file {LSB}", "run job update-engine"),
    ),
    Harm("job stopped", "dut01", "initctl stop update-engine", ("update job update-engine",)),
    Harm(
        "restart lost", "dut01", f": > {RECORDS_OF_A_DUT}/restart/update-engine",
        ("run job update-engine",),
    ),
    Harm(
        "key twice", "dut02", f"echo CHROMEOS_DEVSERVER=http://10.9.9.9:8080 >> {LSB}",
        (f"update file {LSB}", "run job update-engine"),
    ),
    Harm(
        "file deleted", "dut02", f"rm {LSB}",
        (f"create file {LSB}", "run job update-engine"),
    ),
    Harm(
        "file deleted, job stopped", "dut02", f"rm {LSB}; initctl stop update-engine",
        (f"create file {LSB}", "update job update-engine"),
    ),
    Harm(
        "records deleted, key changed", "dut02",
        f"rm -r {RECORDS_OF_A_DUT}; sed -i s/8080/80/ {LSB}",
        (f"update file {LSB}", "run job update-engine"),
    ),
]  # fmt: skip


def rounds(harms: Sequence[Harm]) -> list[tuple[Harm, ...]]:
    """Put together the first harms of all hosts, their second ones, and so on."""
    hosts: dict[str, list[Harm]] = {}
    for harm in harms:
        hosts.setdefault(harm.host, []).append(harm)
    return [tuple(filter(None, together)) for together in zip_longest(*hosts.values())]


def name_of(harms: tuple[Harm, ...]) -> str:
    return "+".join(f"{harm.host}:{harm.name.replace(' ', '-')}" for harm in harms)


def listed(plan: dict[str, Any]) -> dict[str, tuple[str, ...]]:
    """Word the changes of each host that has any, as the table does."""
    assert plan["failures"] == []
    return {
        host["host"]: tuple(
            f"{change['action']} {change['resource']['kind']} {change['resource']['name']}"
            for change in host["changes"]
        )
        for host in plan["hosts"]
        if host["changes"]
    }


@pytest.mark.parametrize("harms", rounds(HARMS), ids=name_of)
def test_what_is_changed_by_hand_is_listed_and_mended(
    harms: tuple[Harm, ...], story: Story
) -> None:
    lab = story.lab
    try:
        for harm in harms:
            lab.must(harm.host, harm.command)
        plan = lab.crosprov("plan", "--detailed-exitcode", "--format", "json")
        assert plan.returncode == 2, told(plan)
        assert listed(json.loads(plan.stdout)) == {harm.host: harm.lists for harm in harms}
    finally:
        apply = lab.crosprov("apply", "--yes", "--format", "json")
    assert apply.returncode == 0, told(apply)
    again = lab.crosprov("plan", "--detailed-exitcode")
    assert again.returncode == 0, told(again)


# What is not crosprov's: a plan leaves it alone, and so does an apply.
FOREIGN = [
    ("mirror1", f"echo archive > {STORE}/a.tar.xz", f"rm {STORE}/a.tar.xz"),
    (
        "dev1",
        "mkdir /etc/systemd/system/devserver.service.d;"
        "printf '[Service]\\nNice=1\\n' > /etc/systemd/system/devserver.service.d/by-hand.conf;"
        "systemctl daemon-reload",
        "rm -r /etc/systemd/system/devserver.service.d; systemctl daemon-reload",
    ),
    (
        "factory1", f"docker run -d --name somebodys {IMAGE} sleep 999", "docker rm -f somebodys",
    ),
    ("dut01", f"echo CHROMEOS_RELEASE_TRACK=dev-channel >> {LSB}", f"sed -i /TRACK/d {LSB}"),
    ("dut02", f"chmod 600 {LSB}", f"chmod 644 {LSB}"),
]  # fmt: skip


def test_what_belongs_to_others_is_no_drift(story: Story) -> None:
    lab = story.lab
    try:
        for host, command, _ in FOREIGN:
            lab.must(host, command)
        plan = lab.crosprov("plan", "--detailed-exitcode")
        assert plan.returncode == 0, told(plan)
    finally:
        for host, _, undo in FOREIGN:
            lab.must(host, undo)


# What nobody can want by mistake is not overruled: the host is left alone, with a sentence.
REFUSED = [
    (
        "mirror1", "systemctl mask nginx", "systemctl unmask nginx",
        "nginx.service is masked on the host", "somebody masked it on purpose",
    ),
    (
        "dev1", f"mv {CLIENT} {CLIENT}.kept; mkdir {CLIENT}",
        f"rmdir {CLIENT}; mv {CLIENT}.kept {CLIENT}",
        f"{CLIENT} is a directory where a file is wanted", "move it away by hand",
    ),
    (
        "dut01", f"mv {LSB} {LSB}.kept; mkdir {LSB}", f"rmdir {LSB}; mv {LSB}.kept {LSB}",
        f"{LSB} is a directory where a file is wanted", "remove it by hand",
    ),
    (
        "dut02", f"mv {LSB} {LSB}.kept; ln -s lsb-release.kept {LSB}",
        f"mv -f {LSB}.kept {LSB}",
        f"{LSB} is a link to lsb-release.kept", "name the file that it points at",
    ),
]  # fmt: skip


def test_what_somebody_did_on_purpose_is_not_overruled(story: Story) -> None:
    lab = story.lab
    try:
        for host, command, *_ in REFUSED:
            lab.must(host, command)
        before = lab.uppers()
        apply = lab.crosprov("apply", "--yes", "--format", "json")
        assert apply.returncode == 4, told(apply)
        after = lab.uppers()
        assert {host: differences(before[host], after[host]) for host in lab.hosts} == {
            host: [] for host in lab.hosts
        }
    finally:
        for host, _, undo, *_ in REFUSED:
            lab.must(host, undo)
    hosts = {host["host"]: host for host in json.loads(apply.stdout)["hosts"]}
    for host, _, _, words, hint in REFUSED:
        assert words in hosts[host]["message"]
        assert hint in hosts[host]["hint"]
    assert hosts["factory1"]["outcome"] == "unchanged"
    mended = lab.crosprov("plan", "--detailed-exitcode")
    assert mended.returncode == 0, told(mended)


def test_containers_have_a_folder_that_was_made_anew(story: Story) -> None:
    lab = story.lab
    lab.must("factory1", "rm -r /cros_docker/tftp")
    apply = lab.crosprov("apply", "--yes", "--limit", "factory1")
    assert apply.returncode == 0, told(apply)
    lab.must("factory1", "touch /cros_docker/tftp/by-hand")
    for container in ("dome_uwsgi", "dome_nginx"):
        lab.must("factory1", f"docker exec {container} test -e /var/tftp/by-hand")
    lab.must("factory1", "rm /cros_docker/tftp/by-hand")
