"""The firewall rules of a lab, each marked with a comment by which it is found again."""

from __future__ import annotations

import shlex
from ipaddress import IPv4Network

from crosprov.twin.names import Names
from crosprov.twin.programs import run

_TABLES = ("filter", "nat")


def open_for(names: Names, subnet: IPv4Network) -> None:
    """Let the twins reach what this machine reaches, behind its address."""
    mark = ("-m", "comment", "--comment", names.comment)
    bridge = names.bridge
    wanted = {
        "filter": (
            ("FORWARD", "-i", bridge, *mark, "-j", "ACCEPT"),
            ("FORWARD", "-o", bridge, *mark, "-j", "ACCEPT"),
        ),
        "nat": (("POSTROUTING", "-s", str(subnet), "!", "-o", bridge, *mark, "-j", "MASQUERADE"),),
    }
    if len(_rules(names)) == sum(len(rules) for rules in wanted.values()):
        return
    close(names)
    for table, rules in wanted.items():
        for rule in rules:
            run("iptables", "-w", "-t", table, "-I", *rule)


def close(names: Names) -> None:
    """Remove every rule of the lab, and no other."""
    for table, rule in _rules(names):
        run("iptables", "-w", "-t", table, "-D", *rule)


def _rules(names: Names) -> list[tuple[str, list[str]]]:
    found = []
    for table in _TABLES:
        for line in run("iptables-save", "-t", table).splitlines():
            words = shlex.split(line)
            if words[:1] == ["-A"] and names.comment in words:
                found.append((table, words[1:]))
    return found
