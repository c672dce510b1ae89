"""Let Docker's privileged containers run in a twin of a machine that lacks a capability.

A virtual machine may withhold a capability even from root. Docker before version 23 gives a
privileged container all that it knows, and runc then refuses ("unable to apply caps"). On
such a machine a twin has a runc in front of the real one that takes the missing names out of
the container's configuration; on any other machine it has none.
"""

from __future__ import annotations

from pathlib import Path

# In the kernel's order, linux/capability.h: the first is bit 0.
_NAMES = (
    *("CHOWN", "DAC_OVERRIDE", "DAC_READ_SEARCH", "FOWNER", "FSETID", "KILL", "SETGID"),
    *("SETUID", "SETPCAP", "LINUX_IMMUTABLE", "NET_BIND_SERVICE", "NET_BROADCAST"),
    *("NET_ADMIN", "NET_RAW", "IPC_LOCK", "IPC_OWNER", "SYS_MODULE", "SYS_RAWIO"),
    *("SYS_CHROOT", "SYS_PTRACE", "SYS_PACCT", "SYS_ADMIN", "SYS_BOOT", "SYS_NICE"),
    *("SYS_RESOURCE", "SYS_TIME", "SYS_TTY_CONFIG", "MKNOD", "LEASE", "AUDIT_WRITE"),
    *("AUDIT_CONTROL", "SETFCAP", "MAC_OVERRIDE", "MAC_ADMIN", "SYSLOG", "WAKE_ALARM"),
    *("BLOCK_SUSPEND", "AUDIT_READ", "PERFMON", "BPF", "CHECKPOINT_RESTORE"),
)

_RUNC = """\
#!/bin/sh
# This machine lacks: {missing}.
set -u
previous=''
for argument; do
    case $previous in
        --bundle) file=$argument/config.json ;;
        --process) file=$argument ;;
        *) file='' ;;
    esac
    if [ -n "$file" ] && [ -f "$file" ]; then
        for name in {missing}; do
            sed -i -e "s/\\"$name\\",//g" -e "s/,\\"$name\\"//g" "$file"
        done
    fi
    previous=$argument
done
for real in /usr/sbin/runc /usr/bin/runc; do
    [ ! -x "$real" ] || exec "$real" "$@"
done
echo 'runc is not installed' >&2
exit 127
"""


def missing(status: str) -> list[str]:
    """Return the capabilities outside the bounding set in a text of /proc/PID/status."""
    for line in status.splitlines():
        if line.startswith("CapBnd:"):
            have = int(line.split()[1], 16)
            return [f"CAP_{name}" for bit, name in enumerate(_NAMES) if not have >> bit & 1]
    return []


def runc() -> str | None:
    """Return the program to put in front of runc in a twin, None when none is needed."""
    names = missing(Path("/proc/self/status").read_text())
    return _RUNC.format(missing=" ".join(names)) if names else None
