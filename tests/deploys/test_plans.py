"""What each deploy asks for: on a fresh host, on one that is as wanted, and on one that drifted."""

from __future__ import annotations

import lzma
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
SCRIPT = "/opt/cros_docker/cros_docker.sh"
ENVIRONMENT = f"/usr/lib/crosprov/devserver/{wheelhouse.digest(DEVSERVER)}"

NEWER = "20240101000000-bbbbbb"
PIECES = f"script: {{file: cros_docker.sh}}, image_archive: {labs.RELEASE}.txz,"
TO_NEWER = (PIECES, "script: {file: new.sh}, image_archive: new.txz,")

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
        "+ file /etc/docker/daemon.json",
        "~ unit docker.service",
        "> check Docker of the factory server",
        "+ packages bsdutils, curl, sudo, tzdata, xz-utils",
        "+ directory /opt/cros_docker",
        "+ directory /cros_docker",
        "+ directory /cros_docker/umpire",
        "+ directory /cros_docker/tftp",
        "+ directory /cros_docker/dome",
        "+ directory /cros_docker/dome/log",
        "+ image cros/factory_server",
        "+ script /opt/cros_docker/cros_docker.sh",
        "+ dome /cros_docker",
        "~ dome setting version_check",
        "+ project eve",
        "+ project kevin",
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


def _replaced_image(host: ScriptedHost) -> None:
    old, host.image = host.image, "sha256:other"
    host.dome.update(dict.fromkeys(("dome_uwsgi image", "dome_nginx image"), old))
    host.umpire_images = dict.fromkeys(host.umpires, old)


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
    (
        "factory1",
        lambda h: h.umpires.pop("umpire_eve", None) or h.umpires.pop("eve"),
        ["~ project eve"],
    ),
    ("factory1", lambda h: h.dome.clear(), ["+ dome /cros_docker"]),
    ("factory1", lambda h: h.dome.update({"dome_nginx state": "exited"}), ["~ dome /cros_docker"]),
    ("factory1", lambda h: h.dome.update({"dome_nginx port 80/tcp": "1"}), ["~ dome /cros_docker"]),
    ("factory1", lambda h: h.dome.update({"dome_uwsgi env HOST_X": "1"}), []),
    ("factory1", lambda h: h.dome.pop("dome_uwsgi env HOST_TFTP_DIR"), []),  # an older script
    (
        "factory1",
        _gone("/cros_docker/dome/db.sqlite3"),  # what Dome tells now it will not know by then
        [
            "~ dome /cros_docker",
            "~ dome setting version_check",
            "~ project eve",
            "~ project kevin",
        ],
    ),
    (
        "factory1",
        _gone("/cros_docker/tftp"),
        ["+ directory /cros_docker/tftp", "~ dome /cros_docker"],
    ),
    ("factory1", _edited(SCRIPT), [f"~ script {SCRIPT}"]),
    ("factory1", _mode(SCRIPT), [f"~ script {SCRIPT}"]),
    ("factory1", _gone(SCRIPT), [f"+ script {SCRIPT}"]),
    ("factory1", lambda h: h.tags.clear(), ["~ image cros/factory_server"]),
    (  # somebody replaced it; Dome still runs from the one that comes back
        "factory1",
        _replaced_image,
        ["~ image cros/factory_server"],
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
    lab = labs.read(tmp_path, (f"{labs.RELEASE}.txz", f"sub/../{labs.RELEASE}.txz"))
    changes = labs.fresh().plan(labs.model(lab, "factory1")).changes
    (sent,) = (step.source for change in changes for step in change.steps if step.do == "send")
    assert sent == str(tmp_path.resolve() / f"{labs.RELEASE}.txz")


@pytest.mark.parametrize(
    ("name", "change", "words"),
    [
        ("factory1", (PIECES, ""), "the inventory names none"),
        ("factory1", (f"{labs.RELEASE}.txz", "missing.tar"), "cannot be read"),
        ("factory1", (f"{labs.RELEASE}.txz", "motd.j2"), "is neither a tar archive"),
        (
            "factory1",
            (PIECES, "version: 20200101000000-aaaaaa,"),
            "the inventory wants version 20200101000000-aaaaaa and names no bundle or script, and "
            "the host keeps no version at all",
        ),
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


def test_a_default_password_is_told(tmp_path: Path) -> None:
    lab = labs.read(tmp_path)
    host = labs.settled(lab, "factory1")
    assert host.plan(labs.model(lab, "factory1")).notices == [
        "Dome's account admin has the default password; declare admin_password"
    ]


def newer(folder: Path) -> ScriptedHost:
    """Make a factory server that was moved to a newer version."""
    host = labs.settled(labs.read(folder), "factory1")
    (folder / "new.sh").write_bytes(scripted.release_script(NEWER))
    (folder / "new.txz").write_bytes(lzma.compress(b"a newer image" * 1000))
    host.take_in(host.plan(labs.model(labs.read(folder, TO_NEWER), "factory1")))
    return host


def test_a_newer_version_is_brought_and_the_old_one_kept(tmp_path: Path) -> None:
    host = newer(tmp_path)
    assert shown(host.plan(labs.model(labs.read(tmp_path, TO_NEWER), "factory1"))) == []
    assert (host.release, sorted(host.tags)) == (NEWER, [labs.VERSION, NEWER])
    assert f"/opt/cros_docker/kept/{labs.VERSION}/cros_docker.sh" in host.paths


def test_a_version_that_the_host_keeps_is_all_that_an_inventory_must_name(tmp_path: Path) -> None:
    host = newer(tmp_path)
    lab = labs.read(tmp_path, (PIECES, f"version: {labs.VERSION},"))
    drawing = host.plan(labs.model(lab, "factory1"))
    assert not any(step.do == "send" for change in drawing.changes for step in change.steps)
    assert shown(drawing)[:3] == [
        "~ image cros/factory_server", f"~ script {SCRIPT}", "~ dome /cros_docker",
    ]  # fmt: skip
    assert f"goes back from {NEWER} to {labs.VERSION}" in drawing.notices[0]
    host.take_in(drawing)
    assert shown(host.plan(labs.model(lab, "factory1"))) == []
    assert host.paths[SCRIPT].content == scripted.release_script(labs.VERSION)


def test_a_third_version_takes_the_place_of_the_first(tmp_path: Path) -> None:
    host = newer(tmp_path)
    (tmp_path / "new.sh").write_bytes(scripted.release_script("20250101000000-cccccc"))
    changes = shown(host.plan(labs.model(labs.read(tmp_path, TO_NEWER), "factory1")))
    assert changes[-1] == f"- image cros/factory_server:{labs.VERSION}"


@pytest.mark.parametrize(
    ("user", "declared", "stays"),
    [
        ("somebodys", "", True),
        ("dome_tftp", "", True),  # the inventory leaves it as it is, so nothing makes it anew
        ("dome_tftp", "tftp: true, ", False),
        ("dome_mcast", "multicast: false, ", False),
        ("overlord", "", True),
        ("umpire_eve", "", False),
    ],
)
def test_an_image_stays_while_a_container_stays_with_it(
    tmp_path: Path, user: str, declared: str, stays: bool
) -> None:
    host = newer(tmp_path)
    host.users = {labs.VERSION: [user]}
    (tmp_path / "new.sh").write_bytes(scripted.release_script("20250101000000-cccccc"))
    lab = labs.read(tmp_path, TO_NEWER, ("projects:", f"{declared}projects:"))
    drawing = host.plan(labs.model(lab, "factory1"))
    assert stays != any(change.action == "delete" for change in drawing.changes)
