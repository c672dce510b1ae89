"""What a command that reports its progress begins with."""

from __future__ import annotations

PROGRESS = """\
command -v with_progress >/dev/null 2>&1 || {
  progress() { :; }
  listened() { :; }
  with_progress() { ( "$@" ) 9>/dev/null; }
}
"""
"""Lets a command call `progress WORDS…`, `with_progress COMMAND…` and `listened` wherever it runs.

`listened` fails when the run that would hear of progress is gone.

The script that carries a plan out has functions of these names. Elsewhere, as in pyinfra's own
program, they report to nobody, and the command does its work all the same.
"""
