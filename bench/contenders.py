"""The contenders: each gets the same eleven resources in its own words, and its command lines."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench import desired, environments
from bench.lab import BenchLab
from bench.measure import BenchError, Command
from crosprov.transport.base import SshTarget


@dataclass(frozen=True, slots=True)
class Contender:
    """A program that makes hosts what they should be.

    `told` says from a dry run's output how many hosts it would change.
    """

    name: str
    version: str
    apply: Command
    dry_run: Command
    told: Callable[[str], int]
    end: Callable[[], None] = lambda: None


def all_of(lab: BenchLab, work: Path, cache: Path) -> tuple[Contender, ...]:
    """Write what each contender reads below `work`; the slowest comes first."""
    targets = [lab.target(name) for name in lab.names]
    made = []
    for name, make in (("ansible", _ansible), ("pyinfra", _pyinfra), ("crosprov", _crosprov)):
        home = work / name
        home.mkdir(parents=True, exist_ok=True)
        made.append(make(home, targets, cache))
    return tuple(made)


def _ansible(home: Path, targets: list[SshTarget], cache: Path) -> Contender:
    programs = environments.ansible(cache)
    first = targets[0]
    sockets = home / "cp"
    options = f"-F none -o IdentitiesOnly=yes -o UserKnownHostsFile={first.known_hosts}"
    (home / "ansible.cfg").write_text(
        "[defaults]\n"
        f"forks = {len(targets)}\ngathering = explicit\ninventory = hosts.ini\n"
        "interpreter_python = /usr/bin/python3\n"
        f"[connection]\npipelining = True\n"
        f"[ssh_connection]\ncontrol_path_dir = {sockets}\n"
        f"ssh_args = {options} -o ControlMaster=auto -o ControlPersist=60s\n"
    )
    variables = (
        f"ansible_user={first.user}",
        f"ansible_ssh_private_key_file={first.identity_file}",
    )
    rows = [f"{t.name} ansible_host={t.host}" for t in targets]
    text = "\n".join(["[all]", *rows, "[all:vars]", *variables])
    (home / "hosts.ini").write_text(text + "\n")
    (home / "play.yml").write_text(json.dumps(_play(), indent=1))  # JSON is YAML
    env = {"ANSIBLE_CONFIG": str(home / "ansible.cfg"), "ANSIBLE_LOCALHOST_WARNING": "False"}
    argv = (str(programs / "ansible-playbook"), "play.yml")

    def end() -> None:
        for socket in sockets.glob("*"):
            subprocess.run(("ssh", "-o", f"ControlPath={socket}", "-O", "exit", "x"),
                           capture_output=True)  # fmt: skip

    return Contender(
        "Ansible",
        _version(programs / "ansible", r"core ([\d.]+)"),
        Command(argv, home, env),
        Command((*argv, "--check", "--diff"), home, env),
        lambda output: len(re.findall(r"^\S+ +: ok=\d+ +changed=[1-9]", output, re.M)),
        end,
    )


def _play() -> list[dict[str, Any]]:
    user = {"name": desired.USER, "shell": desired.SHELL}
    path, key, value = desired.LINE
    link, points_to = desired.LINK
    tasks: list[dict[str, Any]] = [{"apt": {"name": list(desired.PACKAGES)}}, {"user": user}]
    for d in desired.DIRECTORIES:
        owner = {"mode": d.mode, "owner": d.owner, "group": d.owner}
        tasks.append({"file": {"path": d.path, "state": "directory", **owner}})
    for f in desired.FILES:
        owner = {"mode": f.mode, "owner": f.owner, "group": f.owner}
        tasks.append({"template": {"src": str(f.source), "dest": f.path, **owner}})
    tasks.append({"file": {"src": points_to, "path": link, "state": "link"}})
    line = {"path": path, "regexp": f"^{key}=", "line": f"{key}={value}"}
    tasks.append({"lineinfile": line})
    named = [{f"ansible.builtin.{k}": v for k, v in task.items()} for task in tasks]
    return [{"hosts": "all", "gather_facts": False, "vars": desired.VARS, "tasks": named}]


_PYINFRA_DEPLOY = """\
from pyinfra.operations import apt, files, server

apt.packages(packages={packages!r})
server.user(user={user!r}, shell={shell!r})
for path, mode, owner in {directories!r}:
    files.directory(path=path, mode=mode, user=owner, group=owner)
