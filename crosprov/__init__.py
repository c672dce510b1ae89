"""Provision ChromiumOS labs from one inventory: an exact plan, the change, the proof."""

__version__ = "0.1.0"
