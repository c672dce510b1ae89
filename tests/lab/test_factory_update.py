"""An update of a factory server that is killed at any of its steps: the next apply finishes it.

The loop goes over the steps that an update is made of, in all of its changes. The server goes from
release to release, by a bundle or back to what it keeps, so each apply that finishes one update is
the beginning of the next.
"""

from __future__ import annotations

import itertools
import json
import os
import re
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from crosprov.twin import why_not
from tests.lab.labs import run, told
from tests.lab.releases import SHARED, Moving, moving_lab
from tests.lab.steps import FOLDER, Step

pytestmark = [pytest.mark.lab, pytest.mark.timeout(3600)]

EACH = os.environ.get("CROSPROV_TEST_EACH_STEP") == "1"


@dataclass(frozen=True)
class Round:
    """An update, or the way back to the release before, and the steps at which it is killed."""

    steps: tuple[Step, ...]
    back: bool = False


# In the order in which an update comes to them: each run that follows a kill has to finish what was
# cut short before it comes to its own step.
ROUNDS = (
    Round((
        Step("*docker load*"),
        Step("*docker stop*dome_nginx", is_begun=True),
        Step("*mv *db.sqlite3.before-*"),
        Step("*docker run*manage.py migrate", is_begun=True),
        Step("*docker rm *dome_nginx.crosprov-old"),
        Step("*-X PUT*/projects/kevin/*", is_begun=True),
    )),
    Round((
        Step("*docker tag cros/factory_server:*"),
        Step("*mv *.cros_docker.sh.crosprov /opt/cros_docker/cros_docker.sh", with_shell=False),
        Step("*docker rename dome_uwsgi dome_uwsgi.crosprov-old"),
        Step("*docker run*--name dome_nginx*"),
        Step("*docker exec*manage.py shell*"),
        Step("*docker rename overlord*"),
    ), back=True),
)  # fmt: skip


def each_step() -> Iterator[Round]:
    """Give an update and a way back for each step, without an end."""
    for number in itertools.count(1):
        for back in (False, True):
            yield Round((Step(f"{number} *"),), back)


@pytest.fixture(scope="module")
def moving(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Moving]:
    """A server with data, after its first apply."""
    if reason := why_not():
        pytest.skip(reason)
    with moving_lab(tmp_path_factory.mktemp("update")) as one:
        yield one


def test_an_update_that_is_killed_at_any_step_is_finished_by_the_next_apply(
    moving: Moving,
) -> None:
    rounds: Iterable[Round] = each_step() if EACH else ROUNDS
    ended = 0
    for one in rounds:
        release = moving.other(back=one.back)
        moving.declare(release, back=one.back)
        for step in one.steps:
            caught = moving.killed(step)
            assert caught or EACH, f"no run came to {step}"
            ended = 0 if caught else ended + 1
        moving.finish(release)
        moving.check()
        if ended == 2:  # an update and a way back, both without such a step
            break
    assert moving.factory.plan() == []


def test_overlord_answers_those_who_log_in_and_status_says_that_it_runs(moving: Moving) -> None:
    code = moving.factory.must(
        "curl -q -sS -k -m 9 -o /dev/null -w '%{http_code}' https://127.0.0.1:9000/api/agents/list"
    )
    assert code == "401"
    (host,) = moving.factory.crosprov("status")["hosts"]
    assert host["about"]["Overlord"].startswith("runs"), host["about"]


# crosprov itself, with less patience.
_HASTY = """\
from crosprov.cli import main
from crosprov.facts import dome as asked
from crosprov.operations import dome, dome_requests
asked._WITHIN = dome_requests.DOME_WITHIN = 2
dome._READY_WITHIN = 5
main()
"""
_FAULTS = f"{SHARED}/dome/log/faults.json"
_BUNDLE = r"bundle: \S+\.bundle|version: \S+"


@dataclass(frozen=True)
class Refused:
    """What is wrong, and what is said of it; `swap` is what the inventory has otherwise.

    `harm` and `mend` are run on the host, `faults` are those of Dome, and `other` are the parts
    of the server that may be otherwise afterwards.
    """

    name: str
    words: tuple[str, ...]
    swap: tuple[str, str]
    harm: str = ":"
    mend: str = ":"
    faults: dict[str, Any] = field(default_factory=dict)
    other: frozenset[str] = frozenset()


