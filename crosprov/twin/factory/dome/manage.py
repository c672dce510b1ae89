"""`python3 manage.py`: the one-shots of Dome's containers, and the change of a password."""

from __future__ import annotations

import getpass
import os
import sys
from collections.abc import Callable, Sequence

from crosprov.twin.factory import faults, places
from crosprov.twin.factory.dome.accounts import ADMIN, Accounts
from crosprov.twin.factory.dome.answers import Refusal
from crosprov.twin.factory.dome.context import Dome
from crosprov.twin.factory.dome.database import migrate

_SHORTEST = 8
_TRIES = 3


def main(arguments: Sequence[str]) -> int:
    """Run one command and return its status."""
    command = arguments[0] if arguments else "help"
    run = _COMMANDS.get(command)
    if run is None:
        sys.stderr.write(f"Unknown command: {command!r}\n")
        return 1
    return run(arguments[1:])


def _migrate(arguments: Sequence[str]) -> int:
    """Bring the database up to date, and give `admin` its well-known password again."""
    del arguments
    if faults.wanted().fail_migrate:
        sys.stderr.write("django.db.utils.OperationalError: the test asked for a failure\n")
        return 1
    _say("Operations to perform:\n  Apply all migrations: auth, authtoken, backend")
    _say("Running migrations:")
    for name in migrate(places.DATABASE) or ["No migrations to apply."]:
        _say(f"  Applying {name}... OK" if "." in name[:-1] else f"  {name}")
    Accounts(places.DATABASE).restore_admin()
    return 0


def _shell(arguments: Sequence[str]) -> int:
    """Run the text after `--command`, or standard input, as Python."""
    if len(arguments) == 2 and arguments[0] in ("-c", "--command"):
        text = arguments[1]
    elif not arguments and not sys.stdin.isatty():
        text = sys.stdin.read()
    else:
        sys.stderr.write("manage.py shell: give --command TEXT, or a program on standard input\n")
        return 1
    exec(compile(text, "<command>", "exec"), {"__name__": "__main__"})
    return 0


def _change_password(arguments: Sequence[str]) -> int:
    """Ask twice for a new password at the terminal; without one there is nothing to ask at."""
    username = arguments[0] if arguments else ADMIN
    if not (sys.stdin.isatty() and os.isatty(1)):
        sys.stderr.write("CommandError: a password can only be changed at a terminal\n")
        return 1
    accounts = Accounts(places.DATABASE)
    if not accounts.exists(username):
        sys.stderr.write(f"CommandError: user '{username}' does not exist\n")
        return 1
    _say(f"Changing password for user '{username}'")
    try:
        return _ask_for_password(accounts, username)
    except EOFError:
        sys.stderr.write("CommandError: the terminal was closed\n")
        return 1


def _ask_for_password(accounts: Accounts, username: str) -> int:
    for _ in range(_TRIES):
        first = getpass.getpass("Password: ")
        if first != getpass.getpass("Password (again): "):
            _say("Passwords do not match. Please try again.")
        elif len(first) < _SHORTEST or first.isdecimal():
            _say(f"A password has {_SHORTEST} or more characters, not all of them digits.")
        else:
            accounts.set_password(username, first)
            _say(f"Password changed successfully for user '{username}'")
            return 0
    sys.stderr.write(f"CommandError: Aborting after {_TRIES} attempts\n")
    return 1


def _restart_old_umpire(arguments: Sequence[str]) -> int:
    """Make each Umpire of another version anew; one that fails is told and passed over."""
    del arguments
    projects = Dome().projects
    for project in projects.all():
        try:
            projects.renew_old(project)
        except Exception as error:
            why = error.body if isinstance(error, Refusal) else error
            sys.stderr.write(f"project {project.name}: Umpire was not renewed: {why}\n")
    return 0


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


_COMMANDS: dict[str, Callable[[Sequence[str]], int]] = {
    "migrate": _migrate,
    "shell": _shell,
    "changepassword": _change_password,
    "restart_old_umpire": _restart_old_umpire,
}

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
