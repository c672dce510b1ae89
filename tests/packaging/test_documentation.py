"""The documentation and the program say the same."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from crosprov import __version__
from crosprov.cli.app import run
from tests.packaging.test_distributions import SETTINGS
from tests.packaging.tree import ROOT, project_files

PAGE = (ROOT / "docs/command-line.md").read_text()
SHARED = "Options that commands share"
DOCUMENTS = sorted(path for path in project_files() if path.suffix == ".md")


def sections() -> dict[str, str]:
    """Map each command of the page to its text."""
    parts = re.split(r"^## (.*)\n", PAGE, flags=re.M)[1:]
    titles = (title.strip("`") for title in parts[::2])
    return dict(zip(titles, parts[1::2], strict=True))


def options(text: str) -> set[str]:
    return set(re.findall(r"(?<![\w-])--[a-z][a-z_-]*", text))


def commands(capsys: pytest.CaptureFixture[str]) -> Iterator[tuple[str, set[str]]]:
    """Give each command of the program with its options, as its help tells them."""
    waiting: list[list[str]] = [[]]
    while waiting:
        words = waiting.pop()
        assert run([*words, "--help"]) == 0
        told = capsys.readouterr().out
        listed = re.findall(r"^  (?:-\w(?: [A-Z]+)?, )?(--[a-z_-]+)", told, re.M)
        yield " ".join(["crosprov", *words]), set(listed) - {"--help"}
        _, _, below = told.partition("\nCommands:\n")
        names = re.findall(r"^ {2,4}(\w+)  ", below.partition("\n\n")[0], re.M)
        waiting += [[*words, name] for name in names]


def test_every_command_and_option_is_on_the_page(capsys: pytest.CaptureFixture[str]) -> None:
    program = dict(commands(capsys))
    page = sections()
    assert len(program) > 10
    assert set(program) == {title for title in page if title.startswith("crosprov")}
    for command, known in program.items():
        told = options(page[command].partition("|---|---|\n")[2]) - {"--help"}
        assert told == known, command


def test_shared_options_are_explained_once() -> None:
    assert options(sections()[SHARED]) == {
        *("--limit", "--role", "--parallel", "--twin", "--accept-new-host-keys"),
        *("--format", "--verbose"),
    }


@pytest.mark.parametrize("document", DOCUMENTS, ids=str)
def test_links_lead_somewhere(document: str) -> None:
    text = (ROOT / document).read_text()
    links = re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", text)
    local = [link for link in links if "://" not in link]
    assert [link for link in local if not (ROOT / document).parent.joinpath(link).exists()] == []


def test_scripts_and_files_of_the_readme_exist() -> None:
    readme = (ROOT / "README.md").read_text()
    named = set(re.findall(r"(?<![\w./-])((?:scripts|docs|inventory)/[\w./-]*\w)", readme))
    assert named >= {"scripts/demo", "scripts/test", "inventory/demo.yml"}
    assert [path for path in sorted(named) if not (ROOT / path).exists()] == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=str)
def test_commands_in_the_documents_exist(document: str, capsys: pytest.CaptureFixture[str]) -> None:
    program = dict(commands(capsys))
    text = (ROOT / document).read_text()
    fenced = "\n".join(re.findall(r"^```\w*\n(.*?)^```", text, re.M | re.S))
    lines = re.findall(r"^(?:\$ )?(crosprov .*)$", fenced, re.M)
    lines += re.findall(r"`(crosprov [a-z][^`\n]*)`", text)
    for line in lines:
        words = line.partition("#")[0].replace("|", " ").split()
        grouped = words[1] in ("twin", "mirror", "factory") and len(words) > 2
        depth = 3 if grouped and not words[2].startswith("-") else 2
        command = " ".join(words[:depth])
        if words[1].startswith("-"):
            command = "crosprov"
        assert command in program, line
        assert options(line.partition(" -- ")[0]) <= program[command] | {"--help"}, line


def test_the_changelog_tells_this_version() -> None:
    assert f"\n## {__version__}" in (ROOT / "CHANGELOG.md").read_text()
    assert SETTINGS["project"]["version"] == __version__


def test_decisions_have_context_choice_and_price() -> None:
    parts = re.split(r"^## (\d+)\. ", (ROOT / "docs/decisions.md").read_text(), flags=re.M)[1:]
    numbers = [int(number) for number in parts[::2]]
    assert numbers == list(range(1, len(numbers) + 1))
    libraries = next(text for text in parts[1::2] if text.startswith("Dependencies"))
    for text in set(parts[1::2]) - {libraries}:
        assert re.findall(r"^\*\*(\w+)\.\*\*", text, re.M) == ["Context", "Choice", "Price"], text