for src, dest, mode, owner in {files!r}:
    files.template(src=src, dest=dest, mode=mode, user=owner, group=owner, **{values!r})
files.link(path={link[0]!r}, target={link[1]!r})
files.line(path={line[0]!r}, line={pattern!r}, replace={text!r})
"""


def _pyinfra(home: Path, targets: list[SshTarget], cache: Path) -> Contender:
    programs = environments.pyinfra(cache)
    hosts = [
        (
            target.name,
            {
                "ssh_hostname": target.host,
                "ssh_user": target.user,
                "ssh_key": target.identity_file,
                "ssh_known_hosts_file": target.known_hosts,
                "ssh_strict_host_key_checking": "yes",
            },
        )
        for target in targets
    ]
    (home / "inventory.py").write_text(f"hosts = {hosts!r}\n")
    path, key, value = desired.LINE
    deploy = _PYINFRA_DEPLOY.format(
        packages=list(desired.PACKAGES),
        user=desired.USER,
        shell=desired.SHELL,
        directories=[(d.path, d.mode.lstrip("0"), d.owner) for d in desired.DIRECTORIES],
        files=[(str(f.source), f.path, f.mode.lstrip("0"), f.owner) for f in desired.FILES],
        values=desired.VARS,
        link=desired.LINK,
        line=(path,),
        pattern=f"^{key}=.*",
        text=f"{key}={value}",
    )
    (home / "deploy.py").write_text(deploy)
    argv = (str(programs / "pyinfra"), "inventory.py", "deploy.py")
    return Contender(
        "pyinfra",
        _version(programs / "pyinfra", r"v([\d.]+)"),
        Command((*argv, "-y"), home, {}),
        Command((*argv, "--dry", "--diff"), home, {}),
        lambda output: len(set(re.findall(r"\[(\S+)\] Will modify", output))),
    )


def _crosprov(home: Path, targets: list[SshTarget], cache: Path) -> Contender:
    inventory = home / "lab.yml"
    inventory.write_text(json.dumps(_inventory(targets), indent=1))  # JSON is YAML
    for file in desired.FILES:
        (home / file.template).write_bytes(file.source.read_bytes())
    program = Path(sys.executable).with_name("crosprov")
    if not program.is_file():
        raise BenchError(f"{program} is missing; install the project: pip install -e .")
    formatted = ("--format", "json")
    return Contender(
        "crosprov",
        _version(program, r"crosprov (\S+)"),
        Command((str(program), "apply", "--yes", *formatted, str(inventory)), home, {}),
        Command((str(program), "plan", *formatted, str(inventory)), home, {}),
        lambda output: sum(bool(host["changes"]) for host in json_of(output)["hosts"]),
    )


def _inventory(targets: list[SshTarget]) -> dict[str, Any]:
    path, key, value = desired.LINE
    first = targets[0]
    common = {
        "packages": list(desired.PACKAGES),
        "users": {desired.USER: {"shell": desired.SHELL}},
        "directories": {
            d.path: {"mode": d.mode, "owner": d.owner, "group": d.owner}
            for d in desired.DIRECTORIES
        },
        "files": {
            f.path: {
                "template": f.template,
                "vars": desired.VARS,
                "mode": f.mode,
                "owner": f.owner,
                "group": f.owner,
            }
            for f in desired.FILES
        },
        "links": dict([desired.LINK]),
        "settings": {path: {key: value}},
    }
    ssh = {
        "user": first.user,
        "identity_file": first.identity_file,
        "known_hosts": first.known_hosts,
    }
    return {
        "lab": "bench",
        "defaults": {"ssh": ssh, "common": common},
        "hosts": {t.name: {"ssh": {"host": t.host}} for t in targets},
    }


def json_of(output: str) -> Any:
    """Take the JSON out of a log that may begin with lines of progress."""
    start = output.find("{")
    try:
        value, _ = json.JSONDecoder().raw_decode(output[max(start, 0) :])
    except ValueError:
        raise BenchError(f"the output holds no JSON: {output[-500:]}") from None
    return value


def _version(program: Path, pattern: str) -> str:
    done = subprocess.run((str(program), "--version"), capture_output=True, text=True)
    found = re.search(pattern, done.stdout + done.stderr)
    if found is None:
        raise BenchError(f"{program} --version gives no version")
    return found[1]
