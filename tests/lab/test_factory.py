"""A factory server without internet: from bare to two projects in one apply, mended after harm.

The host has no route out and no names are resolved; packages, script and image are on the
controller. The image's Dome and Umpire are stand-ins, Docker is real.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from crosprov.twin import why_not
from crosprov.twin.factory import image
from tests.lab.factory import HOST, PASSWORD, FactoryLab, factory_lab
from tests.lab.labs import told

pytestmark = [pytest.mark.lab, pytest.mark.timeout(600)]

ALL = frozenset({"dome_uwsgi", "dome_nginx", "umpire_eve", "umpire_kevin"})
DOME = frozenset({"dome_uwsgi", "dome_nginx"})
EVE = frozenset({"umpire_eve"})
SCRIPT = "/opt/cros_docker/cros_docker.sh"
DAEMON = "/etc/docker/daemon.json"
# While Dome does not answer, nobody knows its settings, accounts and projects: the plan says so,
# and the apply looks again before it changes one of them.
UNSEEN = ("dome setting", "password", "project")
CALL = f"HOST_SHARED_DIR=/cros_docker bash {SCRIPT}"


@pytest.fixture(scope="module")
def factory(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FactoryLab]:
    """The host after its first apply."""
    if reason := why_not():
        pytest.skip(reason)
    with factory_lab(tmp_path_factory.mktemp("factory")) as lab:
        done = lab.apply()
        assert "create dome /cros_docker" in done, done
        yield lab


def test_one_apply_brings_dome_and_both_umpires(factory: FactoryLab) -> None:
    projects = {one["name"]: one for one in json.loads(factory.curl("/projects/"))}
    assert {name: (one["umpireEnabled"], one["umpirePort"]) for name, one in projects.items()} == {
        "eve": (True, 8080), "kevin": (True, 8100),
    }  # fmt: skip
    assert {name: one.status for name, one in factory.containers().items()} == dict.fromkeys(
        ALL, "running"
    )
    call = "<?xml version='1.0'?><methodCall><methodName>IsDeploying</methodName></methodCall>"
    for port in (8082, 8102):
        answer = factory.must(
            f"curl -q -sS -m 9 -H 'Content-Type: text/xml' -d \"{call}\" http://127.0.0.1:{port}/"
        )
        assert "<boolean>0</boolean>" in answer


def test_the_password_is_the_declared_one_and_the_default_is_not(factory: FactoryLab) -> None:
    login = "-F username=admin -F 'password={}'"
    assert "token" in json.loads(factory.curl("/auth", login.format(PASSWORD)))
    refused = factory.must(
        "curl -q -sS -m 9 -o /dev/null -w '%{http_code}' "
        f"{login.format('test0000')} http://127.0.0.1:8000/auth"
    )
    assert refused == "400"


def test_a_second_apply_calls_neither_run_nor_install(factory: FactoryLab) -> None:
    before, since = factory.containers(), factory.now()
    assert factory.plan() == []
    assert factory.apply() == []
    assert factory.events(since) == []
    assert factory.containers() == before


def test_status_tells_the_state_of_each_component(factory: FactoryLab) -> None:
    (host,) = factory.crosprov("status")["hosts"]
    assert (host["drift"], host["unready"]) == ([], [])
    version = f"{image.TIMESTAMP}-{image.GITHASH[:6]}"
    assert host["about"]["Dome"] == f"{version}, running, answers on port 8000"
    for name, port in (("eve", 8080), ("kevin", 8100)):
        assert host["about"][f"Umpire {name}"].endswith(f"answers on port {port}")


@dataclass(frozen=True)
class Harm:
    """What is done by hand, and what an apply does then: its changes, and to which containers.

    Changes of the kinds in `unseen` may be listed besides, and change nothing.
    """

    name: str
    command: str
    does: tuple[str, ...]
    anew: frozenset[str] = frozenset()
    started: frozenset[str] = frozenset()
    unseen: tuple[str, ...] = ()


HARMS = [
    Harm("umpire stopped", "docker stop -t 1 umpire_eve", ("update project eve",), started=EVE),
    Harm("umpire paused", "docker pause umpire_eve", ("update project eve",)),
    Harm("umpire removed", "docker rm -f umpire_eve", ("update project eve",), anew=EVE),
    Harm(
        "umpire on another port", f"PROJECT=eve UMPIRE_PORT=8140 {CALL} umpire run",
        ("update project eve",), anew=EVE,
    ),
    Harm(
        "project disabled",
        "curl -q -sS -f -m 20 -X PUT -H 'Content-Type: application/json' "
        "-d '{\"umpireEnabled\": false}' http://127.0.0.1:8000/projects/eve/",
        ("update project eve",), anew=EVE,
    ),
    Harm(
        "dome stopped", "docker stop -t 1 dome_nginx", ("update dome /cros_docker",),
        started=frozenset({"dome_nginx"}), unseen=UNSEEN,
    ),
    Harm(
        "dome removed", "docker rm -f dome_uwsgi", ("update dome /cros_docker",), anew=DOME,
        unseen=UNSEEN,
    ),
    Harm(
        "dome on another port", f"DOME_PORT=8009 script -qefc '{CALL} run' /dev/null",
        ("update dome /cros_docker",), anew=DOME, unseen=UNSEEN,
    ),
    Harm("script replaced", f"echo '#!/bin/sh' > {SCRIPT}", (f"update script {SCRIPT}",)),
    Harm("script's mode", f"chmod 711 {SCRIPT}", (f"update script {SCRIPT}",)),
    Harm(
        "daemon configured otherwise", f"sed -i s/10m/99m/ {DAEMON}",
        (f"update file {DAEMON}",), started=ALL,
    ),
    Harm(
        "image replaced",
        "printf 'FROM cros/factory_server\\nENV DOCKER_IMAGE_TIMESTAMP=20200101000000\\n' |"
        " docker build -q -t cros/factory_server -",
        ("update image cros/factory_server",), unseen=UNSEEN,
    ),
]  # fmt: skip


@pytest.mark.parametrize("harm", HARMS, ids=lambda harm: harm.name.replace(" ", "-"))
def test_a_harm_is_mended_by_the_next_apply_and_nothing_else_is_touched(
    harm: Harm, factory: FactoryLab
) -> None:
    before = factory.containers()
    factory.must(harm.command)
    done = factory.apply()
    assert [one for one in done if not one.split(" ", 1)[1].startswith(harm.unseen)] == list(
        harm.does
    )
    after = factory.containers()
    assert {name: one.status for name, one in after.items()} == dict.fromkeys(ALL, "running")
    anew = {name for name in ALL if after[name].id != before[name].id}
    assert anew == harm.anew
    started = {name for name in ALL - anew if after[name].since != before[name].since}
    assert started == harm.started
    names = [one["name"] for one in json.loads(factory.curl("/projects/")) if one["umpireEnabled"]]
    assert sorted(names) == ["eve", "kevin"]


SUMS = (
    "cd /cros_docker/umpire && find . -type f -print0 | grep -zv -e /log/ -e /run/ | sort -z"
    " | xargs -0 sha256sum"
)


def test_a_backup_brings_back_what_was_deleted(factory: FactoryLab) -> None:
    lab, out = factory.lab, factory.lab.folder / "backup.tar"
    factory.must("echo data > /cros_docker/umpire/eve/umpire_data/report")
    before = factory.must(SUMS)
    made = lab.program(
        "factory", "backup", str(lab.inventory), "--host", HOST, "--out", str(out), "--twin",
        env=factory.secrets,
    )  # fmt: skip
    assert made.returncode == 0, told(made)
    factory.curl("/projects/eve/", "-X DELETE")
    words = ("factory", "restore", str(lab.inventory), str(out), "--host", HOST, "--twin")
    refused = lab.program(*words)
    assert refused.returncode == 4 and "--replace factory1" in refused.stderr, told(refused)
    restored = lab.program(*words, "--replace", HOST)
    assert restored.returncode == 0, told(restored)
    assert "Dome answers with its 2 projects" in restored.stdout
    assert factory.apply() == ["update project eve"]
    assert factory.must(SUMS) == before
