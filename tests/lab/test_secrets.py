"""A planted secret is in its target on the host, and nowhere else on either side."""

from __future__ import annotations

import base64
import json
import os
import re
import stat
import subprocess
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.lab.labs import Lab, Process, booted, run, told
from tests.support.waiting import until

pytestmark = [pytest.mark.lab, pytest.mark.timeout(600)]

HOST = "dev1"
# Nothing of these occurs by chance, line by line; each is awkward in its own way.
SECRETS = {
    "plain": "zebra-quartz-4711-violet",
    "lines": "first-line-kumquat-8812\nsecond-line-tamarind-9923\n  third-line-durian-1034",
    "awkward": 'it\'s "q" $HOME `id` \\n \\\\ %s %d ;|& ünïcödé-→-ß <x> {{y}} mango-7755',
}
ROTATED = {name: f"rotated-{number}-walnut-{name}" for number, name in enumerate(SECRETS)}
TARGETS = {
    "plain": "/etc/secrets/plain",
    "lines": "/etc/secrets/lines",
    "awkward": "/etc/secrets/awkward",
    "credentials": "/etc/crosprov/devserver.boto",
}
FAILING = """\
[Unit]
Description=Tells everybody what it should keep

[Service]
Type=oneshot
ExecStart=/bin/sh /usr/local/lib/blab
"""
# One process says it all and stays for a while: the journal cannot tell whose the last words of
# a process are that is gone already.
BLAB = """\
for path in plain lines awkward; do
  while IFS= read -r line || [ -n "$line" ]; do
    printf '%s\\n' "$line"
  done </etc/secrets/$path
done
sleep 1
exit 1
"""


def inventory(*, failing: bool = False, secret: bool = True) -> str:
    """Give an inventory with a secret of each kind; a unit may fail and print them all."""
    files: dict[str, object] = {"/etc/public": {"content": "nothing to hide\n"}}
    references = {
        "plain": {"env": "PLANTED"},
        "lines": {"file": "planted-lines"},
        "awkward": {"command": ["cat", "planted-awkward"]},
    }
    for name, reference in references.items():
        content = reference if secret else "no secret any more\n"
        files[TARGETS[name]] = {"content": content, "mode": "0600"}
    common: dict[str, object] = {"files": files}
    if failing:
        files["/usr/local/lib/blab"] = {"content": BLAB}
        files["/etc/systemd/system/blab.service"] = {"content": FAILING}
        common["units"] = {"blab.service": {"running": True}}
    server = {"credentials": {"file": "planted-lines"}} if secret else {}
    return json.dumps({
        "lab": "NAME",
        "hosts": {HOST: {"ssh": {"host": "10.0.0.6"}, "common": common, "dev_server": server}},
    })  # fmt: skip


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """One dev host."""
    with booted(tmp_path_factory.mktemp("secrets"), inventory()) as one:
        yield one


@dataclass(slots=True)
class Watch:
    """Look at processes and temporary files of both sides as long as a run is under way."""

    lab: Lab
    temporary: Path
    values: dict[str, str]
    rounds: int = 0
    found: set[str] = field(default_factory=set)

    def look(self) -> None:
        """Look once, and note each place where a piece of a secret was seen."""
        needles = needles_of(self.values.values())
        for process in Path("/proc").glob("[0-9]*"):
            self._look_at(process / "cmdline", needles)
        inside = self.lab.processes(HOST)
        for one in inside:
            self._look_at(Path(f"/proc/{one.pid}/environ"), needles)
        for folder in (self.temporary, *self._temporary_of(inside)):
            for path in _files_below(folder):
                self._look_at(path, needles)
        self.rounds += 1

    def _temporary_of(self, inside: list[Process]) -> list[Path]:
        upper = self.lab.twin.upper(HOST)
        # Others may have a /tmp of their own: what all see is what the first one sees.
        root = next(Path(f"/proc/{found.pid}/root") for found in inside if _is_first(found.pid))
        state = upper / "var/lib/crosprov"
        return [upper / "tmp", upper / "var/tmp", root / "tmp", root / "dev/shm", state]

    def _look_at(self, path: Path, needles: Iterable[bytes]) -> None:
        try:
            content = path.read_bytes()
        except OSError:
            return
        if any(needle in content for needle in needles):
            self.found.add(str(path))


