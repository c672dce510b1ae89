"""Pyinfra operations of our own, whose plans are exact and whose changes survive a crash."""
