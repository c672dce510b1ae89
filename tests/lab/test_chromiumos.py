"""A dev server of a checkout on a twin, with the stand-in for its devserver.py."""

from __future__ import annotations

import io
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.chromiumos.checkouts import checkout
from tests.lab.labs import Lab, booted, differences, told
from tests.support.waiting import until

pytestmark = pytest.mark.lab

LAB = """
lab: NAME
hosts:
  dev1:
    ssh: {host: 10.91.7.6}
    dev_server:
      implementation: chromiumos
      checkout: /srv/chromiumos
      gsutil: gsutil.tar
      port: 8080
      stage: [{local_path: /srv/devserver/static/incoming/eve-release/R1-1.0.0, files: [a.bin]}]
"""
BUILD = "/srv/devserver/static/incoming/eve-release/R1-1.0.0"
STAGED = "/srv/devserver/static/eve-release/R1-1.0.0/a.bin"


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    folder = tmp_path_factory.mktemp("chromiumos")
    with tarfile.open(folder / "gsutil.tar", "w") as tar:
        program = tarfile.TarInfo("gsutil/gsutil")
        program.mode = 0o755
        tar.addfile(program, io.BytesIO())
    with booted(folder, LAB) as made:
        made.must("dev1", "apt-get -q update && apt-get -q -y --no-install-recommends install "
                  "python3", timeout=240)  # fmt: skip
        with checkout("old") as root:
            _copy(made, root, "/srv/chromiumos")
        made.must("dev1", f"mkdir -p {BUILD} && echo x > {BUILD}/a.bin")
        yield made


def _copy(lab: Lab, source: Path, target: str) -> None:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        tar.add(source, ".")
    command = f"mkdir -p {target} && tar -x --no-same-owner -C {target}"
    subprocess.run(
        [*lab.twin.ssh_command("dev1", user="root"), command],
        input=packed.getvalue(), check=True, timeout=60,
    )  # fmt: skip


def test_a_checkout_is_run_staged_and_mended(lab: Lab) -> None:
    before = lab.uppers()["dev1"]
    planned = lab.crosprov("plan")
    assert planned.returncode == 0, told(planned)
    assert differences(before, lab.uppers()["dev1"]) == []

    applied = lab.crosprov("apply", "--yes")
    assert applied.returncode == 0, told(applied)
    assert lab.must("dev1", f"cat {STAGED}") == "x\n"
    assert lab.must("dev1", "ps -o user= -p $(cat /run/devserver/pid)").strip() == "devserver"
    again = lab.crosprov("plan", "--detailed-exitcode")
    assert again.returncode == 0, told(again)

    lab.must("dev1", "kill -9 $(cat /run/devserver/pid)")
    until(lambda: lab.ssh("dev1", "curl -fs http://127.0.0.1:8080/check_health").returncode == 0)
    lab.must("dev1", f"rm {STAGED}")
    missing = lab.crosprov("plan")
    assert "a.bin" in missing.stdout, told(missing)
    mended = lab.crosprov("apply", "--yes")
    assert mended.returncode == 0, told(mended)
    assert lab.must("dev1", f"cat {STAGED}") == "x\n"


@pytest.mark.parametrize(
    ("key", "sentence"),
    [
        ("port: 22", "port 22 is taken by sshd"),
        ("use_cached: true", "`use_cached` needs --use_cached, which devserver.py had from"),
        ("checkout: /srv/nothing", "there is no checkout at /srv/nothing"),
    ],
)
def test_what_cannot_run_is_refused_in_the_plan(lab: Lab, key: str, sentence: str) -> None:
    name = key.partition(":")[0]
    kept = [line for line in LAB.splitlines() if not line.strip().startswith(f"{name}:")]
    place = next(number for number, line in enumerate(kept) if "implementation" in line)
    try:
        lab.write("\n".join([*kept[: place + 1], f"      {key}", *kept[place + 1 :]]) + "\n")
        refused = lab.crosprov("plan")
    finally:
        lab.write(LAB)
    assert refused.returncode != 0
    assert sentence in refused.stdout + refused.stderr, told(refused)
