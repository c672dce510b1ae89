"""docs/mirrors.md tells the rules of the policy as the check knows them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from crosprov.mirror.allowlist import parse_allow_list
from crosprov.mirror.options import options_of
from crosprov.mirror.policy.rules import RULES
from crosprov.mirror.vocabulary import COMMANDS

PAGE = Path(__file__).parents[2] / "docs" / "mirrors.md"
RENEW = "python -m tests.mirror.test_documents writes it anew"


def rules() -> str:
    """Write the table of the rules."""
    rows = [
        f"| `{rule.id}` | {rule.title} | {rule.why} | {rule.heading} |\n" for rule in RULES.values()
    ]
    head = "| rule | what it asks | why | heading of the policy |\n|---|---|---|---|\n"
    return head + "".join(rows)


def renew() -> None:
    """Put the table at the end of the page."""
    text = PAGE.read_text(encoding="utf-8").partition("| rule | ")[0]
    PAGE.write_text(text + rules(), encoding="utf-8")


def test_the_page_has_the_rules_of_the_check() -> None:
    assert PAGE.read_text(encoding="utf-8").endswith(f"```\n\n{rules()}"), RENEW


def test_the_allow_list_of_the_page_is_one() -> None:
    text = PAGE.read_text(encoding="utf-8").partition("```toml\n")[2].partition("```")[0]
    allowed = parse_allow_list(text, "page")
    assert len(allowed.entries) == 1 and not allowed.findings


@pytest.mark.parametrize(
    ("command", "line"), [(name, line) for name, (_, lines) in COMMANDS.items() for line in lines]
)
def test_the_examples_of_the_help_can_be_typed(command: str, line: str) -> None:
    given = options_of(line.split())
    assert given.command == command
    assert json.dumps(vars(given), default=str)


if __name__ == "__main__":
    renew()
