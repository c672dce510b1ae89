"""The SSH configuration is read as OpenSSH reads it; `ssh -G` is the judge."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from crosprov.transport import sshconfig
from crosprov.transport.sshconfig import ConfigError, Settings, look_up

KEYWORDS = (
    "hostname",
    "port",
    "user",
    "identityfile",
    "identitiesonly",
    "proxyjump",
    "proxycommand",
    "userknownhostsfile",
    "hostkeyalias",
    "connecttimeout",
    "serveraliveinterval",
    "serveralivecountmax",
)

CASES = {
    "a host of the second pass": "Host b\nPort 1\nHost a\nHostName b\nMatch final all\n",
    "first value wins": "Host a\n Port 1\nHost *\n Port 2\n",
    "later block for another host": "Host b\n Port 1\nHost *\n Port 2\n",
    "before any host": "Port 3\nHost a\n Port 1\n",
    "negation": "Host * !a\n Port 1\nHost *\n Port 2\n",
    "question mark": "Host ?\n Port 1\n",
    "several patterns": "Host x a y\n Port 1\n",
    "brackets are literal": "Host [a]\n Port 1\n",
    "case of keywords": "HOST a\n pOrT 1\n",
    "equals sign": "Host=a\n Port = 1\n User=me\n",
    "quotes": 'Host "a"\n UserKnownHostsFile "/tmp/with blank" /tmp/two\n',
    "tabs and carriage returns": "Host\ta\r\n\tPort\t1\r\n",
    "comments": "# one\nHost a # two\n # three\n Port 1 # four\n",
    "several identities": "IdentityFile /k/one\nIdentityFile /k/two\nIdentityFile /k/one\n",
    "identities of two blocks": "Host a\n IdentityFile /k/1\nHost *\n IdentityFile /k/2\n",
    "host name token": "HostName %h.example.com\n",
    "host name token and percent": "HostName %h%%x\n",
    "jump": "ProxyJump u@j:22,k\n",
    "jump before command": "ProxyJump j\nProxyCommand nc\n",
    "command before jump": "ProxyCommand nc x | y # z\nProxyJump j\n",
    "no command": "ProxyCommand none\nHost *\n ProxyCommand nc\n",
    "no jump": "Host a\n ProxyJump none\nHost *\n ProxyJump j\n",
    "match all": "Match all\n Port 1\n",
    "match host": "Match host a\n Port 1\n",
    "match host after name": "HostName b\nMatch host b\n Port 1\nMatch host a\n Port 2\n",
    "match original host": "HostName b\nMatch originalhost a\n Port 1\n",
    "match user": "User u\nMatch user x,u\n Port 1\n",
    "match not user": "User u\nMatch !user u\n Port 1\n",
    "match two criteria": "User u\nMatch host a user v\n Port 1\nMatch host a user u\n Port 2\n",
    "match a list with negation": "Match host *,!a\n Port 1\n",
    "match exec true": 'Match exec "test %h = a"\n Port 1\n',
    "match exec false": "Match exec false\n Port 1\n",
    "match final": "HostName b\nMatch final host b\n Port 1\n",
    "match final cannot rename": "Match final all\n HostName b\n Port 1\n",
    "match not final": "Match !final\n Port 1\n",
    "match canonical": "Match canonical\n Port 1\n",
    "times": "ConnectTimeout 1m30s\nServerAliveInterval 7\nServerAliveCountMax 2\n",
    "alias": "HostKeyAlias other\n",
    "include": "Include one\nHost *\n Port 2\n",
    "include in a host block": "Host b\n Include one\nHost *\n Port 2\n",
    "include then on": "Host a\n Include two\n Port 9\n",
    "include a pattern": "Include o*\n",
    "include nothing": "Include nothing*\nPort 4\n",
}

INCLUDED = {"one": "Port 1\nUser one\n", "two": "Host zzz\n Port 5\nHost a\n User two\n"}

# Each example overwrites the one file, so that they may share its directory.
UNCHECKED = [HealthCheck.function_scoped_fixture]

needs_ssh = pytest.mark.skipif(shutil.which("ssh") is None, reason="no OpenSSH client here")


def judge(config: Path, host: str = "a") -> dict[str, list[str]]:
    """Return what OpenSSH makes of a file."""
    command = ["ssh", "-G", "-F", str(config), host]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    found: dict[str, list[str]] = {}
    for line in done.stdout.splitlines():
        keyword, _, value = line.partition(" ")
        if keyword in KEYWORDS:
            found.setdefault(keyword, []).append(value)
    return found


def ours(settings: Settings, keyword: str) -> list[str] | None:
    """Return a setting as `ssh -G` would print it, None where ssh fills in a default."""
    values = settings.all(keyword)
    if values is None or (keyword.startswith("proxy") and settings.get(keyword) is None):
        return None
    if keyword == "hostname":
        return [sshconfig.expand(values[0], {"h": settings.asked})]
    if keyword in ("connecttimeout", "serveraliveinterval"):
        return [str(settings.number(keyword))]
    return [" ".join(values)] if keyword == "userknownhostsfile" else values


def compare(config: Path) -> None:
    expected = judge(config)
    defaults = judge(Path("/dev/null"))
    settings = look_up("a", paths=(config,))
    for keyword in KEYWORDS:
        assert (ours(settings, keyword) or defaults.get(keyword)) == expected.get(keyword), keyword


@needs_ssh
@pytest.mark.parametrize("text", CASES.values(), ids=CASES.keys())
def test_a_file_means_what_it_means_to_ssh(tmp_path: Path, text: str) -> None:
    for name, content in INCLUDED.items():
        (tmp_path / name).write_text(content)
    config = tmp_path / "config"
    config.write_text(text.replace("Include ", f"Include {tmp_path}/"))
    compare(config)


LINES = st.sampled_from(
    [
        "Host a",
        "Host b",
        "Host *",
        "Host * !a",
        "Match host a",
        "Match host b",
        "Match originalhost a user u",
        "Match !host b",
        "Match final all",
        "Match all",
        "Port 1",
        "Port 2",
        "User u",
        "User v",
        "HostName b",
        "HostName a.example.com",
        "ProxyJump j",
        "ProxyCommand nc",
        "IdentityFile /k/1",
        "IdentityFile /k/2",
        "IdentitiesOnly yes",
    ]
)


@needs_ssh
@settings(
    max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(lines=st.lists(LINES, max_size=12))
def test_any_mixture_of_lines_means_the_same_to_ssh(tmp_path: Path, lines: list[str]) -> None:
    config = tmp_path / "config"
    config.write_text("\n".join([*lines, ""]))
    compare(config)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("Port\n", "line 1 gives Port no value"),
        ("Host a\n Port # nothing\n", "line 2 gives port no value"),
        ('User "me\n', "line 1 has a quotation mark"),
        ("\n\nMatch weather sunny\n", "line 3 has the unknown criterion Match weather"),
        ("Match host\n", "line 1 gives Match host no argument"),
        ("CanonicalizeHostname yes\n", "is not supported"),
        ("Include {directory}/config\n", "included by itself"),
    ],
)
def test_a_line_that_makes_no_sense_is_named(tmp_path: Path, text: str, message: str) -> None:
    config = tmp_path / "config"
    config.write_text(text.replace("{directory}", str(tmp_path)))
    with pytest.raises(ConfigError, match=message):
        look_up("a", paths=(config,))


def test_a_file_that_does_not_exist_says_nothing(tmp_path: Path) -> None:
    assert look_up("a", paths=(tmp_path / "none",)).values == {}


@given(st.text(max_size=200))
def test_any_text_is_understood_or_refused(text: str) -> None:
    line = sshconfig.Line(Path("config"), 1, "user", text)
    try:
        words = line.words()
    except ConfigError as error:
        assert "line 1" in str(error)
    else:
        assert all('"' not in word or not word.startswith('"') for word in words)
