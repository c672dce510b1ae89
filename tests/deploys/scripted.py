"""A host that answers facts from a table of what is on it, and can take in what a plan says.

No command is carried out: a change is taken in by its note and by the bytes that it writes. So
these tests are about what the deploys ask for; that the commands do it is tested elsewhere.
"""

from __future__ import annotations

import base64
import hashlib
import json
import posixpath
import shlex
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from crosprov.planning.batch import Answer
from crosprov.planning.engine import Drawing
from crosprov.planning.plan import Action, Change, Write
from crosprov.planning.planner import HostModel, draw
from crosprov.secrets import vault

IMAGE = "sha256:aaa"


@dataclass
class Path:
    """What stands at a path."""

    kind: str  # regular file, directory, symbolic link
    mode: str = "0644"
    owner: str = "root"
    group: str = "root"
    content: bytes = b""
    target: str = ""


@dataclass
class Unit:
    """A systemd unit, or an upstart job."""

    enabled: bool = False
    active: bool = False


@dataclass
class ScriptedHost:
    """Answer what deploys ask, by the words of the fact."""

    paths: dict[str, Path] = field(default_factory=dict)
    packages: set[str] = field(default_factory=set)
    units: dict[str, Unit] = field(default_factory=dict)
    jobs: dict[str, Unit] = field(default_factory=dict)
    accounts: dict[str, set[str]] = field(default_factory=dict)  # account -> its groups
    shells: dict[str, tuple[str, str]] = field(default_factory=dict)  # account -> home, shell
    image: str = ""  # id of the one image, "" when the host has none
    image_record: str = ""
    migrated: str = ""
    containers: dict[str, tuple[str, str]] = field(default_factory=dict)  # spec hash, image
    marks: set[str] = field(default_factory=set)
    environments: set[str] = field(default_factory=set)
    python: str = "3.11"
    machine: str = "x86_64"
    syncs: dict[str, tuple[str, int, str]] = field(default_factory=dict)  # outcome, days since
    staged: set[tuple[str, str]] = field(default_factory=set)  # build, artifact or file
    dut: dict[str, str] = field(default_factory=dict)  # lines of the answer of a DUT, by word
    answers: dict[str, str] = field(default_factory=dict)  # of web servers, by URL
    rounds: int = 0

    def plan(self, model: HostModel) -> Drawing:
        """Draw until nothing is missing, as the planner does."""
        answers: dict[str, Answer] = {}
        self.rounds = 0
        drawing = draw(model, answers)
        while drawing.missing:
            self.rounds += 1
            assert self.rounds < 10
            for command in drawing.missing:
                text = self._answer(drawing.asked[command], command)
                answers[command] = Answer(0, text.encode(), b"")
            drawing = draw(model, answers)
        return drawing

    def take_in(self, drawing: Drawing) -> None:
        """Become what a plan says."""
        for change in drawing.changes:
            self._take_in[change.resource.kind](self, change)
        self.marks.clear()

    def _answer(self, words: str, command: str) -> str:
        for title, answer in self._answers.items():
            if words == title or words.startswith(f"{title} "):
                return answer(self, words.removeprefix(title).strip(), command)
        raise AssertionError(f"the scripted host knows no fact {words}")

    def _path(self, name: str, command: str) -> str:
        found = self.paths.get(name)
        if found is None:
            parent = posixpath.dirname(name)
            return "absent\n" if parent in self.paths else "no-parent\n"
        head = (
            f"{found.mode.lstrip('0')} {found.owner} 1 {found.group} 1 {len(found.content)} "
            f"{found.kind}\n"
        )
        if found.kind == "symbolic link":
            return f"{head}{found.target}\n"
        if found.kind == "directory" or "sha256sum" not in command:
            return head
        digest = hashlib.sha256(found.content).hexdigest()
        return f"{head}{digest}\n{base64.b64encode(found.content).decode()}\n"

    def _unit(self, name: str, command: str) -> str:
        due = "Due=yes\n" if name in self.marks else ""
        unit = self.units.get(name)
        if unit is None:
            return f"LoadState=not-found\nActiveState=inactive\nSubState=dead\n{due}"
        return (
            f"LoadState=loaded\nActiveState={'active' if unit.active else 'inactive'}\n"
            f"SubState={'running' if unit.active else 'dead'}\n"
            f"UnitFileState={'enabled' if unit.enabled else 'disabled'}\nNeedDaemonReload=no\n"
            f"Type=simple\nRemainAfterExit=no\n{due}"
        )

    def _job(self, name: str, command: str) -> str:
        state = "start/running" if self.jobs[name].active else "stop/waiting"
        return f"job {state}\n" + ("due\n" if name in self.marks else "")

    def _dut(self, _: str, command: str) -> str:
        return "".join(f"{word} {value}\n" for word, value in self.dut.items())

    def _status(self, url: str, command: str) -> str:
        return self.answers.get(url, "none")

    def _served(self, url: str, command: str) -> str:
        return self.answers.get(url, "")

    def _fetched(self, name: str, command: str) -> str:
        urls = [url for url in self.answers if f"version {url})" in command]
        said = "".join(f"served {self.answers[url]}\n" for url in urls)
        return f"{said}path\n{self._path(name, 'sha256sum')}"

    def _packages(self, _: str, command: str) -> str:
        names = command.partition("for p in ")[2].partition(";")[0].split()
        lines = ["dpkg amd64", *(f"want {name}" for name in names)]
        lines += [f"is {name} amd64 installed 1.0" for name in names if name in self.packages]
        return "\n".join(lines) + "\n"

    def _user(self, name: str, command: str) -> str:
        groups = {group for member in self.accounts.values() for group in member}
        lines = [f"group {group}" for group in sorted(groups)]
        if name in self.accounts:
            home, shell = self.shells.get(name, (f"/home/{name}", "/bin/bash"))
            lines.insert(0, f"user {name}:x:999:999::{home}:{shell}")
            lines.insert(1, f"groups {' '.join(sorted(self.accounts[name]))}")
        return "\n".join(lines or ["base /home"]) + "\n"

    def _keys(self, name: str, command: str) -> str:
        path = f"/home/{name}/.ssh/authorized_keys"
        return f"{path}\nplain\n{self._path(path, 'sha256sum')}"

    def _docker(self) -> str:
        return "docker ok\n" if "docker.io" in self.packages else "docker none\n"

    def _image(self, name: str, command: str) -> str:
        if "docker.io" not in self.packages:
            return "docker none\nloaded \n"
        return f"docker ok\nimage {self.image}\nloaded {self.image_record}\n"

    def _database(self, name: str, command: str) -> str:
        kind = "file" if name in self.paths else "absent"
        return f"{kind}\n{self._docker()}image {self.image}\nmigrated {self.migrated}\n"

    def _container(self, name: str, command: str) -> str:
        if "docker.io" not in self.packages:
            return "docker none\n"
        needs = "id" if "docker container inspect -f '{{.Id}}'" in command else ""
        lines = ["docker ok"]
        if name in self.containers:
            digest, image = self.containers[name]
            lines.append(f"/{name} running {image} {digest} {needs or '-'} {{}}")
        lines += [f"image {self.image}", f"needs {needs}"]
        return "\n".join(lines) + "\n"

    def _environment(self, name: str, command: str) -> str:
        neighbours = sorted(path.rpartition("/")[2] for path in self.environments)
        python = f"/usr/bin/python{self.python}" if "python3" in self.packages else ""
        lines = [f"python {python}", self.machine, self.python if python else ""]
        lines.append("complete" if name in self.environments else "incomplete")
        return "\n".join([*lines, *neighbours]) + "\n"

    def _builds(self, port: str, command: str) -> str:
        """Answer as the dev server does when the unit that is asked about runs."""
        words = shlex.split(command.partition("<<")[0].replace("\n", " "))
        file = self.paths.get(words[4])
        unit = self.units.get("devserver.service", Unit())
        if file is None or words[3] not in file.content.decode() or not unit.active:
            return ""
        wishes = json.loads(words[-1])
        return "".join(f"{json.dumps(self._look(wish))}\n" for wish in wishes)

    def _look(self, wish: dict[str, Any]) -> dict[str, object]:
        if "xbuddy" in wish:
            return {"unknown": "xBuddy knows no such build"}
        build = wish["source"].partition("://")[2].partition("/")[2]
        names = [*wish["artifacts"], *wish["files"]]
        missing = [name for name in names if (build, name) not in self.staged]
        return {"build": build, "missing": missing}

    def _syncs(self, _: str, command: str) -> str:
        lines = [f"state {name} {c}" for name, (c, _, _) in self.syncs.items()]
        units = (path.partition("crosprov-mirror@")[2] for path in self.paths)
        names = [unit.removesuffix(".service") for unit in units if unit.endswith(".service")]
        return "".join(f"{line}\n" for line in [*lines, *(f"unit {name}" for name in names)])

    def _ages(self, _: str, command: str) -> str:
        return "".join(f"{name} {n} {days}\n" for name, (_, n, days) in self.syncs.items())

    def _tree(self, name: str, command: str) -> str:
        return "same\n" if name in self.paths else ""

    _answers: dict[str, Callable[[ScriptedHost, str, str], str]] = field(
        init=False,
        default_factory=lambda: {
            "path": ScriptedHost._path,
            "environment": ScriptedHost._environment,
            "builds staged by the dev server on port": ScriptedHost._builds,
            "tree": ScriptedHost._tree,
            "syncs of the mirrors below": ScriptedHost._syncs,
            "ages of the syncs below": ScriptedHost._ages,
            "unit": ScriptedHost._unit,
            "job": ScriptedHost._job,
            "state of the DUT": ScriptedHost._dut,
            "HTTP answer of": ScriptedHost._status,
            "answer of": ScriptedHost._served,
            "fetched file": ScriptedHost._fetched,
            "packages": ScriptedHost._packages,
            "user": ScriptedHost._user,
            "authorized keys of": ScriptedHost._keys,
            "image": ScriptedHost._image,
            "database of Dome": ScriptedHost._database,
            "container": ScriptedHost._container,
        },
    )

    def _take_file(self, change: Change) -> None:
        name = change.resource.name
        if change.action is Action.DELETE:
            self.paths.pop(name, None)
            return
        now = self.paths.get(name, Path("regular file"))
        for step in change.steps:
            if isinstance(step, Write):
                now = Path("regular file", now.mode, now.owner, now.group,
                           vault.reveal(step.content))  # fmt: skip
        self._place(change, now)

    def _take_directory(self, change: Change) -> None:
        self._place(change, self.paths.get(change.resource.name, Path("directory", "0755")))

    def _take_link(self, change: Change) -> None:
        if change.action is Action.DELETE:
            self.paths.pop(change.resource.name, None)
            return
        target = change.after["target"] or ""
        self._place(change, Path("symbolic link", "0777", target=target))

    def _place(self, change: Change, now: Path) -> None:
        if mode := change.after.get("mode"):
            now.mode = mode
        if owner := change.after.get("owner"):
            user, _, group = owner.partition(":")
            now.owner, now.group = user, group or user
        path = change.resource.name
        self.paths[path] = now
        while (path := posixpath.dirname(path)) not in self.paths:
            self.paths[path] = Path("directory", "0755")

    def _take_packages(self, change: Change) -> None:
        self.packages |= {name for name, version in change.after.items() if version}

    def _take_unit(self, change: Change) -> None:
        unit = self.units.setdefault(change.resource.name, Unit())
        unit.enabled = change.after.get("enabled", "enabled" if unit.enabled else "") == "enabled"
        unit.active = unit.active or bool(change.after.keys() & {"active", "restart"})

    def _take_job(self, change: Change) -> None:
        self.jobs[change.resource.name].active = True

    def _take_user(self, change: Change) -> None:
        name = change.resource.name
        home, shell = self.shells.get(name, (f"/home/{name}", "/bin/bash"))
        self.shells[name] = (change.after.get("home") or home, change.after.get("shell") or shell)
        joined = (change.after.get("groups") or "").removeprefix("in ").replace(",", "").split()
        self.accounts.setdefault(name, {name}).update(joined)

    def _take_image(self, change: Change) -> None:
        self.image = self.image_record = IMAGE

    def _take_database(self, change: Change) -> None:
        self.migrated = self.image
        self._place(change, self.paths.get(change.resource.name, Path("regular file")))

    def _take_container(self, change: Change) -> None:
        script = "\n".join(step.command for step in change.steps if step.do == "shell")
        digest = script.partition("crosprov.spec-hash=")[2][:64]
        self.containers[change.resource.name] = (digest, self.image)

    def _take_environment(self, change: Change) -> None:
        self.environments.add(change.resource.name)

    def _take_environments(self, change: Change) -> None:
        parent = change.resource.name
        self.environments -= {f"{parent}/{name}" for name in change.before}

    def _take_build(self, change: Change) -> None:
        self.staged |= {(change.resource.name, name) for name in change.after}

    def _take_folders(self, change: Change) -> None:
        for path in change.after:
            self.paths[path] = Path("directory", "0755", "devserver", "devserver")

    def _take_sync(self, change: Change) -> None:
        configuration = (change.after["synced"] or "").removeprefix("configuration ")
        self.syncs[change.resource.name] = (configuration, 0, "0")

    def _take_syncs(self, change: Change) -> None:
        for name in change.before:
            for path in [path for path in self.paths if f"crosprov-mirror@{name}." in path]:
                del self.paths[path]

    def _take_check(self, change: Change) -> None:
        """Change nothing: a check only looks."""

    _take_in: dict[str, Callable[[ScriptedHost, Change], None]] = field(
        init=False,
        default_factory=lambda: {
            "file": ScriptedHost._take_file,
            "environment": ScriptedHost._take_environment,
            "environments": ScriptedHost._take_environments,
            "build": ScriptedHost._take_build,
            "folders": ScriptedHost._take_folders,
            "sync": ScriptedHost._take_sync,
            "syncs": ScriptedHost._take_syncs,
            "directory": ScriptedHost._take_directory,
            "link": ScriptedHost._take_link,
            "packages": ScriptedHost._take_packages,
            "unit": ScriptedHost._take_unit,
            "job": ScriptedHost._take_job,
            "probe": ScriptedHost._take_check,
            "user": ScriptedHost._take_user,
            "image": ScriptedHost._take_image,
            "database": ScriptedHost._take_database,
            "container": ScriptedHost._take_container,
            "check": ScriptedHost._take_check,
        },
    )
