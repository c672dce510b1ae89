"""Carry commands to hosts: over SSH, or to this machine."""
