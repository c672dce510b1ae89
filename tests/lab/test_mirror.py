"""A mirror host of the virtual lab: installed, synced from an upstream, and read by a dev host."""

from __future__ import annotations

import json
import signal
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

import pytest

from tests.devserver.depot import key_file
from tests.lab.labs import Lab, booted, told
from tests.mirror.overlays import write_tree
from tests.mirror.publishing import NAME, archive
from tests.support.bucket import BucketServer, bucket_server
from tests.support.waiting import until

pytestmark = [pytest.mark.lab, pytest.mark.timeout(600)]

MIRROR, DEV = "mirror1", "dev1"  # the dev host is the upstream, too
STORE, TREE = "/srv/mirror/gentoo/distfiles", "/srv/trees/one"
SERVICE = "crosprov-mirror@gentoo.service"
VERIFY = "crosprov-mirror-verify@gentoo.service"
BUCKET, ACCOUNT = "cloud-mirror", "lab@example.com"
OTHER, OTHER_SERVICE = "/srv/mirror/other", "crosprov-mirror@other.service"
SERVED = "http://10.0.0.6/gentoo/distfiles"
FILES = {"foo-1.tar.xz": bytes(range(256)) * 4096, "bar%2F-2.tar.gz": b"bar" * 999}
LARGE = {"large-1.tar.xz": bytes(range(250)) * 4000}
RSYNCD = "[files]\npath = /srv/up\nuse chroot = no\n"

LAB = f"""
lab: NAME
mirrors:
  gentoo:
    kind: automatic
    upstreams: [http://10.0.0.7:8000]
    trees: [{TREE}]
    store: {STORE}
    layout: hashed
  other:
    kind: automatic
    upstreams: [rsync://10.0.0.7/files]
    trees: [{{git: git://10.0.0.7/tree, branch: main}}]
    store: {OTHER}
  secret: {{kind: manual, visibility: private, store: /srv/mirror/secret}}
  cloud:
    kind: automatic
    visibility: private
    upstreams: [http://10.0.0.7:8000]
    trees: [{TREE}]
    store: gs://{BUCKET}/distfiles
    storage_endpoint: ENDPOINT
    credentials: {{file: key.json}}
hosts:
  {MIRROR}:
    ssh: {{host: 10.0.0.6}}
    mirror: {{serves: [gentoo, other, secret], fills: [cloud]}}
  {DEV}:
    ssh: {{host: 10.0.0.7}}
    common: {{packages: [git, rsync]}}
    dev_server: {{mirrors: {MIRROR}, make_conf: /root/make.conf}}
"""

COMMIT = (
    "cd /srv/git/tree && git init -q -b main && git add . && "
    "git -c user.name=a -c user.email=a@example.com commit -q -m one"
)
SERVERS = {
    "upstream": "python3 -m http.server -d /srv/up 8000",
    "files": "rsync --daemon --no-detach",
    "trees": "git daemon --export-all --base-path=/srv/git",
}


@pytest.fixture(scope="module")
def booted_lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    with booted(tmp_path_factory.mktemp("mirror"), LAB.replace("ENDPOINT", "http://x")) as one:
        yield one


@pytest.fixture(scope="module")
def bucket(booted_lab: Lab) -> Iterator[BucketServer]:
    """A private bucket on this machine, which the mirror host fills."""
    here = booted_lab.must(MIRROR, "ip route show default").split()[2]
    with bucket_server(booted_lab.folder / "bucket", host=here) as server:
        server.bucket(BUCKET, public=False)
        server.token(ACCOUNT, roles={BUCKET: "roles/storage.admin"})
        key_file(booted_lab.folder, server.endpoint, ACCOUNT).chmod(0o600)
        yield server


