"""What a host must be and have for a factory server: as data, from recorded answers."""

from __future__ import annotations

import re
import shutil
import socket
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import pytest

from crosprov.factory.preflight import Claimed, Intent, Verdict, judge, version_of
from crosprov.facts.factory_host import Clock, FactoryHostFact, FactoryHostState, FileSystem

GB = 10**9
SOUND = FactoryHostState(
    memory=33 * GB,
    places={
        "/cros_docker": FileSystem("2049", 5000 * GB, 3000 * GB),
        "/var/lib/docker": FileSystem("2049", 5000 * GB, 3000 * GB),
        "/opt/cros_docker": FileSystem("2050", 50 * GB, 20 * GB),
    },
    table="gpt",
    clock=Clock.SYNCHRONISED,
    docker="ok",
    server="20.10.24+dfsg1",
    oldest_api="1.12",
)
INTENT = Intent(
    profile="minimal",
    shared_dir="/cros_docker",
    docker_root="/var/lib/docker",
    ports=(
        Claimed(8000, "Dome", "factory_server.dome_port"),
        Claimed(8080, "the Umpire of eve", "factory_server.projects.eve.umpire_port"),
        Claimed(8082, "the Umpire of eve", "factory_server.projects.eve.umpire_port"),
    ),
    own=frozenset({"dome_nginx", "umpire_eve"}),
)
ONE_DISK = {path: FileSystem("2049", 300 * GB, 2 * GB) for path in SOUND.places}


def test_a_sound_host_gets_not_a_word() -> None:
    assert judge(INTENT, SOUND) == Verdict()
    assert judge(replace(INTENT, profile="premium"), SOUND) == Verdict()


