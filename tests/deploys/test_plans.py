"""What each deploy asks for: on a fresh host, on one that is as wanted, and on one that drifted."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from crosprov import wheelhouse
from crosprov.errors import PlanError
from crosprov.planning.engine import Drawing
from crosprov.wheels import DEVSERVER
from tests.deploys import labs, scripted
from tests.deploys.scripted import ScriptedHost

SITE = "/etc/nginx/conf.d/crosprov-mirror.conf"
UNIT = "/etc/systemd/system/devserver.service"
BOTO = "/etc/crosprov/devserver.boto"
ENVIRONMENT = f"/usr/lib/crosprov/devserver/{wheelhouse.digest(DEVSERVER)}"

FIRST = {
    "server1": [
        "+ packages curl, rsync",
        "+ user alice",
        "+ file /home/alice/.ssh/authorized_keys",
        "+ directory /srv/lab",
        "+ directory /srv/lab/below",
        "+ link /srv/images",
        "+ file /etc/motd",
        "+ file /etc/issue",
        "+ file /etc/blob",
        "+ file /etc/default/locale",
        "+ file /etc/hosts",
        "~ unit cron.service",
        "> unit ssh.service",
    ],
    "mirror1": [
        "+ packages nginx-light",
        "+ directory /srv/mirror/gentoo/distfiles",
        "+ directory /srv/mirror/localmirror",
        "- file /etc/nginx/sites-enabled/default",
        f"+ file {SITE}",
        "> check nginx configuration",
        "~ unit nginx.service",
    ],
    "dev1": [
        "+ packages python3",
        "+ user devserver",
        "+ directory /srv/devserver/static",
        f"+ file {BOTO}",
        "+ file /etc/crosprov/make.conf.mirrors",
        f"+ environment {ENVIRONMENT}",
        f"+ file {UNIT}",
        "~ unit devserver.service",
        "+ file /usr/lib/crosprov/stage.py",
    ],
    "factory1": [
        "+ packages docker.io",
        "+ user alice",
        "~ unit docker.service",
        "+ packages tzdata",
        "+ directory /cros_docker",
        "+ directory /cros_docker/umpire",
        "+ directory /cros_docker/tftp",
        "+ directory /cros_docker/dome",
        "+ directory /cros_docker/dome/log",
        "+ directory /cros_docker/umpire/eve",
        "+ directory /cros_docker/umpire/kevin",
        "+ image cros/factory_server",
        "+ database /cros_docker/dome/db.sqlite3",
        "+ container dome_uwsgi",
        "+ container dome_nginx",
        "+ container umpire_eve",
        "+ container umpire_kevin",
    ],
    "dut01": ["+ file /mnt/stateful_partition/etc/lsb-release", "> job update-engine"],
}


def shown(drawing: Drawing) -> list[str]:
    """Word the changes of a plan, one line each."""
    return [f"{change.action.mark} {change.resource}" for change in drawing.changes]


@pytest.mark.parametrize("name", FIRST)
def test_a_fresh_host_gets_everything_in_order(tmp_path: Path, name: str) -> None:
    model = labs.model(labs.read(tmp_path), name)
    host = labs.fresh()
    assert shown(host.plan(model)) == FIRST[name]
    assert host.rounds == 1


@pytest.mark.parametrize("name", FIRST)
def test_a_host_that_is_as_wanted_gets_nothing(tmp_path: Path, name: str) -> None:
    lab = labs.read(tmp_path)
    host = labs.settled(lab, name)
    assert shown(host.plan(labs.model(lab, name))) == []
    assert host.rounds == 1


def _gone(path: str) -> Callable[[ScriptedHost], object]:
    return lambda host: host.paths.pop(path)


def _edited(path: str) -> Callable[[ScriptedHost], object]:
    def edit(host: ScriptedHost) -> None:
        host.paths[path].content += b"# by hand\n"

    return edit


def _mode(path: str) -> Callable[[ScriptedHost], object]:
    return lambda host: setattr(host.paths[path], "mode", "0777")


def _back(path: str) -> Callable[[ScriptedHost], object]:
    return lambda host: host.paths.update({path: scripted.Path("symbolic link", target="x")})


def _stopped(unit: str) -> Callable[[ScriptedHost], object]:
    return lambda host: setattr(host.units[unit], "active", False)


def _due(unit: str) -> Callable[[ScriptedHost], object]:
    return lambda host: host.marks.add(unit)


DRIFTS: list[tuple[str, Callable[[ScriptedHost], object], list[str]]] = [
    ("server1", lambda h: h.packages.discard("curl"), ["+ packages curl"]),
    ("server1", lambda h: h.accounts["alice"].discard("adm"), ["~ user alice"]),
    ("server1", _mode("/srv/lab"), ["~ directory /srv/lab"]),
    ("server1", _gone("/srv/images"), ["+ link /srv/images"]),
    ("server1", _edited("/etc/motd"), ["~ file /etc/motd", "> unit ssh.service"]),
    ("server1", _mode("/etc/issue"), ["~ file /etc/issue"]),
    ("server1", _edited("/etc/blob"), ["~ file /etc/blob"]),
    ("server1", _edited("/etc/hosts"), []),  # only the block is ours
    ("server1", _edited("/etc/default/locale"), []),  # only one key is ours
    ("server1", _stopped("cron.service"), ["~ unit cron.service"]),
    ("server1", _stopped("ssh.service"), []),  # nobody asked for it to run
    ("server1", _due("ssh.service"), ["> unit ssh.service"]),
    (
        "mirror1",
        _edited(SITE),
        [f"~ file {SITE}", "> check nginx configuration", "> unit nginx.service"],
    ),
    (
        "mirror1",
        _back("/etc/nginx/sites-enabled/default"),
        [
            "- link /etc/nginx/sites-enabled/default",
            "> check nginx configuration",
            "> unit nginx.service",
        ],
    ),
    ("mirror1", _gone("/srv/mirror/localmirror"), ["+ directory /srv/mirror/localmirror"]),
    ("mirror1", _stopped("nginx.service"), ["~ unit nginx.service"]),
    ("mirror1", _due("nginx.service"), ["> check nginx configuration", "> unit nginx.service"]),
    (
        "dev1",
        lambda h: h.environments.clear(),
        [f"+ environment {ENVIRONMENT}", "> unit devserver.service"],
    ),
    ("dev1", _edited(UNIT), [f"~ file {UNIT}", "> unit devserver.service"]),
    ("dev1", _mode(BOTO), [f"~ file {BOTO}", "> unit devserver.service"]),
    (
        "dev1",
        _edited("/etc/crosprov/make.conf.mirrors"),
        ["~ file /etc/crosprov/make.conf.mirrors"],
    ),
    ("factory1", lambda h: h.accounts["alice"].discard("docker"), ["~ user alice"]),
    ("factory1", _mode("/cros_docker/tftp"), ["~ directory /cros_docker/tftp"]),
    ("factory1", lambda h: h.containers.pop("umpire_eve"), ["+ container umpire_eve"]),
    (
        "factory1",
        lambda h: h.containers.update(umpire_kevin=("0" * 64, scripted.IMAGE)),
        ["~ container umpire_kevin"],
    ),
    (
        "factory1",
        lambda h: h.containers.pop("dome_uwsgi"),
        ["+ container dome_uwsgi", "~ container dome_nginx"],  # it has the other's volumes
    ),
    (
        "factory1",
        lambda h: setattr(h, "migrated", "sha256:older"),
        ["~ database /cros_docker/dome/db.sqlite3"],
    ),
    (
        "factory1",
        lambda h: setattr(h, "image", "sha256:other"),
        [
            "~ image cros/factory_server",
            "~ database /cros_docker/dome/db.sqlite3",
            "~ container dome_uwsgi",
            "~ container dome_nginx",
            "~ container umpire_eve",
            "~ container umpire_kevin",
        ],
    ),
    ("dut01", lambda h: setattr(h.jobs["update-engine"], "active", False), ["~ job update-engine"]),
    ("dut01", _due("update-engine"), ["> job update-engine"]),
    ("dut01", _edited("/mnt/stateful_partition/etc/lsb-release"), []),
]


@pytest.mark.parametrize(("name", "drift", "expected"), DRIFTS)
def test_what_drifted_is_all_that_changes(
    tmp_path: Path, name: str, drift: Callable[[ScriptedHost], object], expected: list[str]
) -> None:
    lab = labs.read(tmp_path)
    host = labs.settled(lab, name)
    drift(host)
    assert shown(host.plan(labs.model(lab, name))) == expected


def test_other_roles_leave_a_folder_to_common(tmp_path: Path) -> None:
    lab = labs.read(
        tmp_path,
        (
            "    mirror: {",
            "    common: {links: {/srv/mirror/localmirror: /mnt/big}}\n    mirror: {",
        ),
    )
    host = labs.settled(lab, "mirror1")
    assert host.paths["/srv/mirror/localmirror"].target == "/mnt/big"
    assert shown(host.plan(labs.model(lab, "mirror1"))) == []


NGINX_OF_COMMON = (
    "    mirror: {",
    "    common: {files: {/etc/nginx/conf.d/a.conf: {content: a, restarts: [nginx.service]}}, "
    "units: {nginx.service: {running: true}}}\n    mirror: {",
)


@pytest.mark.parametrize("units", [", units: {nginx.service: {running: true}}", ""])
def test_a_unit_that_another_role_brings_is_restarted_after_it(tmp_path: Path, units: str) -> None:
    text = NGINX_OF_COMMON[1].replace(", units: {nginx.service: {running: true}}", units)
    lab = labs.read(tmp_path, (NGINX_OF_COMMON[0], text))
    model = labs.model(lab, "mirror1")
    host = labs.fresh()
    first = host.plan(model)
    assert shown(first) == ["+ file /etc/nginx/conf.d/a.conf", *FIRST["mirror1"]]
    assert (host.rounds, model.roles) == (1, ("common", "mirror"))
    host.take_in(first)
    assert shown(host.plan(model)) == []


def test_nginx_checks_what_common_wrote_before_its_restart(tmp_path: Path) -> None:
    text = NGINX_OF_COMMON[1].replace(", units: {nginx.service: {running: true}}", "")
    lab = labs.read(tmp_path, (NGINX_OF_COMMON[0], text))
    host = labs.settled(lab, "mirror1")
    host.paths["/etc/nginx/conf.d/a.conf"].content = b"drift"
    assert shown(host.plan(labs.model(lab, "mirror1"))) == [
        "~ file /etc/nginx/conf.d/a.conf",
        "> check nginx configuration",
        "> unit nginx.service",
    ]


def test_a_file_may_belong_to_a_user_of_common(tmp_path: Path) -> None:
    owner = ('mode: "600"', "owner: alice, group: adm")
    host = labs.settled(labs.read(tmp_path, owner), "server1")
    assert (host.paths["/etc/issue"].owner, host.paths["/etc/issue"].group) == ("alice", "adm")


def test_an_archive_is_named_without_detours(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    lab = labs.read(tmp_path, ("image.tar", "sub/../image.tar"))
    changes = labs.fresh().plan(labs.model(lab, "factory1")).changes
    (sent,) = (step.source for change in changes for step in change.steps if step.do == "send")
    assert sent == str(tmp_path.resolve() / "image.tar")


@pytest.mark.parametrize(
    ("name", "change", "words"),
    [
        ("factory1", ("image_archive: image.tar, ", ""), "no image_archive"),
        ("factory1", ("image.tar", "missing.tar"), "cannot be read"),
        ("factory1", ("image.tar", "motd.j2"), "not an image archive"),
        ("mirror1", ("store: /srv/mirror/localmirror", "store: /srv/$x"), "holds a $"),
        ("server1", ("vars: {contact: me}, ", ""), "motd.j2:1: the template cannot be rendered"),
        ("server1", ("cron.service", "none.service"), "no unit none.service"),
        ("server1", ("[ssh.service]", "[none.service]"), "no unit none.service"),
        (
            "server1",
            ('/srv/lab: {mode: "0750"}', "/srv/lab: {owner: nobody2}"),
            "/srv/lab shall belong to nobody2, and the host has no such account",
        ),
        (
            "server1",
            ('mode: "600"', "owner: alice, group: lab2"),
            "/etc/issue shall belong to the group lab2, and the host has no such group",
        ),
        ("dut01", ("RELEASE_TRACK", "AUSERVER"), "which dev_server sets too"),
        ("dut01", ("x-channel", '"x "'), "blank or a backslash"),
    ],
)
def test_what_cannot_be_is_said_in_the_plan(
    tmp_path: Path, name: str, change: tuple[str, str], words: str
) -> None:
    lab = labs.read(tmp_path, change)
    host = labs.fresh()
    if name == "server1":
        host.packages = {"curl", "rsync"}  # or a package might bring the unit
    with pytest.raises(PlanError) as caught:
        host.plan(labs.model(lab, name))
    assert words in caught.value.message


@pytest.mark.parametrize(
    ("name", "change", "notice"),
    [
        (
            "factory1",
            ("factory_server: {", "factory_server: {admin_password: {env: PATH}, "),
            "admin_password of Dome is not carried out by this version; set it with "
            "`cros_docker.sh passwd`",
        ),
    ],
)  # fmt: skip
def test_what_is_not_carried_out_is_said(
    tmp_path: Path, name: str, change: tuple[str, str], notice: str
) -> None:
    lab = labs.read(tmp_path, change)
    host = labs.settled(lab, name)
    assert host.plan(labs.model(lab, name)).notices == [notice]
