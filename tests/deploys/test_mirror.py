"""What the deploy of a mirror asks for when the mirror is to be synced."""

from __future__ import annotations

import json
from pathlib import Path
from typing import get_args

import pytest

from crosprov import wheelhouse
from crosprov.inventory.mirror import PresetName
from crosprov.mirror.config_file import parse_config
from crosprov.mirror.presets import PRESETS
from crosprov.wheels import MIRROR
from tests.deploys import labs
from tests.deploys.scripted import ScriptedHost

ENVIRONMENT = f"/usr/lib/crosprov/mirror/{wheelhouse.digest(MIRROR)}"
CONFIGURATION = "/etc/crosprov/mirrors/gentoo.json"
SERVICE = "/etc/systemd/system/crosprov-mirror@gentoo.service"
TIMER = "/etc/systemd/system/crosprov-mirror@gentoo.timer"
VERIFY = "/etc/systemd/system/crosprov-mirror-verify@gentoo.timer"
SITE = "/etc/nginx/conf.d/crosprov-mirror.conf"
STORE = "/srv/mirror/gentoo/distfiles"
SYNCED = ("gentoo: {kind: automatic, ", "gentoo: {kind: automatic, trees: [/srv/trees/one], "
          "upstreams: [https://distfiles.example.com], ")  # fmt: skip
IN_BUCKET = (
    (
        "gentoo: {kind: automatic, store: /srv/mirror/gentoo/distfiles}",
        "gentoo: {kind: automatic, trees: [/srv/trees/one], visibility: public, "
        "credentials: {file: boto}, store: gs://bucket/distfiles}",
    ),
    ("serves: [gentoo, localmirror]", "fills: [gentoo]"),
    ("mirrors: mirror1, ", ""),
)
FROM_GIT = ("gentoo: {kind: automatic, ", "gentoo: {kind: automatic, every: hourly, trees: "
            '[{git: "https://git.example.com/x", branch: main, public: false}], upstreams: '
            "[rsync://mirror.example.com/x], credentials: {file: boto}, ")  # fmt: skip


def summary(host: ScriptedHost, folder: Path, *changes: tuple[str, str]) -> list[str]:
    drawing = host.plan(labs.model(labs.read(folder, *changes), "mirror1"))
    return [f"{change.action.mark} {change.resource}" for change in drawing.changes]


def settled(folder: Path, *changes: tuple[str, str]) -> ScriptedHost:
    return labs.settled(labs.read(folder, *changes), "mirror1")


def test_a_mirror_that_nothing_fills_gets_no_program(tmp_path: Path) -> None:
    host = settled(tmp_path)
    assert not host.environments and "crosprov-mirror" not in host.accounts
    assert host.packages == {"nginx-light"}
    assert host.plan(labs.model(labs.read(tmp_path), "mirror1")).about == {}


def test_a_synced_mirror_gets_a_program_a_service_and_a_first_sync(tmp_path: Path) -> None:
    host = labs.fresh()
    names = summary(host, tmp_path, SYNCED)
    order = [
        "+ user crosprov-mirror",
        f"+ directory {STORE}",
        f"+ environment {ENVIRONMENT}",
        f"+ file {CONFIGURATION}",
        f"+ file {SERVICE}",
        f"+ file {TIMER}",
        "> sync gentoo",
    ]
    assert [names.index(name) for name in order] == sorted(names.index(name) for name in order)
    assert names.index("~ unit crosprov-mirror@gentoo.timer") < names.index("> sync gentoo")
    host = settled(tmp_path, SYNCED)
    assert summary(host, tmp_path, SYNCED) == []
    assert host.paths[STORE].owner == "crosprov-mirror"
    assert host.paths["/srv/mirror/localmirror"].owner == "root"


def test_the_host_gets_the_configuration_that_its_program_reads(tmp_path: Path) -> None:
    lab = labs.read(tmp_path, SYNCED)
    text = labs.settled(lab, "mirror1").paths[CONFIGURATION].content.decode()
    config = parse_config(text, CONFIGURATION)
    assert (config.name, config.store, config.kind) == ("gentoo", STORE, "automatic")
    assert config.upstreams == ("https://distfiles.example.com",)
    assert [tree.path for tree in config.trees] == [Path("/srv/trees/one")]
    assert config.reading == "http://10.0.0.5:8081/gentoo/distfiles"
    assert str(config.state) == "/var/lib/crosprov-mirror/gentoo"


