"""The stand-in for `overlord_lan_disc`, which tells a local network where Overlord is."""

from __future__ import annotations

import argparse
import fcntl
import os
import signal
import socket
import struct
import sys
import time
from collections.abc import Sequence
from ipaddress import IPv4Address, IPv4Network
from typing import NoReturn

AGENT_PORT = int(os.environ.get("OVERLORD_PORT", "4455"))
DISCOVERY_PORT = int(os.environ.get("OVERLORD_LD_PORT", "4456"))

_EVERY = 5.0  # seconds
_ADDRESS, _NETMASK = 0x8915, 0x891B  # SIOCGIFADDR, SIOCGIFNETMASK


def announce(interface: str) -> NoReturn:
    """Tell the interface's network where Overlord is, again and again; without one, everybody."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        own, everybody = "", "255.255.255.255"
        try:
            if interface:
                address = _asked(sender, interface, _ADDRESS)
                netmask = _asked(sender, interface, _NETMASK)
                own = str(address)
                everybody = str(IPv4Network(f"{address}/{netmask}", strict=False)[-1])
            sender.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
            sender.connect((everybody, DISCOVERY_PORT))
        except OSError as error:
            sys.exit(f"overlord_lan_disc: cannot announce on {interface or 'any'}: {error}")
        _say(f"UDP Broadcasting started, broadcasting at {everybody}:{DISCOVERY_PORT}")
        while True:
            try:
                sender.send(f"OVERLORD {own}:{AGENT_PORT}".encode())
            except OSError as error:
                _say(f"not announced: {error}")
            time.sleep(_EVERY)


def _asked(sender: socket.socket, interface: str, what: int) -> IPv4Address:
    answer = fcntl.ioctl(sender.fileno(), what, struct.pack("256s", interface.encode()[:15]))
    return IPv4Address(answer[20:24])


def _say(text: str) -> None:
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


def main(arguments: Sequence[str]) -> NoReturn:
    """Be `overlord_lan_disc`."""
    parser = argparse.ArgumentParser(prog="overlord_lan_disc", allow_abbrev=False)
    parser.add_argument("-lan-disc-iface", default="")
    given = parser.parse_args(arguments)
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))  # a first process ignores it otherwise
    announce(given.lan_disc_iface)


if __name__ == "__main__":
    main(sys.argv[1:])
