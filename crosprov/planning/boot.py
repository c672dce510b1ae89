"""How one boot of a host is told from the next."""

from __future__ import annotations

BOOT_ID = "/proc/sys/kernel/random/boot_id"
"""A file of Linux that holds a random id, drawn at each boot."""
