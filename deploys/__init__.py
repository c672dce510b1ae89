"""Pyinfra deploys: what each role makes of a host."""
