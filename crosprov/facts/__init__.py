"""Cheap questions to a host, each answered by one short POSIX shell command."""