def _is_first(pid: int) -> bool:
    """Tell whether a process has the number 1 in its own namespace."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return False
    return re.search(r"^NSpid:.*\t1$", status, re.M) is not None


@contextmanager
def watched(lab: Lab, temporary: Path, values: dict[str, str]) -> Iterator[Watch]:
    """Watch both sides during the block."""
    watch = Watch(lab, temporary, values)
    over = threading.Event()

    def keep_looking() -> None:
        while not over.wait(0.02):
            watch.look()

    thread = threading.Thread(target=keep_looking)
    thread.start()
    try:
        yield watch
        until(lambda: watch.rounds)
    finally:
        over.set()
        thread.join()


def test_a_secret_is_in_its_target_and_nowhere_else(lab: Lab, tmp_path: Path) -> None:
    outputs = tmp_path / "outputs"
    temporary = tmp_path / "tmp"
    outputs.mkdir()
    temporary.mkdir()
    plan = outputs / "lab.plan"

    def use(values: dict[str, str], name: str, command: str, *options: str, status: int) -> None:
        environment = _plant(lab, values, temporary)
        with watched(lab, temporary, values) as watch:
            done = lab.crosprov(command, *options, env=environment)
        (outputs / name).write_text(done.stdout + done.stderr)
        assert done.returncode == status, told(done)
        assert not watch.found, name

    lab.write(inventory())
    use(SECRETS, "plan", "plan", status=0)
    use(SECRETS, "plan-v", "plan", "-v", "--detailed-exitcode", status=2)
    use(SECRETS, "plan-json", "plan", "--format", "json", "--out", str(plan), status=0)
    assert stat.S_IMODE(plan.stat().st_mode) == 0o600
    environment = _plant(lab, SECRETS, temporary)
    with watched(lab, temporary, SECRETS) as watch:
        saved = lab.program("apply", str(plan), "--yes", "-v", env=environment)
    (outputs / "apply-plan").write_text(saved.stdout + saved.stderr)
    assert saved.returncode == 0, told(saved)
    assert not watch.found
    _all_in_place(lab, SECRETS)

    use(ROTATED, "status", "status", status=2)
    use(ROTATED, "apply-v", "apply", "--yes", "-v", status=0)
    _all_in_place(lab, ROTATED)
    use(SECRETS, "apply-json", "apply", "--yes", "--format", "json", status=0)
    use(SECRETS, "status-json", "status", "--format", "json", status=0)
    _all_in_place(lab, SECRETS)

    for path in _files_below(outputs):
        _clean(path, {**SECRETS, **{f"rotated {k}": v for k, v in ROTATED.items()}})
    _nothing_else_holds(lab, SECRETS, set(TARGETS.values()))
    _nothing_else_holds(lab, ROTATED, set())
    assert not list(temporary.iterdir())


def test_the_watch_would_see_a_secret(lab: Lab, tmp_path: Path) -> None:
    """Prove that the other tests look where a secret would be, and see it there."""
    value = SECRETS["plain"]
    held = [
        run_held(lab, 60, f"sh -c 'sleep 60; :' {value}"),
        run_held(lab, 61, f"env TOLD={value} sleep 61"),
    ]
    encoded = base64.b64encode(f"x{value}".encode()).decode()
    watch = Watch(lab, tmp_path, SECRETS)
    try:
        state = "/var/lib/crosprov"
        lab.must(HOST, f"mkdir -p {state}; echo {encoded} | tee /tmp/told >{state}/told")
        (tmp_path / "told").write_text(value)
        watch.look()
    finally:
        for found in lab.processes(HOST):
            if found.command in ("sleep 60", "sleep 61"):
                found.kill()
        for process in held:
            process.kill()
            process.wait()
        lab.must(HOST, "rm /tmp/told /var/lib/crosprov/told")
    kinds = {Path(found).name for found in watch.found}
    assert kinds == {"cmdline", "environ", "told"}
    assert len([found for found in watch.found if found.endswith("/told")]) == 3, watch.found


def test_what_a_failing_command_prints_is_masked(lab: Lab, tmp_path: Path) -> None:
    lab.write(inventory(failing=True))
    environment = _plant(lab, SECRETS, tmp_path)
    done = lab.crosprov("apply", "--yes", "-v", env=environment)
    assert done.returncode == 4, told(done)
    _, _, summary = done.stdout.rpartition("\nPlan: ")
    assert "(secret: env PLANTED)" in summary, told(done)
    assert summary.count("(secret: file ") == 3, told(done)
    assert "(secret: command cat)" in summary, told(done)
    said = tmp_path / "said"
    said.write_text(done.stdout + done.stderr)
    _clean(said, SECRETS)
    again = lab.crosprov("apply", "--yes", "--format", "json", env=environment)
    assert again.returncode == 4, told(again)
    said.write_text(again.stdout + again.stderr)
    _clean(said, SECRETS)
    _nothing_else_holds(lab, SECRETS, set(TARGETS.values()))
    lab.must(HOST, "rm /etc/systemd/system/blab.service; systemctl daemon-reload")


def test_a_secret_that_is_given_up_is_neither_shown_nor_kept(lab: Lab, tmp_path: Path) -> None:
    environment = _plant(lab, SECRETS, tmp_path)
    lab.write(inventory())
    assert lab.crosprov("apply", "--yes", env=environment).returncode == 0
    lab.write(inventory(secret=False))
    said = tmp_path / "said"
    for command in (("plan", "-v"), ("plan", "--format", "json"), ("apply", "--yes")):
        done = lab.crosprov(*command, env={"TMPDIR": str(tmp_path)})
        assert done.returncode == 0, told(done)
        said.write_text(done.stdout + done.stderr)
        _clean(said, SECRETS)
    _nothing_else_holds(lab, SECRETS, set())


def test_a_secret_that_everybody_could_read_is_refused(lab: Lab) -> None:
    lab.write(inventory().replace('"0600"', '"0644"'))
    done = lab.program("validate", str(lab.inventory))
    assert done.returncode == 1, told(done)
    assert "holds a secret and has mode 0644" in done.stderr
    lab.write(inventory())


def run_held(lab: Lab, seconds: int, command: str) -> subprocess.Popen[bytes]:
    """Start a command on the host that sleeps, and return when it does."""
    process = subprocess.Popen(
        [*lab.twin.ssh_command(HOST, user="root"), command], stdin=subprocess.DEVNULL
    )
    until(lambda: any(found.command == f"sleep {seconds}" for found in lab.processes(HOST)))
    return process


def needles_of(values: Iterable[str]) -> set[bytes]:
    """Give what would betray a secret: its lines, as they are and in usual disguises."""
    needles = set()
    for value in values:
        # A word of it is enough: what masks the whole may miss a part, or another spelling.
        for line in (value, *value.splitlines(), *value.split()):
            raw = line.strip().encode()
            needles |= {raw, json.dumps(line.strip())[1:-1].encode()}
            needles |= {raw.replace(b"'", b"'\"'\"'"), raw.hex().encode()}
            # What stays the same in base64 wherever the secret stands in the whole.
            for shift in range(3):
                body = base64.b64encode(b"\0" * shift + raw)
                needles.add(body[4 if shift else 0 : -4])
    return {needle for needle in needles if len(needle) >= 10}


def _plant(lab: Lab, values: dict[str, str], temporary: Path) -> dict[str, str]:
    for name in ("lines", "awkward"):
        place = lab.folder / f"planted-{name}"
        place.write_text(values[name] + "\n")
        place.chmod(0o600)
    return {"PLANTED": values["plain"], "TMPDIR": str(temporary), "CROSPROV_DEBUG": "1"}


def _all_in_place(lab: Lab, values: dict[str, str]) -> None:
    upper = lab.twin.upper(HOST)
    for name, target in TARGETS.items():
        place = upper / target.strip("/")
        value = values["lines"] + "\n" if name == "credentials" else values[name]
        assert place.read_text() == value, target
        assert stat.S_IMODE(place.stat().st_mode) == 0o600, target


def _nothing_else_holds(lab: Lab, values: dict[str, str], allowed: set[str]) -> None:
    """Search a host's disk, and what this machine keeps of runs."""
    upper = lab.twin.upper(HOST)
    needles = needles_of(values.values())
    for path in _files_below(upper):
        if f"/{path.relative_to(upper)}" in allowed:
            continue
        content = path.read_bytes()
        assert not any(needle in content for needle in needles), path
    home = Path.home()
    for folder in (home / ".cache" / "crosprov", home / ".config" / "crosprov"):
        for path in _files_below(folder):
            assert not any(needle in path.read_bytes() for needle in needles), path
    commands = run(["ps", "auxww"]).stdout.encode()
    assert not any(needle in commands for needle in needles)


def _clean(path: Path, values: dict[str, str]) -> None:
    content = path.read_bytes()
    for name, value in values.items():
        for needle in needles_of([value]):
            assert needle not in content, f"{path.name} shows the secret {name}"


def _files_below(folder: Path) -> Iterator[Path]:
    for where, _, names in os.walk(folder):
        for name in names:
            path = Path(where, name)
            if path.is_file() and not path.is_symlink():
                yield path
