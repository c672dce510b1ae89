from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from crosprov.errors import ChangeFailed, PlanError
from crosprov.facts.http import HttpFact
from crosprov.operations.probes import http_probe
from crosprov.operations.units import unit
from tests.support.machine import Machine, summary


def test_nothing_to_do_where_the_answer_is_right(machine: Machine, web: str) -> None:
    plan = machine.plan(lambda: http_probe(f"{web}204", status=204))
    assert plan.empty
    assert plan.round_trips == 1


@pytest.mark.parametrize("answer", ["404", "500", "302"])
def test_another_answer_fails_with_it(machine: Machine, web: str, answer: str) -> None:
    (change,) = machine.plan(lambda: http_probe(web + answer, within=0)).changes
    assert (change.before, change.after) == ({"answer": answer}, {"answer": "200"})
    with pytest.raises(ChangeFailed, match=f"last: {answer}"):
        machine.apply(lambda: http_probe(web + answer, within=0))


def test_no_answer_fails_in_words(machine: Machine, closed_port: int) -> None:
    url = f"http://127.0.0.1:{closed_port}/"
    with pytest.raises(ChangeFailed, match="no answer at all"):
        machine.apply(lambda: http_probe(url, within=0))


def test_a_probe_is_asked_after_a_start_of_the_same_plan(machine: Machine, web: str) -> None:
    folder = machine.stubs / "systemd" / "web.service"
    folder.mkdir(parents=True)

    def wanted() -> None:
        unit("web.service")
        http_probe(web)

    assert summary(machine.plan(wanted)) == ["~ unit web.service", f"> probe {web}"]
    machine.apply(wanted)
    (folder / "UnitFileState").write_text("enabled\n")
    assert machine.plan(wanted).empty


@pytest.mark.parametrize(
    "url",
    ["", "127.0.0.1:80", "ftp://192.0.2.1/", "http://", "http://a b/", "http://a/\n"],
)
def test_what_is_no_url_is_refused(machine: Machine, url: str) -> None:
    with pytest.raises(PlanError, match="not a URL"):
        machine.plan(lambda: http_probe(url))


@pytest.mark.parametrize("client", ["curl", "wget", "perl", None])
@pytest.mark.parametrize("answer", ["200", "302", "404", None])
def test_every_client_tells_the_same(
    machine: Machine, web: str, closed_port: int, client: str | None, answer: str | None
) -> None:
    only = machine.root / "only"
    only.mkdir()
    for program in ("sed", "tail", "grep", *([client] if client else [])):
        found = shutil.which(program)
        if found is None:
            pytest.skip(f"this machine has no {program}")
        (only / program).symlink_to(Path(found).resolve())
    url = f"http://127.0.0.1:{closed_port}/" if answer is None else web + answer
    command = f"PATH={only}\n{HttpFact().command(url)}"
    said = machine.transport().run("sh -s", stdin=command.encode()).stdout.decode().strip()
    assert said == ("unable" if client is None else answer or "none")
