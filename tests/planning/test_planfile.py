"""A plan in a file: whole, of this version, unchanged, and without secrets."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from crosprov.errors import CrosprovError, PlanFileError, SecretError, StalePlan
from crosprov.planning.plan import Action, Change, HostPlan, Plan, Reboot, Resource, Shell, Write
from crosprov.planning.planfile import load, looks_like_plan, save
from crosprov.secrets import Vault
from crosprov.transport.base import SshTarget


def plan_of(content: bytes, inventory: Path) -> Plan:
    import base64

    change = Change(
        role="common", operation="files.file", action=Action.CREATE,
        resource=Resource(kind="file", name="/etc/x"), diff="+x",
        steps=(
            Shell(command="true"),
            Write(path="/etc/.x.crosprov", content=base64.b64encode(content)),
            Reboot(within=600, ask=False),
        ),
    )  # fmt: skip
    host = HostPlan(
        host="h1", roles=("common",), state_dir="/var/lib/crosprov",
        target=SshTarget("h1", "192.0.2.1"), changes=(change,),
    )  # fmt: skip
    return Plan(
        crosprov="0.1.0", lab="lab", inventory=str(inventory), created="2026-01-01T00:00:00Z",
        hosts=(host,),
    )  # fmt: skip


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    (tmp_path / "password").write_text("hunter2-very-secret\n")
    vault = Vault()
    token = vault.token({"file": "password"}, tmp_path)
    path = tmp_path / "lab.plan"
    save(plan_of(f"pw={token}\n".encode(), tmp_path / "lab.yml"), path, vault)
    return path


def test_a_plan_comes_back_as_it_was(saved: Path) -> None:
    vault = Vault()
    plan = load(saved, vault)
    write = plan.hosts[0].changes[0].steps[1]
    assert isinstance(write, Write)
    assert vault.reveal(write.content) == b"pw=hunter2-very-secret\n"
    assert plan.hosts[0].target.host == "192.0.2.1"
    assert plan.hosts[0].reboots == (Reboot(within=600, ask=False),)
    assert not plan.hosts[0].asks_to_reboot


def test_the_file_is_private_and_holds_no_secret(saved: Path) -> None:
    assert saved.stat().st_mode & 0o777 == 0o600
    assert "hunter2" not in saved.read_text()


def truncate(path: Path) -> None:
    path.write_text(path.read_text()[:-40])


def edit(path: Path) -> None:
    path.write_text(path.read_text().replace("/etc/x", "/etc/y"))


def other_version(path: Path) -> None:
    raw = json.loads(path.read_text())
    raw["plan"]["crosprov"] = "9.9.9"
    path.write_text(json.dumps(raw))


def other_json(path: Path) -> None:
    path.write_text('{"resources": []}')


def missing(path: Path) -> None:
    path.unlink()


def secret_gone(path: Path) -> None:
    (path.parent / "password").unlink()


def secret_changed(path: Path) -> None:
    (path.parent / "password").write_text("another\n")


DAMAGE: list[tuple[Callable[[Path], None], type[CrosprovError], str]] = [
    (truncate, PlanFileError, "cut off"),
    (edit, PlanFileError, "changed after it was saved"),
    (other_version, PlanFileError, "made by crosprov 9.9.9"),
    (other_json, PlanFileError, "is not a plan file"),
    (missing, PlanFileError, "No such file"),
    (secret_gone, SecretError, "cannot be read"),
    (secret_changed, StalePlan, "has changed since the plan was made"),
]


@pytest.mark.parametrize(("harm", "kind", "words"), DAMAGE)
def test_a_damaged_plan_is_refused(
    saved: Path, harm: Callable[[Path], None], kind: type[CrosprovError], words: str
) -> None:
    harm(saved)
    with pytest.raises(kind, match=words):
        load(saved, Vault())


@pytest.mark.parametrize(
    ("name", "content", "is_plan"),
    [
        ("lab.yml", "lab: x\n", False),
        ("lab.yaml", "{}", False),
        ("lab.plan", '{"sha256": 1}', True),
        ("lab", "lab: x", False),
    ],
)
def test_a_plan_file_is_told_from_an_inventory(
    tmp_path: Path, name: str, content: str, is_plan: bool
) -> None:
    path = tmp_path / name
    path.write_text(content)
    assert looks_like_plan(path) is is_plan
