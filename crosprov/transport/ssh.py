"""The SSH transport; paramiko is imported at the first connection, not before."""

from __future__ import annotations

from crosprov.transport.base import SshTarget, Transport


def connect(target: SshTarget) -> Transport:
    """Log in to a host, through its jump hosts if it has any.

    Raises Unreachable, HostKeyRejected, LoginRefused or HostSilent.
    """
    # paramiko and its cryptography take longer to import than a command line takes to
    # print its help, so nothing pays for them before a host is really wanted.
    from crosprov.transport.login import log_in

    return log_in(target)
