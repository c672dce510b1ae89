"""What stands in the files that the deploys write."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from crosprov import wheelhouse
from crosprov.deploying import base_url
from crosprov.errors import PlanError
from crosprov.planning.plan import Write
from crosprov.wheels import DEVSERVER
from tests.deploys import labs, scripted
from tests.deploys.scripted import ScriptedHost

LSB = "/mnt/stateful_partition/etc/lsb-release"
SITE = "/etc/nginx/conf.d/crosprov-mirror.conf"
UNIT = "/etc/systemd/system/devserver.service"
BOTO = "/etc/crosprov/devserver.boto"
MAKE_CONF = "/etc/crosprov/make.conf.mirrors"
ENVIRONMENT = f"/usr/lib/crosprov/devserver/{wheelhouse.digest(DEVSERVER)}"


def content(folder: Path, name: str, path: str, *changes: tuple[str, str]) -> str:
    """Give what a file of a host holds when the host is as the changed lab wants it."""
    return labs.settled(labs.read(folder, *changes), name).paths[path].content.decode()


@pytest.mark.parametrize(
    ("address", "url"),
    [
        ("10.0.0.6", "http://10.0.0.6:80"),
        ("dev1.example.com", "http://dev1.example.com:80"),
        ("2001:db8::1", "http://[2001:db8::1]:80"),
    ],
)
def test_an_address_becomes_a_url(address: str, url: str) -> None:
    assert base_url(address, 80) == url


def test_a_template_next_to_the_inventory_knows_host_and_lab(tmp_path: Path) -> None:
    assert content(tmp_path, "server1", "/etc/motd") == "server1 of demo: ask me\n"


# --- the dev server ---


def test_builds_fetch_from_the_mirrors_that_are_served(tmp_path: Path) -> None:
    text = content(tmp_path, "dev1", MAKE_CONF)
    bases = "http://10.0.0.5:8081/gentoo http://10.0.0.5:8081/localmirror"
    assert f'\nGENTOO_MIRRORS="{bases}"\n' in text


def test_what_the_inventory_no_longer_says_is_taken_away(tmp_path: Path) -> None:
    host = labs.settled(labs.read(tmp_path), "dev1")
    less = labs.read(tmp_path, (", mirrors: mirror1, credentials: {file: boto}", ""))
    drawing = host.plan(labs.model(less, "dev1"))
    names = [f"{change.action.mark} {change.resource.name}" for change in drawing.changes]
    assert names == [f"- {BOTO}", f"- {MAKE_CONF}", f"~ {UNIT}", "> devserver.service"]


def test_credentials_are_private_and_not_in_the_plan(tmp_path: Path) -> None:
    lab = labs.read(tmp_path)
    drawing = labs.fresh().plan(labs.model(lab, "dev1"))
    assert "s3cret-of-boto" not in repr(drawing.changes)
    written = [
        step for change in drawing.changes for step in change.steps if isinstance(step, Write)
    ]
    assert all(b"s3cret-of-boto" not in step.content for step in written)
    placed = labs.settled(lab, "dev1").paths[BOTO]
    assert (placed.mode, placed.owner, placed.group) == ("0600", "devserver", "devserver")
    assert placed.content == b"s3cret-of-boto\n"


UNITS: list[tuple[tuple[tuple[str, str], ...], list[str]]] = [
    (
        (),
        [
            "User=devserver",
            f"ExecStart={ENVIRONMENT}/bin/python -IB -m crosprov.devserver "
            '--port "8082" --static_dir "/srv/devserver/static" '
            '--archive "gs://chromeos-image-archive" '
            '--credentials "/etc/crosprov/devserver.boto"',
            'ReadWritePaths="/srv/devserver/static"',
            "CapabilityBoundingSet=",
            "ProtectHome=true",
            "PrivateTmp=true",
        ],
    ),
    (
        (("port: 8082", "port: 82"),),
        ["AmbientCapabilities=CAP_NET_BIND_SERVICE", "CapabilityBoundingSet=CAP_NET_BIND_SERVICE"],
    ),
    ((("port: 8082", "static_dir: /home/x/static"),), ["ProtectHome=read-only"]),
    ((("port: 8082", "static_dir: /var/tmp/x"),), ["PrivateTmp=false"]),
    (
        (("port: 8082", "static_dir: '/srv/a b%c$d\"e'"),),
        [r'ReadWritePaths="/srv/a b%%c$d\"e"', r'RequiresMountsFor="/srv/a b%%c$d\"e"'],
    ),
]


@pytest.mark.parametrize(("changes", "lines"), UNITS)
def test_the_unit_of_the_dev_server(
    tmp_path: Path, changes: tuple[tuple[str, str], ...], lines: list[str]
) -> None:
    unit = content(tmp_path, "dev1", UNIT, *changes).splitlines()
    assert [line for line in lines if line not in unit] == []


def test_a_dollar_in_a_command_line_is_no_variable(tmp_path: Path) -> None:
    unit = content(tmp_path, "dev1", UNIT, ("port: 8082", "static_dir: '/srv/a$b%c'"))
    assert ' --static_dir "/srv/a$$b%%c" ' in unit


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="systemd-analyze is missing")
@pytest.mark.parametrize("changes", [changes for changes, _ in UNITS])
def test_systemd_takes_the_unit(tmp_path: Path, changes: tuple[tuple[str, str], ...]) -> None:
    text = content(tmp_path, "dev1", UNIT, *changes)
    # The account and the environment are made by the same plan; here there are none.
    text = re.sub(r"(?m)^(User|Group)=.*\n", "", text).replace(
        f"{ENVIRONMENT}/bin/python", "/bin/sh"
    )
    unit = tmp_path / "devserver.service"
    unit.write_text(text)
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", "--recursive-errors=no", str(unit)],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    complaints = [line for line in done.stderr.splitlines() if unit.name in line]
    assert complaints == []


# --- the mirror ---

PRIVATE = ("localmirror: {kind: manual,", "localmirror: {kind: manual, visibility: private,")


def test_a_store_is_served_below_the_name_of_its_mirror(tmp_path: Path) -> None:
    site = content(tmp_path, "mirror1", SITE)
    assert "location /gentoo/distfiles/ {" in site
    assert 'alias "/srv/mirror/gentoo/distfiles/";' in site
    assert 'alias "/srv/mirror/localmirror/";' in site
    assert "listen 8081 default_server;" in site
    assert "listen [::]" not in site and "deny" not in site


def test_a_private_mirror_is_for_the_dev_hosts_that_name_it(tmp_path: Path) -> None:
    site = content(tmp_path, "mirror1", SITE, PRIVATE)
    public, _, private = site.partition("location /localmirror/distfiles/")
    assert "allow" not in public
    assert re.findall(r"(?:allow|deny) [^;]+", private) == [
        "allow 127.0.0.1", "allow ::1", "allow 10.0.0.6", "deny all",
    ]  # fmt: skip


def test_the_front_page_tells_of_public_mirrors_only(tmp_path: Path) -> None:
    (page,) = re.findall(r"return 200 .*", content(tmp_path, "mirror1", SITE, PRIVATE))
    assert re.findall(r"href='([^']*)'", page) == ["/gentoo/distfiles/"]


def test_a_reader_that_has_only_a_name_is_told(tmp_path: Path) -> None:
    lab = labs.read(tmp_path, PRIVATE, ("10.0.0.6", "dev1.example.com"))
    (notice,) = labs.fresh().plan(labs.model(lab, "mirror1")).notices
    assert notice.startswith("dev1 cannot read the private mirrors of mirror1")


def test_a_host_without_an_ipv4_address_is_served_over_ipv6(tmp_path: Path) -> None:
    site = content(tmp_path, "mirror1", SITE, ("10.0.0.5}", "'2001:db8::5'}"))
    assert "listen [::]:8081 default_server;" in site


# --- the DUT ---

UPDATES = "CHROMEOS_AUSERVER=http://10.0.0.6:8082/update"
SERVER = "CHROMEOS_DEVSERVER=http://10.0.0.6:8082"
TRACK = "CHROMEOS_RELEASE_TRACK=x-channel"
ALONE = ("dev_server: dev1, lsb_release: {CHROMEOS_RELEASE_TRACK: x-channel}", "label: null")


def dut_with(text: str) -> ScriptedHost:
    """Make a DUT whose stateful lsb-release holds a text."""
    host = labs.fresh()
    host.paths[LSB] = scripted.Path("regular file", content=text.encode())
    return host


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("", f"{UPDATES}\n{SERVER}\n{TRACK}\n"),
        (f"# mine\n{SERVER}", f"# mine\n{SERVER}\n{UPDATES}\n{TRACK}\n"),
        (
            f"CHROMEOS_AUSERVER=http://old/update\nOTHER=1\n{TRACK}\n",
            f"{UPDATES}\nOTHER=1\n{TRACK}\n{SERVER}\n",
        ),
    ],
)
def test_the_lines_of_a_dut(tmp_path: Path, before: str, after: str) -> None:
    model = labs.model(labs.read(tmp_path), "dut01")
    host = dut_with(before)
    host.take_in(host.plan(model))
    assert host.paths[LSB].content.decode() == after
    assert host.plan(model).changes == []


def test_a_label_pins_a_build(tmp_path: Path) -> None:
    text = content(tmp_path, "dut01", LSB, ("dev_server: dev1", "dev_server: dev1, label: eve/R1"))
    assert f"{UPDATES}/eve/R1\n{SERVER}\n" in text


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("", ""),
        ("OTHER=1\n", "OTHER=1\n"),
        (f"{UPDATES}/eve/R1\nOTHER=1\n{SERVER}\n", "OTHER=1\n"),
        ("CHROMEOS_AUSERVER=http://10.0.0.6:80820/update\n",) * 2,
        ("CHROMEOS_AUSERVER=http://localhost:8080/update\nCHROMEOS_DEVSERVER=\n",) * 2,
    ],
)
def test_without_a_dev_server_only_our_own_lines_go(
    tmp_path: Path, before: str, after: str
) -> None:
    model = labs.model(labs.read(tmp_path, ALONE), "dut01")
    host = dut_with(before)
    drawing = host.plan(model)
    host.take_in(drawing)
    assert host.paths[LSB].content.decode() == after
    restarted = [str(change.resource) for change in drawing.changes]
    assert restarted == ([] if before == after else [f"file {LSB}", "job update-engine"])


def test_a_restart_that_is_due_is_not_lost_without_a_dev_server(tmp_path: Path) -> None:
    host = dut_with("OTHER=1\n")
    host.marks.add("update-engine")
    drawing = host.plan(labs.model(labs.read(tmp_path, ALONE), "dut01"))
    assert [str(change.resource) for change in drawing.changes] == ["job update-engine"]


def test_lines_that_the_update_engine_does_not_reach_are_told(tmp_path: Path) -> None:
    host = dut_with("# fine\n\nA=1\nnonsense\nB=2\nmore\n")
    (notice,) = host.plan(labs.model(labs.read(tmp_path), "dut01")).notices
    assert notice == f"{LSB}, line 4: update_engine reads neither this nor anything after it"


def test_a_directory_in_the_place_of_lsb_release_is_refused(tmp_path: Path) -> None:
    host = labs.fresh()
    host.paths[LSB] = scripted.Path("directory", "0755")
    with pytest.raises(PlanError) as caught:
        host.plan(labs.model(labs.read(tmp_path), "dut01"))
    assert "is a directory where a file is wanted" in caught.value.message
    assert caught.value.hint and "remove it by hand" in caught.value.hint


# --- the factory server ---


def test_the_database_is_never_emptied(tmp_path: Path) -> None:
    drawing = labs.fresh().plan(labs.model(labs.read(tmp_path), "factory1"))
    (change,) = [change for change in drawing.changes if change.resource.kind == "dome"]
    assert not any(isinstance(step, Write) for step in change.steps)


def test_the_script_gets_all_choices_that_it_does_not_remember(tmp_path: Path) -> None:
    lab = labs.read(tmp_path, ("factory_server: {", "factory_server: {shared_dir: /srv/factory, "))
    drawing = labs.fresh().plan(labs.model(lab, "factory1"))
    (change,) = [change for change in drawing.changes if change.resource.kind == "dome"]
    (script,) = (step.command for step in change.steps if step.do == "shell")
    assert (
        "DOME_PORT=8000 HOST_SHARED_DIR=/srv/factory HOST_LOCALTIME_PATH=/etc/localtime "
        "PROJECT=eve UMPIRE_PORT=8080 "
    ) in script
    assert " prune" not in script and " update" not in script
