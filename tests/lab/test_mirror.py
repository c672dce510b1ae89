"""A mirror host of the virtual lab: installed, synced from an upstream, and read by a dev host."""

from __future__ import annotations

import json
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

import pytest

from tests.lab.labs import Lab, booted, told, until
from tests.mirror.overlays import write_tree

pytestmark = [pytest.mark.lab, pytest.mark.timeout(600)]

MIRROR, DEV = "mirror1", "dev1"  # the dev host is the upstream, too
STORE, TREE = "/srv/mirror/gentoo/distfiles", "/srv/trees/one"
SERVICE = "crosprov-mirror@gentoo.service"
SERVED = "http://10.0.0.6/gentoo/distfiles"
FILES = {"foo-1.tar.xz": bytes(range(256)) * 4096, "bar%2F-2.tar.gz": b"bar" * 999}

LAB = f"""
lab: NAME
mirrors:
  gentoo:
    kind: automatic
    upstreams: [http://10.0.0.7:8000]
    trees: [{TREE}]
    store: {STORE}
    layout: hashed
  secret: {{kind: manual, visibility: private, store: /srv/mirror/secret}}
hosts:
  {MIRROR}:
    ssh: {{host: 10.0.0.6}}
    mirror: {{serves: [gentoo, secret]}}
  {DEV}:
    ssh: {{host: 10.0.0.7}}
    dev_server: {{mirrors: {MIRROR}, make_conf: /root/make.conf}}
"""


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """A dev host that is an upstream with two files, and a mirror that shall have them."""
    folder = tmp_path_factory.mktemp("mirror")
    with booted(folder, LAB) as one:
        one.must(DEV, "echo 'USE=\"-x\"' >/root/make.conf")
        done = one.crosprov("apply", "--yes", "--limit", DEV)
        assert done.returncode == 0, told(done)
        distfiles = folder / "up" / "distfiles"
        distfiles.mkdir(parents=True)
        for name, content in FILES.items():
            (distfiles / name).write_bytes(content)
        send(one, DEV, folder / "up", "/srv/up")
        send(one, MIRROR, write_tree(folder / "tree", FILES), TREE)
        one.must(
            DEV,
            "systemd-run --collect --unit upstream python3 -m http.server -d /srv/up 8000",
        )
        until(lambda: one.ssh(DEV, "curl -sf http://127.0.0.1:8000/ -o /dev/null").returncode == 0)
        first = one.crosprov("apply", "--yes")
        assert first.returncode == 0, told(first)
        yield one


def send(lab: Lab, host: str, folder: Path, target: str) -> None:
    """Put a folder onto a host, in place of what is there."""
    with TemporaryFile() as packed:
        with tarfile.open(fileobj=packed, mode="w") as archive:
            archive.add(folder, ".")
        packed.seek(0)
        command = f"rm -rf {target} && mkdir -p {target} && tar --no-same-owner -x -C {target}"
        unpack = [*lab.twin.ssh_command(host, user="root"), command]
        subprocess.run(unpack, stdin=packed, check=True, timeout=60)


def changes(lab: Lab) -> list[str]:
    """Name what a plan would change."""
    done = lab.crosprov("plan", "--format", "json")
    assert done.returncode in (0, 2), told(done)
    plan: dict[str, Any] = json.loads(done.stdout)
    assert plan["failures"] == [], told(done)
    return [
        f"{change['action']} {change['resource']['kind']} {change['resource']['name']}"
        for host in plan["hosts"]
        for change in host["changes"]
    ]


def about(lab: Lab) -> dict[str, str]:
    done = lab.crosprov("status", "--format", "json", "--limit", MIRROR)
    assert done.returncode == 0, told(done)
    found: dict[str, str] = json.loads(done.stdout)["hosts"][0]["about"]
    return found


