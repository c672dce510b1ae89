"""Measure crosprov beside Ansible, the pyinfra command and the floor; see docs/benchmarks.md."""
