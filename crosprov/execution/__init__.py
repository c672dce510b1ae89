"""Observe hosts, carry plans out in waves, and report what happened as events."""