def test_the_first_sync_is_part_of_apply_and_all_is_served(lab: Lab) -> None:
    assert changes(lab) == []
    assert about(lab)["mirror gentoo"] == "good sync less than a day ago"
    assert set(lab.must(MIRROR, f"ls {STORE}").split()) >= {*FILES, "layout.conf"}
    quoted = {name: name.replace("%", "%25") for name in FILES}
    for name, content in FILES.items():
        size = lab.must(DEV, f"curl -sf {SERVED}/{quoted[name]} | wc -c")
        assert int(size) == len(content)
    part = lab.must(DEV, f"curl -sf -r 3-5 {SERVED}/foo-1.tar.xz | od -An -tu1")
    assert part.split() == ["3", "4", "5"]


def test_builds_are_told_to_fetch_from_there_only(lab: Lab) -> None:
    sourced = ". /root/make.conf; echo $USE $GENTOO_MIRRORS $FEATURES"
    assert lab.must(DEV, sourced).split() == [
        "-x", "http://10.0.0.6:80/gentoo", "http://10.0.0.6:80/secret", "force-mirror",
    ]  # fmt: skip
    fetch = (
        "set -e; . /root/make.conf; DISTDIR=/tmp FILE=foo URI="
        f'{SERVED}/foo-1.tar.xz; eval "$FETCHCOMMAND" 2>/dev/null; wc -c </tmp/foo'
    )
    assert int(lab.must(DEV, fetch)) == len(FILES["foo-1.tar.xz"])


def test_a_private_mirror_is_for_dev_hosts_and_lists_nothing(lab: Lab) -> None:
    lab.must(MIRROR, "echo hidden >/srv/mirror/secret/s-1.tar.xz")
    codes = "curl -s -o /dev/null -w '%{http_code} ' http://10.0.0.6/secret/distfiles/"
    asked = f"{codes}s-1.tar.xz; {codes}"
    assert lab.must(DEV, asked).split() == ["200", "403"]
    assert lab.must(MIRROR, asked).split() == ["403", "403"]
    incoming = f"curl -s -o /dev/null -w '%{{http_code}}' {SERVED}/.crosprov-incoming/lock"
    assert lab.must(DEV, incoming) == "404"


def test_what_upstream_lacks_is_told_and_leaves_nothing_to_apply(lab: Lab) -> None:
    grown = write_tree(lab.folder / "grown", {**FILES, "gone-3.tar.gz": b"gone"})
    send(lab, MIRROR, grown, TREE)
    try:
        lab.must(MIRROR, f"systemctl start {SERVICE}")
        assert "no upstream has it" in lab.must(MIRROR, f"journalctl -u {SERVICE}")
        assert about(lab)["mirror gentoo"] == "good sync less than a day ago, 1 file lacking"
        plan = lab.crosprov("plan")
        assert "the mirror gentoo lacks 1 file" in plan.stdout, told(plan)
        assert changes(lab) == []
    finally:
        send(lab, MIRROR, lab.folder / "tree", TREE)
    lab.must(MIRROR, f"systemctl start {SERVICE}")
    assert "lacking" not in about(lab)["mirror gentoo"]


def test_the_service_is_confined_and_has_a_timer(lab: Lab) -> None:
    exposed = lab.must(MIRROR, f"systemd-analyze security {SERVICE} --no-pager")
    level = float(exposed.rpartition(f"{SERVICE}: ")[2].split()[0])
    assert level < 2.5, exposed
    assert lab.must(MIRROR, f"stat -c %U {STORE}/foo-1.tar.xz").strip() == "crosprov-mirror"
    assert "crosprov-mirror@gentoo.timer" in lab.must(MIRROR, "systemctl list-timers --no-pager")


def test_a_mirror_without_trees_is_not_synced_any_more(lab: Lab) -> None:
    upstreams, trees = "    upstreams: [http://10.0.0.7:8000]\n", f"    trees: [{TREE}]\n"
    lab.write(LAB.replace(upstreams, "").replace(trees, ""))
    try:
        done = lab.crosprov("apply", "--yes", "--limit", MIRROR)
        assert done.returncode == 0, told(done)
        assert lab.must(MIRROR, "ls /etc/systemd/system /etc/crosprov/mirrors").count("gentoo") == 0
        assert changes(lab) == []
        lab.must(MIRROR, f"test -s {STORE}/foo-1.tar.xz")
    finally:
        lab.write(LAB)
