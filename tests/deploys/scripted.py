"""A host that answers facts from a table of what is on it, and can take in what a plan says.

No command is carried out: a change is taken in by its note and by the bytes that it writes. So
these tests are about what the deploys ask for; that the commands do it is tested elsewhere.
"""

from __future__ import annotations

import base64
import hashlib
import json
import posixpath
import re
import shlex
import xmlrpc.client
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from crosprov.planning.batch import Answer
from crosprov.planning.engine import Drawing
from crosprov.planning.plan import Action, Change, Write
from crosprov.planning.planner import HostModel, draw
from crosprov.secrets import vault

IMAGE = "sha256:aaa"


def release_script(version: str) -> bytes:
    """Give what a deployment script of a version has in its lines that are read."""
    timestamp, _, githash = version.partition("-")
    lines = [
        "#!/bin/bash", 'DOCKER_VERSION="1.10.3"', f'DOCKER_IMAGE_GITHASH="{githash}{"0" * 34}"',
        f'DOCKER_IMAGE_TIMESTAMP="{timestamp}"', 'main "$@"',
    ]  # fmt: skip
    return "".join(f"{line}\n" for line in lines).encode()


def _version_of(script: bytes) -> str:
    timestamp = re.search(rb'TIMESTAMP="(\d*)"', script)
    githash = re.search(rb'GITHASH="(.{6})', script)
    return b"-".join(found[1] if found else b"" for found in (timestamp, githash)).decode()


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
    versions: dict[str, str] = field(default_factory=dict)  # of packages; 1.0 of all others
    units: dict[str, Unit] = field(default_factory=dict)
    jobs: dict[str, Unit] = field(default_factory=dict)
    accounts: dict[str, set[str]] = field(default_factory=dict)  # account -> its groups
    shells: dict[str, tuple[str, str]] = field(default_factory=dict)  # account -> home, shell
    image: str = ""  # id of the one image, "" when the host has none
    release: str = ""  # version of that image
    tags: dict[str, str] = field(default_factory=dict)  # version -> id, of kept images
    umpire_images: dict[str, str] = field(default_factory=dict)  # ids, where not the current one
    users: dict[str, list[str]] = field(default_factory=dict)  # containers of them
    dome: dict[str, str] = field(default_factory=dict)  # what Dome's containers are made of
    containers: dict[str, tuple[str, str]] = field(default_factory=dict)  # spec hash, image
    marks: set[str] = field(default_factory=set)
    environments: set[str] = field(default_factory=set)
    python: str = "3.11"
    machine: str = "x86_64"
    syncs: dict[str, tuple[str, int, str]] = field(default_factory=dict)  # outcome, days since
    verified: dict[str, str] = field(default_factory=dict)  # days since, findings
    staged: set[tuple[str, str]] = field(default_factory=set)  # build, artifact or file
    dut: dict[str, str] = field(default_factory=dict)  # lines of the answer of a DUT, by word
    answers: dict[str, str] = field(default_factory=dict)  # of web servers, by URL
    system: str = "Linux"
    docker_root: str = "/var/lib/docker"
    live_restore: bool = False
    lists: bool = False  # whether apt has those of a repository
    factory_host: dict[str, str] = field(
        default_factory=lambda: {"system": "Linux", "machine": "x86_64", "memory": "160"}
    )
    projects: dict[str, tuple[bool, int]] = field(default_factory=dict)  # in Dome: enabled, port
    umpires: dict[str, list[str]] = field(default_factory=dict)  # what they are made from
    services: dict[str, dict[str, Any]] = field(default_factory=dict)  # by project
    dome_settings: dict[str, bool] = field(default_factory=dict)
    dome_password: str = "test0000"
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
        lines += [
            f"is {name} amd64 installed {self.versions.get(name, '1.0')}"
            for name in names
            if name in self.packages
        ]
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

    @property
    def has_docker(self) -> bool:
        """Tell whether a Docker engine is installed, from wherever."""
        return bool(self.packages & {"docker.io", "docker-ce"})

    def _docker(self) -> str:
        return "docker ok\n" if self.has_docker else "docker none\n"

    def _engine(self, _: str, command: str) -> str:
        data = "data\n" if self.image else ""
        return f"system {self.system}\n{self._docker()}root {self.docker_root}\n{data}"

    def _running(self, _: str, command: str) -> str:
        live = "live true\n" if self.live_restore else ""
        return live + "".join(f"runs {name}\n" for name in sorted(self.containers))

    def _lists(self, _: str, command: str) -> str:
        return "asked\n" if self.lists else "lacks\nasked\n"

    def _factory_host(self, _: str, command: str) -> str:
        lines = [f"{word} {value}" for word, value in self.factory_host.items()]
        return "\n".join([*lines, f"{self._docker()}server 20.10.24\noldest_api 1.12\n"])

    def _installed(self, folder: str, command: str) -> str:
        lines = []
        for path, file in sorted(self.paths.items()):
            version = _version_of(file.content)
            digest = hashlib.sha256(file.content).hexdigest()
            if path == f"{folder}/cros_docker.sh":
                lines.append(f"script {version} {digest}")
            elif path.startswith(f"{folder}/kept/"):
                lines.append(f"kept {version} {digest} {self.tags.get(version, '')}")
        lines.append(self._docker().strip())
        if self.has_docker and self.image:
            lines.append(f"image {self.release} {self.image}")
            lines += [f"tag {version} {version} {id}" for version, id in sorted(self.tags.items())]
            lines += [
                f"used {version} {name}" for version in self.users for name in self.users[version]
            ]
        return "\n".join(lines) + "\n"

    def _dome_containers(self, database: str, command: str) -> str:
        found = f"database {'file' if database in self.paths else 'absent'}\n"
        due = "due\n" if "dome" in self.marks else ""
        lines = (f"is {key}\t{value}\n" for key, value in sorted(self.dome.items()))
        return found + due + self._docker() + "".join(lines if self.has_docker else ())

    def _none_made(self, names: str, command: str) -> str:
        return ""

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

    @property
    def _dome_runs(self) -> bool:
        return self.has_docker and "dome_uwsgi" in self.containers

    def _dome(self, port: str, command: str) -> str:
        if not self._dome_runs:
            return "projects 000\n"
        rows = [
            {"name": name, "umpireEnabled": enabled, "umpirePort": port}
            for name, (enabled, port) in self.projects.items()
        ]
        settings = f"200 {json.dumps(self.dome_settings)}" if self.dome_settings else "404"
        return f"projects 200 {json.dumps(rows)}\nsettings {settings}\n"

    def _umpire(self, name: str, command: str) -> str:
        lines = [self._docker().strip(), f"wanted-image {self.image}"]
        if name in self.umpires:
            config = json.dumps({"services": self.services.get(name, {}), "bundles": []})
            answers = [xmlrpc.client.dumps((said,), methodresponse=True) for said in (8, config)]
            version, told = ("".join(answer.split("\n")) for answer in answers)
            lines += ["status running", f"image {self.umpire_images.get(name, self.image)}"]
            lines += [*self.umpires[name], "data yes"]
            lines += [f"version {version}|200", f"config {told}|200"]
        return "\n".join(lines) + "\n"

    def _parts(self, image: str, command: str) -> str:
        return f"{self._docker()}id {self.image}\n"

    def _password(self, account: str, command: str) -> str:
        if not self._dome_runs:
            return "record \n"
        digest = hashlib.pbkdf2_hmac("sha256", self.dome_password.encode(), b"grain", 1)
        return f"record \nhash pbkdf2_sha256$1$grain${base64.b64encode(digest).decode()}\n"

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
        lines += [f"unit {name}" for name in names]
        units = (path.partition("crosprov-mirror-verify@")[2] for path in self.paths)
        names = [unit.removesuffix(".service") for unit in units if unit.endswith(".service")]
        return "".join(f"{line}\n" for line in [*lines, *(f"verify {name}" for name in names)])

    def _ages(self, _: str, command: str) -> str:
        return "".join(
            f"{name} {n} {days} {self.verified.get(name, 'never 0')} 0\n"
            for name, (_, n, days) in self.syncs.items()
        )

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
            "Docker engine": ScriptedHost._engine,
            "running containers": ScriptedHost._running,
            "lists of apt": ScriptedHost._lists,
            "factory server's host": ScriptedHost._factory_host,
            "factory server below": ScriptedHost._installed,
            "containers of Dome with": ScriptedHost._dome_containers,
            "containers that crosprov made": ScriptedHost._none_made,
            "container": ScriptedHost._container,
            "Dome at port": ScriptedHost._dome,
            "Umpire of": ScriptedHost._umpire,
            "TFTP and multicast from": ScriptedHost._parts,
            "password of Dome's account": ScriptedHost._password,
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
        repository, _, version = change.resource.name.partition(":")
        if change.action is Action.DELETE:
            self.tags.pop(version, None)
            self.paths = {path: at for path, at in self.paths.items() if version not in path}
            return
        version = change.after["version"] or ""
        if version not in self.tags:
            (sent,) = (step for step in change.steps if step.do == "send")
            self.tags[version] = f"sha256:{sent.sha256}"
        for step in change.steps:
            if isinstance(step, Write):
                place = step.path.replace("/.", "/").removesuffix(".crosprov")
                self.paths[place] = Path("regular file", content=step.content)
        self.release, self.image = version, self.tags[version]

    def _take_script(self, change: Change) -> None:
        self._take_file(change)
        path = change.resource.name
        version = (change.after.get("version") or "").partition(",")[0]
        if version:
            kept = self.paths[f"{posixpath.dirname(path)}/kept/{version}/cros_docker.sh"]
            self.paths[path] = Path("regular file", "0755", content=kept.content)

    def _take_dome(self, change: Change) -> None:
        (script,) = (step.command for step in change.steps if step.do == "shell")
        lines = script.partition("expected='")[2].partition("'")[0].splitlines()
        self.dome = {key: value for _, key, value in (line.split("\t") for line in lines)}
        self.containers["dome_uwsgi"] = ("", self.image)
        self.paths[f"{change.resource.name}/dome/db.sqlite3"] = Path("regular file")

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
        for name, what in change.before.items():
            units = [f"crosprov-mirror-verify@{name}."]
            units += [f"crosprov-mirror@{name}."] if what == "synced" else []
            for path in [path for path in self.paths if any(unit in path for unit in units)]:
                del self.paths[path]

    def _take_lists(self, change: Change) -> None:
        self.lists = True

    def _take_project(self, change: Change) -> None:
        name = change.resource.name
        enabled, port = self.projects.get(name, (False, 0))
        enabled = change.after.get("project", "enabled" if enabled else "") == "enabled"
        self.projects[name] = (enabled, int(change.after.get("umpire_port") or port))
        (script,) = (step.command for step in change.steps if step.do == "shell")
        made = script.partition("<<EOF\n")[2].partition("\nEOF")[0].splitlines()
        self.umpires.pop(name, None)
        if enabled:
            self.umpires[name] = [line for line in made if not line.startswith("image ")]

    def _take_setting(self, change: Change) -> None:
        fields = {"tftp": "tftpEnabled", "version_check": "versionCheckEnabled"}
        self.dome_settings[fields[change.resource.name]] = change.after["state"] == "on"

    def _take_password(self, change: Change) -> None:
        (secret,) = (step.content for step in change.steps if isinstance(step, Write))
        self.dome_password = vault.reveal(secret).decode()

    def _take_services(self, change: Change) -> None:
        services = self.services.setdefault(change.resource.name, {})
        for key, value in change.after.items():
            at, words = services, key.split(".")
            for word in words[:-1]:
                at = at.setdefault(word, {})
            at[words[-1]] = json.loads(value or "null")

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
            "script": ScriptedHost._take_script,
            "dome": ScriptedHost._take_dome,
            "container": ScriptedHost._take_container,
            "project": ScriptedHost._take_project,
            "dome setting": ScriptedHost._take_setting,
            "password": ScriptedHost._take_password,
            "services": ScriptedHost._take_services,
            "check": ScriptedHost._take_check,
            "apt lists": ScriptedHost._take_lists,
        },
    )