@pytest.fixture(scope="module")
def lab(booted_lab: Lab, bucket: BucketServer) -> Iterator[Lab]:
    """A dev host that is all upstreams and holds a tree, and a host that shall have the files."""
    one, folder = booted_lab, booted_lab.folder
    write(one, bucket)
    one.must(DEV, "echo 'USE=\"-x\"' >/root/make.conf")
    done = one.crosprov("apply", "--yes", "--limit", DEV)
    assert done.returncode == 0, told(done)
    distfiles = folder / "up" / "distfiles"
    distfiles.mkdir(parents=True)
    for name, content in {**FILES, **LARGE}.items():
        (distfiles / name).write_bytes(content)
    send(one, DEV, folder / "up", "/srv/up")
    send(one, MIRROR, write_tree(folder / "tree", FILES), TREE)
    send(one, DEV, write_tree(folder / "sourced", FILES, cached=False), "/srv/git/tree")
    one.must(DEV, f"printf %s '{RSYNCD}' >/etc/rsyncd.conf")
    one.must(DEV, COMMIT)
    for unit, command in SERVERS.items():
        one.must(DEV, f"systemd-run --collect --unit {unit} {command}")
    until(lambda: one.ssh(DEV, "curl -sf http://127.0.0.1:8000/ -o /dev/null").returncode == 0)
    first = one.crosprov("apply", "--yes")
    assert first.returncode == 0, told(first)
    yield one


def write(lab: Lab, bucket: BucketServer, text: str = LAB) -> None:
    lab.write(text.replace("ENDPOINT", bucket.endpoint))


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


def about(lab: Lab, status: int = 0) -> dict[str, str]:
    """Give what the status of the mirror host tells."""
    done = lab.crosprov("status", "--format", "json", "--limit", MIRROR)
    assert done.returncode == status, told(done)
    found: dict[str, str] = json.loads(done.stdout)["hosts"][0]["about"]
    return found


def starts(lab: Lab) -> int:
    """Count how often the mirror's service was started."""
    return int(lab.must(MIRROR, f"journalctl -o cat -u {SERVICE} | grep -c ^Starting"))


def test_the_first_sync_is_part_of_apply_and_all_is_served(lab: Lab) -> None:
    assert changes(lab) == []
    assert about(lab)["mirror gentoo"] == "good sync less than a day ago"
    assert set(lab.must(MIRROR, f"ls {STORE}").split()) >= {*FILES, "layout.conf"}
    quoted = {name: name.replace("%", "%25") for name in FILES}
    for name, content in FILES.items():
        size = lab.must(DEV, f"curl -sf {SERVED}/{quoted[name]} | wc -c")
        assert int(size) == len(content)
    asked = f"curl -sf -r 3-5 -o /tmp/part -w '%{{http_code}} ' {SERVED}/foo-1.tar.xz"
    part = lab.must(DEV, f"{asked}; od -An -tu1 /tmp/part")
    assert part.split() == ["206", "3", "4", "5"]


def test_a_tree_of_git_and_files_of_rsync_are_brought(lab: Lab) -> None:
    assert about(lab)["mirror other"] == "good sync less than a day ago"
    for name, content in FILES.items():
        assert int(lab.must(MIRROR, f"wc -c <{OTHER}/{name}")) == len(content)
    sourced = lab.must(MIRROR, f"journalctl --no-pager -u {OTHER_SERVICE}")
    assert "1 ebuild was sourced" in sourced, "its metadata cache was left out on purpose"
    grown = {**FILES, **LARGE}
    send(lab, DEV, write_tree(lab.folder / "larger", grown, cached=False), "/srv/git/tree")
    lab.must(DEV, COMMIT)
    lab.must(MIRROR, f"systemctl start {OTHER_SERVICE}")
    assert set(lab.must(MIRROR, f"ls {OTHER}").split()) == {*grown}


def test_a_person_on_the_host_reads_all_again(lab: Lab) -> None:
    program = "/usr/lib/crosprov/mirror/*/bin/python -IB -m crosprov.mirror"
    verify = f"{program} verify --config /etc/crosprov/mirrors/gentoo.json"
    said = lab.must(MIRROR, f"runuser -u crosprov-mirror -- {verify}")
    assert f"{len(FILES)} read and proven" in said