def test_only_the_store_can_be_written(tmp_path: Path) -> None:
    text = settled(tmp_path, SYNCED).paths[SERVICE].content.decode()
    assert f'ReadWritePaths="{STORE}"\n' in text
    assert "ProtectSystem=strict\n" in text and "User=crosprov-mirror\n" in text
    assert (
        f"{ENVIRONMENT}/bin/python -IB -m crosprov.mirror sync --wait --config {CONFIGURATION}"
        in text
    )


def test_what_trees_and_upstreams_need_is_installed(tmp_path: Path) -> None:
    host = settled(tmp_path, FROM_GIT)
    assert host.packages == {"nginx-light", "python3", "git", "ca-certificates", "rsync"}
    assert "OnCalendar=hourly\n" in host.paths[TIMER].content.decode()
    key = host.paths["/etc/crosprov/mirrors/gentoo.credentials"]
    assert (key.mode.lstrip("0"), key.owner) == ("600", "crosprov-mirror")
    told = json.loads(host.paths[CONFIGURATION].content)
    assert told["trees"] == [
        {"git": "https://git.example.com/x", "branch": "main", "public": False}
    ]
    assert told["credentials"].endswith("gentoo.credentials") and "s3cret" not in str(told)


def test_another_tree_asks_for_a_sync_and_a_limit_does_not(tmp_path: Path) -> None:
    host = settled(tmp_path, SYNCED)
    limited = (SYNCED[0], f"{SYNCED[1]}limits: {{bandwidth: 1000}}, ")
    assert summary(host, tmp_path, limited) == [f"~ file {CONFIGURATION}"]
    other = (SYNCED[0], SYNCED[1].replace("trees/one", "trees/two"))
    assert summary(host, tmp_path, other) == [f"~ file {CONFIGURATION}", "> sync gentoo"]


@pytest.mark.parametrize(
    ("lacking", "days", "about", "notice"),
    [
        (0, "0", "good sync less than a day ago", ""),
        (0, "1", "good sync 1 day ago", ""),
        (0, "3", "good sync 3 days ago", "the last good sync of the mirror gentoo was 3 days ago"),
        (0, "7", "good sync 7 or more days ago", "was 7 or more days ago"),
        (2, "0", "good sync less than a day ago, 2 files lacking", "lacks 2 files"),
        (1, "never", "no good sync yet, 1 file lacking", "lacks 1 file"),
    ],
)
def test_the_status_tells_how_the_last_sync_was(
    tmp_path: Path, lacking: int, days: str, about: str, notice: str
) -> None:
    host = settled(tmp_path, SYNCED)
    host.syncs["gentoo"] = (host.syncs["gentoo"][0], lacking, days)
    drawing = host.plan(labs.model(labs.read(tmp_path, SYNCED), "mirror1"))
    assert drawing.changes == []
    assert drawing.about == {"mirror gentoo": about}
    assert len(drawing.notices) == bool(notice) and all(notice in one for one in drawing.notices)


def test_what_is_no_longer_synced_is_taken_away(tmp_path: Path) -> None:
    host = settled(tmp_path, SYNCED)
    names = summary(host, tmp_path)
    assert names == [f"~ directory {STORE}", "- syncs /var/lib/crosprov-mirror"]
    host.take_in(host.plan(labs.model(labs.read(tmp_path), "mirror1")))
    assert summary(host, tmp_path) == []


def test_all_files_are_read_again_each_week_by_a_service_that_gives_way(tmp_path: Path) -> None:
    host = settled(tmp_path, SYNCED)
    service = host.paths[VERIFY.replace("timer", "service")].content.decode()
    assert f"-m crosprov.mirror verify --wait --config {CONFIGURATION}\n" in service
    assert "Nice=19\nIOSchedulingClass=idle\n" in service
    timer = host.paths[VERIFY].content.decode()
    assert "OnCalendar=weekly\nRandomizedDelaySec=3d\n" in timer
    assert host.units["crosprov-mirror-verify@gentoo.timer"].active
    assert not host.units["crosprov-mirror-verify@gentoo.service"].active


def test_a_mirror_that_shall_not_be_read_again_loses_its_timer(tmp_path: Path) -> None:
    host = settled(tmp_path, SYNCED)
    never = (SYNCED[0], f"{SYNCED[1]}verify: never, ")
    assert summary(host, tmp_path, never) == ["- syncs /var/lib/crosprov-mirror"]
    host.take_in(host.plan(labs.model(labs.read(tmp_path, never), "mirror1")))
    assert VERIFY not in host.paths and TIMER in host.paths
    assert summary(host, tmp_path, never) == []


