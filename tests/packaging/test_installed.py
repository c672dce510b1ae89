"""The wheel in an environment of its own, run from far away."""

from __future__ import annotations

import re
from pathlib import Path

from crosprov import __version__
from crosprov.roles import available
from tests.packaging.conftest import Installed
from tests.packaging.tree import ROOT

EVERY_DEPLOY = """\
from crosprov import deploying, roles
for role in roles.available():
    print(role, deploying.find(role).__module__)
"""

EVERY_TEMPLATE = """\
from crosprov.templating import _packaged
for name in _packaged().list_templates(extensions=["j2"]):
    _packaged().get_template(name)
    print(name)
"""

DRAW = """\
import sys
from crosprov.deploying import host_model
from crosprov.inventory.load import load_lab
from crosprov.planning.planner import draw
from pathlib import Path
lab = load_lab(Path(sys.argv[1]))
print(draw(host_model(lab, lab.hosts["time1"]), {}).missing != [])
"""


def test_it_runs_from_its_own_place(installed: Installed) -> None:
    done = installed.run("python", "-c", "import crosprov; print(crosprov.__file__)")
    assert done.stdout.startswith(str(installed.bin.parent)), done.stderr


def test_version(installed: Installed) -> None:
    done = installed.run("crosprov", "--version")
    assert (done.returncode, done.stdout, done.stderr) == (0, f"crosprov {__version__}\n", "")


def test_validate(installed: Installed) -> None:
    done = installed.run("crosprov", "validate", str(ROOT / "inventory/demo.yml"))
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("demo is sound: 5 hosts\n")


def test_init_writes_a_sound_inventory(installed: Installed, tmp_path: Path) -> None:
    assert installed.run("crosprov", "init", str(tmp_path / "lab")).returncode == 0
    done = installed.run("crosprov", "validate", str(tmp_path / "lab/lab.yml"))
    assert done.returncode == 0, done.stderr


def test_every_role_finds_its_deploy(installed: Installed) -> None:
    done = installed.run("python", "-c", EVERY_DEPLOY)
    assert done.returncode == 0, done.stderr
    found = dict(line.split() for line in done.stdout.splitlines())
    assert found == {role: f"crosprov.deploys.{role}" for role in available()}


def test_every_template_is_found(installed: Installed) -> None:
    done = installed.run("python", "-c", EVERY_TEMPLATE)
    assert done.returncode == 0, done.stderr
    templates = sorted(
        str(p.relative_to(ROOT / "templates")) for p in ROOT.glob("templates/**/*.j2")
    )
    assert done.stdout.splitlines() == templates


def test_the_role_of_the_guide_works(installed: Installed, tmp_path: Path) -> None:
    guide = (ROOT / "docs/how-to-add-a-role.md").read_text()
    blocks = re.findall(r"^## \d\. [^\n]*: `([\w./]+)`\n\n```\w*\n(.*?)^```", guide, re.M | re.S)
    assert [path.split("/")[0] for path, _ in blocks] == ["crosprov", "deploys", "templates"]
    (package,) = installed.bin.parent.glob("lib/python*/site-packages/crosprov")
    written = [package / path.removeprefix("crosprov/") for path, _ in blocks]
    inventory = tmp_path / "lab.yml"
    inventory.write_text("lab: guide\nhosts: {time1: {ntp_server: {}}}\n")
    try:
        for path, (_, text) in zip(written, blocks, strict=True):
            path.parent.mkdir(exist_ok=True)
            path.write_text(text)
        done = installed.run("crosprov", "validate", str(inventory))
        assert (done.returncode, done.stderr) == (0, "")
        done = installed.run("python", "-c", DRAW, str(inventory))
        assert (done.returncode, done.stdout) == (0, "True\n"), done.stderr
    finally:
        for path in written:
            path.unlink()
        written[-1].parent.rmdir()