PROBLEMS: list[tuple[dict[str, Any], list[str]]] = [
    ({"system": "Darwin", "machine": "arm64"}, ["macOS, where crosprov sets up no factory server"]),
    ({"system": "FreeBSD"}, ["runs FreeBSD, not Linux"]),
    ({"root": False, "programs": {8000: ""}, "docker": "down", "memory": GB},
     ["must be asked as root$"]),
    ({"machine": "aarch64"}, ["is aarch64, and the factory server's image is for x86-64"]),
    ({"machine": "amd64"}, []),
    ({"memory": 15 * GB // 10}, ["has 1.5 GB of memory, and a factory server needs 2 GB"]),
    ({"memory": 19 * GB // 10}, []),  # 2 GB, without what firmware and kernel keep
    ({"memory": 0}, []),  # not known
    ({"places": {"/cros_docker": FileSystem("1", 100 * GB, 90 * GB)}},
     ["has 100 GB of storage, and a factory server needs 256 GB"]),
    ({"places": {"/cros_docker": FileSystem("1", 200 * GB, 90 * GB),
                 "/var/lib/docker": FileSystem("2", 100 * GB, 90 * GB)}}, []),
    # An overlay on the disk that also has Docker's folder.
    ({"places": {"/cros_docker": FileSystem("64", 200 * GB, 90 * GB),
                 "/var/lib/docker": FileSystem("/dev/vda", 200 * GB, 90 * GB)}},
     ["200 GB of storage"]),
    ({"server": "1.9.1", "oldest_api": ""}, ["Docker is 1.9.1, and .* needs 1.10.3 or newer"]),
    ({"server": "1.10.3", "oldest_api": ""}, []),
    ({"server": "26.1.5+dfsg1", "oldest_api": "1.24"}, ["speaks API 1.24 and newer"]),
    ({"server": "24.0.9", "oldest_api": "1.12"}, []),
    ({"docker": "none", "server": "", "oldest_api": ""}, []),
    ({"docker": "down", "server": "", "oldest_api": ""}, []),
    ({"programs": {8000: "apache2"}}, ["port 8000 of Dome is taken by apache2"]),
    ({"programs": {8000: ""}}, ["port 8000 of Dome is taken by another program"]),
    ({"programs": {9999: "apache2"}}, []),
    ({"programs": {8000: "docker-proxy"}, "containers": {8000: "dome_nginx"}}, []),
    ({"containers": {8000: "dome_nginx.crosprov-old"}}, []),
    ({"programs": {8080: "docker-proxy"}, "containers": {8080: "umpire_kevin", 8082: "jenkins"}},
     ["port 8080 of the Umpire of eve is taken by the container umpire_kevin",
      "port 8082 of the Umpire of eve is taken by the container jenkins"]),
    ({"containers": {8080: "jenkins", 8082: "jenkins"}},
     ["ports 8080, 8082 of the Umpire of eve are taken by the container jenkins"]),
    ({"machine": "i686", "memory": GB, "programs": {8000: "nc"}, "server": "1.5"},
     ["is i686", "Docker is 1.5", "port 8000", "1 GB of memory"]),
]  # fmt: skip


TFTP = Claimed(69, "TFTP", "factory_server.tftp", udp_of="dome_tftp")


@pytest.mark.parametrize(
    ("harm", "says"),
    [
        ({"programs": {69: "apache2"}}, []),
        ({"datagrams": {69: "in.tftpd"}}, ["port 69 of TFTP is taken by in.tftpd"]),
        ({"datagrams": {69: ""}}, ["port 69 of TFTP is taken by another program"]),
        ({"datagrams": {69: "dnsmasq"}, "running": frozenset({"dome_tftp"})}, []),
    ],
)
def test_a_port_of_udp_is_of_the_container_that_has_its_host_s_network(
    harm: dict[str, Any], says: list[str]
) -> None:
    verdict = judge(replace(INTENT, ports=(TFTP,)), replace(SOUND, **harm))
    assert [text for text, _ in verdict.problems] == says


@pytest.mark.parametrize(("harm", "says"), PROBLEMS)
def test_what_stands_in_the_way_is_said_at_once(harm: dict[str, Any], says: list[str]) -> None:
    verdict = judge(INTENT, replace(SOUND, **harm))
    assert len(verdict.problems) == len(says)
    for (text, _), words in zip(verdict.problems, says, strict=True):
        assert re.search(words, text), text


def test_macos_is_told_where_its_data_would_be() -> None:
    ((_, hint),) = judge(INTENT, replace(SOUND, system="Darwin")).problems
    assert hint is not None
    assert "$HOME/cros_docker" in hint


SMALL = {"memory": GB, "places": {"/cros_docker": FileSystem("1", 20 * GB, 9 * GB)}}
MIDDLE = {"memory": 8 * GB, "places": {"/cros_docker": FileSystem("1", 500 * GB, 400 * GB)}}


@pytest.mark.parametrize(
    ("profile", "figures", "problems", "warnings"),
    [
        ("small", SMALL, 0, ["profile small is for trials"]),
        ("small", {}, 0, ["profile small is for trials"]),
        ("minimal", SMALL, 2, []),
        ("minimal", MIDDLE, 0, []),
        ("premium", SMALL, 2, []),
        ("premium", MIDDLE, 0, ["8 GB of memory, and 16 GB are", "500 GB of storage, and 4 TB"]),
        ("premium", {"memory": 16 * GB}, 0, []),
    ],
)
def test_the_profile_says_how_much_is_enough(
    profile: Literal["small", "minimal", "premium"],
    figures: dict[str, Any],
    problems: int,
    warnings: list[str],
) -> None:
    verdict = judge(replace(INTENT, profile=profile), replace(SOUND, **figures))
    assert len(verdict.problems) == problems
    assert len(verdict.warnings) == len(warnings)
    for text, words in zip(verdict.warnings, warnings, strict=True):
        assert words in text


@pytest.mark.parametrize(
    ("harm", "says"),
    [
        ({"table": "dos"}, "has an MBR, and a factory server's should have a GPT"),
        ({"table": ""}, ""),
        ({"clock": Clock.WRONG}, "clock of the host is not synchronised"),
        ({"clock": Clock.OF_ITS_HOST}, ""),
        ({"clock": Clock.UNKNOWN}, ""),
        ({"localtime": "missing"}, "has no time zone"),
        ({"localtime": "directory"}, "/etc/localtime is a folder"),
        ({"places": {"/cros_docker": FileSystem("1", 500 * GB, GB // 2)}},
         "less than 1 GB is free for /cros_docker"),
    ],
)  # fmt: skip
def test_what_is_worth_knowing_is_said(harm: dict[str, Any], says: str) -> None:
    verdict = judge(INTENT, replace(SOUND, **harm))
    assert not verdict.problems
    assert [says in text for text in verdict.warnings] == ([True] if says else [])


@pytest.mark.parametrize(
    ("loads", "places", "says"),
    [
        ({"/var/lib/docker": 5 * GB}, ONE_DISK,
         "2 GB are free for /var/lib/docker, and 6 GB are needed"),
        ({"/var/lib/docker": GB // 2, "/opt/cros_docker": GB // 2, "/cros_docker": GB // 2},
         ONE_DISK, "2 GB are free for /cros_docker and /opt/cros_docker and /var/lib/docker, "
         "and 2.5 GB are needed"),
        ({"/var/lib/docker": GB // 2}, ONE_DISK, ""),
        ({"/var/lib/docker": 0}, {p: replace(f, free=0) for p, f in ONE_DISK.items()}, ""),
        ({"/opt/cros_docker": 30 * GB}, SOUND.places, "20 GB are free for /opt/cros_docker"),
    ],
)  # fmt: skip
def test_what_is_loaded_must_have_room(
    loads: dict[str, int], places: dict[str, FileSystem], says: str
) -> None:
    verdict = judge(replace(INTENT, loads=loads), replace(SOUND, places=places))
    assert [text for text, _ in verdict.problems if says in text] == (
        [text for text, _ in verdict.problems] if says else []
    )
    assert len(verdict.problems) == bool(says)


@pytest.mark.parametrize(
    ("text", "numbers"),
    [("20.10.24+dfsg1", (20, 10, 24)), ("29.0.0-rc.1", (29, 0, 0)), ("1.22", (1, 22)), ("x", ())],
)
def test_versions_are_compared_by_their_numbers(text: str, numbers: tuple[int, ...]) -> None:
    assert version_of(text) == numbers


RECORDED = """\
system Linux
user 0
machine x86_64
memory 167
place 2049 9842 5000 /cros_docker
place 2050 500 120 /var/lib/a folder
table dos
clock no
localtime missing
listens 0.0.0.0:8000 users:(("docker-proxy",pid=812,fd=7))
listens *:8080 users:(("apache2",pid=9,fd=4),("apache2",pid=10,fd=4))
listens [::]:9000 
hears 0.0.0.0:69 users:(("dnsmasq",pid=7,fd=4))
hears [::]:69 users:(("dnsmasq",pid=7,fd=6))
docker ok
server 20.10.24+dfsg1
oldest_api 1.12
publishes dome_nginx 0.0.0.0:8000->80/tcp, :::8000->80/tcp
publishes umpire_eve 0.0.0.0:8080->8080/tcp, 0.0.0.0:8082-8084->8082-8084/tcp, 69/udp, 7000/tcp
publishes quiet 
"""  # noqa: W291


def test_a_recorded_answer_is_understood() -> None:
    seen = FactoryHostFact().process(RECORDED.splitlines())
    assert seen == FactoryHostState(
        system="Linux",
        machine="x86_64",
        memory=16_700_000_000,
        places={
            "/cros_docker": FileSystem("2049", 984_200_000_000, 500_000_000_000),
            "/var/lib/a folder": FileSystem("2050", 50_000_000_000, 12_000_000_000),
        },
        table="dos",
        clock=Clock.WRONG,
        localtime="missing",
        docker="ok",
        server="20.10.24+dfsg1",
        oldest_api="1.12",
        programs={8000: "docker-proxy", 8080: "apache2", 9000: ""},
        datagrams={69: "dnsmasq"},
        running=frozenset({"dome_nginx", "umpire_eve", "quiet"}),
        containers={
            8000: "dome_nginx", 8080: "umpire_eve", 8082: "umpire_eve", 8083: "umpire_eve",
            8084: "umpire_eve",
        },
    )  # fmt: skip


@pytest.mark.parametrize(
    ("lines", "state"),
    [
        (["system Linux", "docker none"], FactoryHostState(machine="", docker="none")),
        (["system Linux", "docker down"], FactoryHostState(machine="", docker="down")),
        (["system Darwin", "machine arm64"], FactoryHostState(system="Darwin", machine="arm64")),
        (["system Linux", "user 1000"], FactoryHostState(machine="", root=False)),
        (["system Linux", "clock "], FactoryHostState(machine="")),
        (["system Linux", "hex 1F40", "hex 0016"],
         FactoryHostState(machine="", programs={8000: "", 22: ""})),
    ],
)  # fmt: skip
def test_hosts_that_can_say_little_are_understood(
    lines: list[str], state: FactoryHostState
) -> None:
    assert FactoryHostFact().process(lines) == state


@pytest.mark.parametrize("shell", ["sh", "bash"])
def test_the_question_is_answered_by_a_real_system(tmp_path: Path, shell: str) -> None:
    place = str(tmp_path / "not there" / "it's below")
    command = FactoryHostFact().command(place, [place, "/"], [8000, 8080])
    answers = [
        subprocess.run([shell, "-c", command], capture_output=True, text=True, timeout=60)
        for _ in range(2)
    ]
    assert [answer.stderr for answer in answers] == ["", ""]
    first, second = (FactoryHostFact().process(a.stdout.splitlines()) for a in answers)
    assert set(first.places) == {place, "/"}
    assert first.memory > 0
    assert first.places[place].size == second.places[place].size > 0
    assert set(first.programs) <= {8000, 8080}


@pytest.mark.skipif(shutil.which("ss") is None, reason="needs ss")
def test_a_port_of_udp_is_seen_on_a_real_system() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as bound:
        bound.bind(("127.0.0.1", 0))
        port = bound.getsockname()[1]
        command = FactoryHostFact().command("/", ["/"], [8000], [port])
        answer = subprocess.run(["sh", "-c", command], capture_output=True, text=True, timeout=60)
    assert set(FactoryHostFact().process(answer.stdout.splitlines()).datagrams) == {port}
