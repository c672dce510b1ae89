"""How a host is reached."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import AfterValidator, Field

from crosprov.inventory.fields import AccountName, InventoryPath, Kind, Port, Seconds, refusal
from crosprov.inventory.names import address_fault
from crosprov.inventory.ranges import holds_range
from crosprov.inventory.section import Section

_IPV4 = re.compile(r"\d+(\.\d+){3}")


def _address(value: str) -> str:
    if fault := address_fault(value):
        hint = None
        if _IPV4.fullmatch(value):
            hint = "four numbers from 0 to 255, without leading zeros"
        elif holds_range(value):
            hint = "a range needs a host whose own name has a range of the same length"
        elif "@" in value:
            hint = "the account goes into user"
        elif ":" in value:
            hint = "the port goes into port"
        raise refusal(fault, hint)
    return value


def _jump(value: str) -> str:
    for hop in value.split(","):
        address = hop.rsplit("@", 1)[-1]
        host, _, port = address.partition(":")
        if address_fault(host) or not (port.isdigit() or not port):
            message = f"has a hop that is not [user@]host[:port]: {hop.strip() or 'nothing'}"
            raise refusal(message, "several hops are separated by commas, without spaces")
    return value


Address = Annotated[str, AfterValidator(_address), Kind("address or host name")]
Jump = Annotated[str, AfterValidator(_jump), Kind("[user@]host[:port], …")]


class SshSettings(Section):
    """How the controller reaches the host. What is absent comes from ~/.ssh/config."""

    host: Address | None = Field(
        None,
        description="address or DNS name; without it the host's name in this file",
        examples=["10.0.0.5"],
    )
    port: Port | None = Field(
        None,
        description="port of the SSH server; without it 22 or what ~/.ssh/config says",
        examples=[22],
    )
    user: AccountName = Field("root", description="account to log in with", examples=["root"])
    identity_file: InventoryPath | None = Field(
        None,
        description="private key; ~ is the home of who runs crosprov",
        examples=["~/.ssh/lab_ed25519"],
    )
    known_hosts: InventoryPath | None = Field(
        None, description="file of host keys that are trusted", examples=["known_hosts"]
    )
    proxy_jump: Jump | None = Field(
        None, description="hosts to go through", examples=["jump.example.com"]
    )
    sudo: bool = Field(
        False,
        description="become root with sudo, which must not ask for a password",
        examples=[True],
    )
    local: bool = Field(
        False, description="the host is this machine itself: commands run here, without SSH",
        examples=[True],
    )  # fmt: skip
    connect_timeout: Seconds | None = Field(
        None,
        description="limit for making a connection; without it what ~/.ssh/config says, or 10",
        examples=[10],
    )
    command_timeout: Seconds = Field(600.0, description="limit for one command", examples=[600])