@pytest.mark.parametrize(
    ("verified", "about", "notice"),
    [
        ("0 0", "; all read less than a day ago, no findings", ""),
        ("1 1", "; all read 1 day ago, 1 finding", "has 1 file that were not as they should be"),
        ("9 3", "; all read 9 days ago, 3 findings", "crosprov-mirror-verify@gentoo.service"),
        ("60 0", "; all read 60 or more days ago, no findings", ""),
    ],
)
def test_the_status_tells_when_all_was_read(
    tmp_path: Path, verified: str, about: str, notice: str
) -> None:
    host = settled(tmp_path, SYNCED)
    host.verified["gentoo"] = verified
    drawing = host.plan(labs.model(labs.read(tmp_path, SYNCED), "mirror1"))
    assert drawing.changes == []
    assert drawing.about == {"mirror gentoo": f"good sync less than a day ago{about}"}
    assert len(drawing.notices) == bool(notice) and all(notice in one for one in drawing.notices)


def test_a_bucket_is_filled_by_a_host_that_serves_nothing(tmp_path: Path) -> None:
    host = settled(tmp_path, *IN_BUCKET)
    assert summary(host, tmp_path, *IN_BUCKET) == []
    assert host.packages == {"python3"} and SITE not in host.paths
    config = parse_config(host.paths[CONFIGURATION].content.decode(), CONFIGURATION)
    assert (config.store, config.reading) == ("gs://bucket/distfiles", None)
    assert str(config.credentials) == "/etc/crosprov/mirrors/gentoo.credentials"
    text = host.paths[SERVICE].content.decode()
    assert "ReadWritePaths" not in text and "RequiresMountsFor" not in text


def test_a_host_that_serves_no_more_gives_nothing_out(tmp_path: Path) -> None:
    host = settled(tmp_path, SYNCED)
    names = summary(host, tmp_path, *IN_BUCKET)
    assert f"- file {SITE}" in names and "unit nginx.service" in " ".join(names)
    host.take_in(host.plan(labs.model(labs.read(tmp_path, *IN_BUCKET), "mirror1")))
    assert SITE not in host.paths and summary(host, tmp_path, *IN_BUCKET) == []


def test_masters_of_trees_are_told(tmp_path: Path) -> None:
    text = "trees: [{path: /srv/trees/one, masters: [/home/x/two]}], "
    followed = (SYNCED[0], SYNCED[1].replace("trees: [/srv/trees/one], ", text))
    host = settled(tmp_path, SYNCED)
    assert summary(host, tmp_path, followed)[0] == f"~ file {CONFIGURATION}"
    assert "> sync gentoo" not in summary(host, tmp_path, followed)
    host = settled(tmp_path, followed)
    (tree,) = parse_config(host.paths[CONFIGURATION].content.decode(), CONFIGURATION).trees
    assert tree.masters == (Path("/home/x/two"),)
    assert "ProtectHome=read-only\n" in host.paths[SERVICE].content.decode()


def test_archives_of_a_python_that_no_wheel_is_for_are_refused(tmp_path: Path) -> None:
    host = labs.fresh()
    host.packages.add("python3")
    host.python = "3.9"
    with pytest.raises(Exception, match=r"Python 3\.9, and the mirror's sync runs on"):
        summary(host, tmp_path, SYNCED)


def test_a_make_conf_gets_a_block_in_place_of_the_file(tmp_path: Path) -> None:
    host = labs.settled(labs.read(tmp_path), "dev1")
    host.paths["/etc/make.conf"] = type(host.paths["/etc/crosprov/make.conf.mirrors"])(
        "regular file", content=b'USE="x"\n'
    )
    chosen = ("mirrors: mirror1, ", "mirrors: mirror1, make_conf: /etc/make.conf, ")
    drawing = host.plan(labs.model(labs.read(tmp_path, chosen), "dev1"))
    names = [f"{change.action.mark} {change.resource}" for change in drawing.changes]
    assert names == ["~ file /etc/make.conf", "- file /etc/crosprov/make.conf.mirrors"]
    host.take_in(drawing)
    lines = host.paths["/etc/make.conf"].content.decode().splitlines()
    assert lines[:2] == ['USE="x"', "# BEGIN crosprov mirrors"]
    assert 'FEATURES="${FEATURES} force-mirror"' in lines
    assert 'GENTOO_MIRRORS="http://10.0.0.5:8081/gentoo http://10.0.0.5:8081/localmirror"' in lines


def test_the_presets_of_inventories_are_those_of_the_program() -> None:
    assert get_args(PresetName) == tuple(PRESETS)