def test_builds_are_told_to_fetch_from_there_only(lab: Lab) -> None:
    sourced = ". /root/make.conf; echo $USE $GENTOO_MIRRORS $FEATURES"
    assert lab.must(DEV, sourced).split() == [
        "-x", *(f"http://10.0.0.6:80/{name}" for name in ("gentoo", "other", "secret")),
        "force-mirror",
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


def test_a_private_mirror_is_for_readers_and_is_published_to(
    lab: Lab, bucket: BucketServer
) -> None:
    (lab.folder / "reader").write_text("s3cret-of-dev1\n")
    declared = "fills: [cloud], readers: {dev1: {file: reader}}"
    write(lab, bucket, LAB.replace("fills: [cloud]", declared))
    try:
        done = lab.crosprov("apply", "--yes")
        assert done.returncode == 0 and changes(lab) == [], told(done)
        file = str(archive(lab.folder))
        words = ("mirror", "publish", file, "--to", str(lab.inventory), "secret", "--twin")
        done = lab.program(*words)
        assert done.returncode == 0, told(done)
        assert "as the reader dev1 http://" in done.stdout
        assert "answers with status 401" in done.stdout and "s3cret" not in told(done)
        assert "was there already" in lab.program(*words).stdout
        assert lab.must(MIRROR, f"stat -c '%a %U' /srv/mirror/secret/{NAME}") == "444 root\n"
        address = f"http://10.0.0.6/secret/distfiles/{NAME}"
        asked = f"curl -s -o /dev/null -w '%{{http_code}} ' {address}"
        assert lab.must(DEV, f"{asked}; {asked} -u dev1:wrong").split() == ["401", "401"]
        fetch = (
            f". /root/make.conf; DISTDIR=/tmp FILE=private URI={address}; "
            'eval "$FETCHCOMMAND" 2>/dev/null; sha512sum </tmp/private'
        )
        there = f"sha512sum </srv/mirror/secret/{NAME}"
        assert lab.must(DEV, fetch) == lab.must(MIRROR, there)
        assert lab.must(DEV, "stat -c %a /etc/crosprov/mirrors.netrc") == "600\n"
        hidden = "stat -c '%a %G' /etc/nginx/crosprov-mirror.readers; ps axww | grep -c s3cre[t]"
        assert lab.ssh(MIRROR, hidden).stdout == "640 www-data\n0\n"
    finally:
        write(lab, bucket)
        assert lab.crosprov("apply", "--yes").returncode == 0
    assert lab.must(DEV, asked).split() == ["200"]


def test_all_is_read_again_by_a_service_and_the_status_tells(lab: Lab) -> None:
    damaged = f"{STORE}/foo-1.tar.xz"
    lab.must(MIRROR, f"systemctl start {VERIFY}")
    assert about(lab)["mirror gentoo"].endswith("; all read less than a day ago, no findings")
    lab.must(MIRROR, f"chmod 644 {damaged} && printf X | dd of={damaged} conv=notrunc seek=9 bs=1")
    try:
        words = ("mirror", "verify", str(lab.inventory), "gentoo", "--twin", "--format", "json")
        done = lab.program(*words)
        assert done.returncode == 2, told(done)
        assert json.loads(done.stdout)["quarantine"] == ["foo-1.tar.xz"]
        assert about(lab)["mirror gentoo"].endswith("; all read less than a day ago, 1 finding")
        assert changes(lab) == []
        assert "crosprov-mirror-verify@gentoo.timer" in lab.must(
            MIRROR, "systemctl list-timers --no-pager"
        )
    finally:
        again = FILES["foo-1.tar.xz"][9]
        mend = f"printf '\\{again:03o}' | dd of={damaged} conv=notrunc seek=9 bs=1"
        lab.must(MIRROR, f"{mend} && chmod 444 {damaged}")
    done = lab.program("mirror", "sync", str(lab.inventory), "gentoo", "--twin")
    assert done.returncode == 0 and "2 present, 1 read and proven" in done.stdout, told(done)


def test_a_bucket_is_filled_by_the_host(lab: Lab, bucket: BucketServer) -> None:
    assert about(lab)["mirror cloud"] == "good sync less than a day ago"
    assert set(bucket.names(BUCKET)) == {f"distfiles/{name}" for name in FILES}
    key = "/etc/crosprov/mirrors/cloud.credentials"
    assert lab.must(MIRROR, f"stat -c '%a %U' {key}") == "600 crosprov-mirror\n"


def test_a_first_sync_goes_on_without_its_listener_and_the_next_apply_follows_it(
    lab: Lab, bucket: BucketServer
) -> None:
    send(lab, MIRROR, write_tree(lab.folder / "second", LARGE, name="two"), "/srv/trees/two")
    second = f"trees: [{TREE}, /srv/trees/two]\n    store: {STORE}"
    write(lab, bucket, LAB.replace(f"trees: [{TREE}]\n    store: {STORE}", second))
    before = starts(lab)
    lab.must(DEV, "systemctl kill -s STOP upstream")
    try:
        run = lab.start("apply", "--yes", "--limit", MIRROR)
        state = f"systemctl show -P ActiveState {SERVICE}"
        until(lambda: run.process.poll() is not None or lab.must(MIRROR, state) == "activating\n")
        run.signal(signal.SIGKILL)
        run.end()
        assert "configuration changed; under way: " in about(lab, 2)["mirror gentoo"]
        assert changes(lab) == ["run sync gentoo"]
        lab.must(DEV, "systemctl kill -s CONT upstream")
        done = lab.crosprov("apply", "--yes", "--limit", MIRROR)
        assert done.returncode == 0, told(done)
        assert int(lab.must(MIRROR, f"wc -c <{STORE}/large-1.tar.xz")) == 1_000_000
        assert changes(lab) == [] and starts(lab) == before + 1
    finally:
        lab.must(DEV, "systemctl kill -s CONT upstream")
        write(lab, bucket)
        assert lab.crosprov("apply", "--yes", "--limit", MIRROR).returncode == 0


def test_what_upstream_lacks_is_told_and_leaves_nothing_to_apply(lab: Lab) -> None:
    grown = write_tree(lab.folder / "grown", {**FILES, "gone-3.tar.gz": b"gone"})
    send(lab, MIRROR, grown, TREE)
    try:
        lab.must(MIRROR, f"systemctl start {SERVICE}")
        assert "no upstream has it" in lab.must(MIRROR, f"journalctl -u {SERVICE}")
        said = about(lab)
        lacking = said["mirror gentoo"].partition(";")[0]
        assert lacking == "good sync less than a day ago, 1 file lacking"
        assert said["last sync of gentoo"].startswith("gone-3.tar.gz: no upstream has it")
        plan = lab.crosprov("plan")
        assert "the mirror gentoo lacks 1 file" in plan.stdout, told(plan)
        assert changes(lab) == []
    finally:
        send(lab, MIRROR, lab.folder / "tree", TREE)
    lab.must(MIRROR, f"systemctl start {SERVICE}")
    said = about(lab)
    assert "lacking" not in said["mirror gentoo"] and "last sync of gentoo" not in said


@pytest.mark.parametrize("service", [SERVICE, VERIFY])
def test_the_services_are_confined(lab: Lab, service: str) -> None:
    exposed = lab.must(MIRROR, f"systemd-analyze security {service} --no-pager")
    level = float(exposed.rpartition(f"{service}: ")[2].split()[0])
    assert level < 2.5, exposed


def test_a_timer_starts_the_service(lab: Lab) -> None:
    assert lab.must(MIRROR, f"stat -c %U {STORE}/foo-1.tar.xz").strip() == "crosprov-mirror"
    assert "crosprov-mirror@gentoo.timer" in lab.must(MIRROR, "systemctl list-timers --no-pager")


def test_a_mirror_without_trees_is_not_synced_any_more(lab: Lab, bucket: BucketServer) -> None:
    filled = f"    upstreams: [http://10.0.0.7:8000]\n    trees: [{TREE}]\n    store: {STORE}\n"
    write(lab, bucket, LAB.replace(filled, f"    store: {STORE}\n"))
    try:
        done = lab.crosprov("apply", "--yes", "--limit", MIRROR)
        assert done.returncode == 0, told(done)
        assert lab.must(MIRROR, "ls /etc/systemd/system /etc/crosprov/mirrors").count("gentoo") == 0
        assert changes(lab) == []
        lab.must(MIRROR, f"test -s {STORE}/foo-1.tar.xz")
    finally:
        write(lab, bucket)