_OTHER = (_BUNDLE, "bundle: OTHER")
_MALLORY = ("kevin: ", "mallory: {umpire_port: 8140}\n        kevin: ")
# Dome's own tables change, and the image that failed stays under its tag.
_TRIED = frozenset({"database"})
_BACK = frozenset({"since", "images", "scripts"})
REFUSED = [
    Refused("bundle with a wrong hash", ("spoiled.bundle", "sha256"),
            (_BUNDLE, "bundle: spoiled.bundle")),
    Refused("tarball cut short", ("cut.txz", "cut short"),
            (_BUNDLE, "script: {file: cros_docker.sh}\n      image_archive: cut.txz")),
    Refused("tarball empty", ("empty.txz", "empty"),
            (_BUNDLE, "script: {file: cros_docker.sh}\n      image_archive: empty.txz")),
    Refused("script with a wrong sha256", ("cros_docker.sh", "sha256"),
            (_BUNDLE, f"script: {{file: cros_docker.sh, sha256: {'ab' * 32}}}")),
    Refused("port in use", ("port 8009 of Dome is taken by",),
            ("admin_password", "dome_port: 8009\n      admin_password"),
            harm="systemd-run -q --unit taker systemd-socket-activate -a -l 8009 cat; "
                 "until ss -Hltn | grep -q :8009; do sleep 0.1; done",
            mend="systemctl stop taker"),
    Refused("disk too small", ("free for /mnt/factory", "needed"),
            (_BUNDLE, "bundle: OTHER\n      script_dir: /mnt/factory"),
            harm="mount -t tmpfs -o size=32m small /mnt", mend="umount /mnt"),
    Refused("Docker too old", ("Docker is 1.9.1", "1.10.3"), _OTHER,
            harm="echo 'case $words in *Server.Version*) echo 1.9.1; exit 0;; esac' "
                 f"> {FOLDER}/stub; chmod 755 {FOLDER}/stub"),
    Refused("Dome answers 500", ("Dome answered 500 to GET /projects/",), _MALLORY,
            faults={"status": {"/projects/": 500}}),
    Refused("Dome hangs", ("Dome gave no answer to GET /projects/",), _MALLORY,
            faults={"hang": ["/projects/"]}),
    Refused("project refused", ("Dome answered 400 to POST /projects/", "Invalid project name"),
            _MALLORY, faults={"refuse_projects": ["mallory"]}, other=_TRIED),
    Refused("Umpire that cannot be started", ("Dome answered 500 to PUT /projects/mallory/",),
            _MALLORY, faults={"fail_enable": ["mallory"]}, other=_TRIED),
    Refused("migration that fails", ("run failed (status", "it was to replace runs again"),
            _OTHER, faults={"fail_migrate": True}, other=_BACK),
    Refused("Dome that never answers", ("is not ready after 5 s", "it was to replace runs again"),
            _OTHER, faults={"fail_uwsgi": True}, other=_BACK | _TRIED | {"containers"},
            harm="echo 'case $words in *rename*dome_uwsgi.crosprov-old*dome_uwsgi) rm -f "
                 f"{_FAULTS};; esac' > {FOLDER}/stub; chmod 755 {FOLDER}/stub"),
]  # fmt: skip


@pytest.fixture(scope="module")
def spoiled(moving: Moving) -> Moving:
    """Have files at hand that are not whole, of a release that the host does not have."""
    folder = moving.factory.lab.folder
    release = moving.other(back=False)
    source = folder / f"release-{release.timestamp}"
    (tarball,) = source.glob("*.txz")
    whole = (folder / release.bundle).read_bytes()
    middle = len(whole) // 2
    (folder / "spoiled.bundle").write_bytes(
        whole[:middle] + bytes([whole[middle] ^ 1]) + whole[middle + 1 :]
    )
    (folder / "cut.txz").write_bytes(tarball.read_bytes()[:-1000])
    (folder / "empty.txz").touch()
    (folder / "cros_docker.sh").write_bytes((source / "cros_docker.sh").read_bytes())
    return moving


@pytest.mark.parametrize("case", REFUSED, ids=lambda case: case.name.replace(" ", "-"))
def test_what_cannot_be_is_told_in_a_sentence_and_the_server_is_as_it_was(
    case: Refused, spoiled: Moving
) -> None:
    lab = spoiled.factory.lab
    before = spoiled.look()
    pattern, text = case.swap
    text = text.replace("OTHER", spoiled.other(back=False).bundle)
    with _other_inventory(lab.inventory, pattern, text):
        spoiled.steps.release()
        faults = f"echo '{json.dumps(case.faults)}' > {_FAULTS}"
        spoiled.factory.must(f"{faults}; {case.harm}")
        try:
            done = run([sys.executable, "-c", _HASTY, "apply", "--yes", "--twin",
                        str(lab.inventory)], env=spoiled.factory.secrets)  # fmt: skip
        finally:
            spoiled.factory.must(f"rm -f {_FAULTS}; {case.mend}")
            spoiled.steps.release()
    assert done.returncode == 4, told(done)
    for words in case.words:
        assert words in done.stdout, told(done)
    assert "Traceback" not in done.stdout + done.stderr, told(done)
    after = spoiled.look()
    differing = before.differences(after)
    assert differing <= case.other, f"{differing}: {after}\n{told(done)}"
    if case.other >= _BACK:
        left = spoiled.factory.plan()
        assert all(one.startswith("delete image ") for one in left), left


@contextmanager
def _other_inventory(inventory: Path, pattern: str, text: str) -> Iterator[None]:
    whole = inventory.read_text()
    changed, count = re.subn(pattern, text, whole, count=1)
    assert count == 1
    inventory.write_text(changed)
    try:
        yield
    finally:
        inventory.write_text(whole)
