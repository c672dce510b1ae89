"""Make a dev server of a ChromiumOS checkout: its own devserver.py, as a service of the host."""

from __future__ import annotations

from pyinfra import host as current_host

from crosprov.chromiumos.options import KEYS, Value, era_in_words
from crosprov.chromiumos.preflight import Intent, preflight
from crosprov.facts.chromiumos import CheckoutFact, CheckoutState
from crosprov.inventory.lab import Host, Lab
from crosprov.operations import files
from crosprov.operations.effects import effects
from crosprov.operations.gsutil import gsutil
from crosprov.operations.packages import packages
from crosprov.operations.units import unit
from crosprov.roles.dev_server import Settings
from crosprov.templating import render
from crosprov.wishes import wishes_of

NAME = "devserver"
UNIT = f"{NAME}.service"
ACCOUNT = NAME
CREDENTIALS = "/etc/crosprov/devserver.boto"
CACHE = f"/var/cache/{NAME}"
EXTRAS = {
    "--logfile": f"/var/log/{NAME}/devserver.log",
    "--pidfile": f"/run/{NAME}/pid",
    "--portfile": f"/run/{NAME}/port",
}
_PATHS = ("payload", "image", "src_image")


def chromiumos(lab: Lab, host: Host, wanted: Settings) -> None:
    """Run the devserver of a checkout as a service, with the options that it knows.

    The account of the service, static_dir and the credentials are there by then: they are the
    same for each implementation of a dev server.

    Raises PlanError for what would keep it from starting, or from serving what is wanted.
    """
    checkout = wanted.checkout or ""
    keys: dict[str, Value] = {key: getattr(wanted, key) for key in KEYS}
    seen = _observed(checkout, wanted)
    serves = bool(wishes_of(lab, host) or wanted.files or wanted.payload)
    intent = Intent(checkout, ACCOUNT, UNIT, keys, EXTRAS, serves=serves)
    line = preflight(intent, seen)
    effects().notices.extend(line.notices)
    effects().about["devserver.py"] = f"of {era_in_words(seen.usage)}, by its options"
    if seen.wants_sudo and not seen.sudo:
        packages(["sudo"])  # it calls sudo for each folder that it makes, and fails where none is
    _folders(checkout, seen)
    _gsutil(wanted, seen)
    words = (seen.python, f"{checkout}/src/platform/dev/devserver.py", *line.words)
    text = _unit(lab, wanted, words)
    files.file(f"/etc/systemd/system/{UNIT}", text, restarts=[UNIT])
    unit(UNIT, ready=f"http://127.0.0.1:{wanted.port}/check_health")


def _observed(checkout: str, wanted: Settings) -> CheckoutState:
    paths = [path for key in _PATHS if (path := getattr(wanted, key))]
    return current_host.get_fact(
        CheckoutFact,
        checkout=checkout,
        python=wanted.python or "",
        account=ACCOUNT,
        cache=CACHE,
        port=wanted.port,
        static_dir=wanted.static_dir,
        paths=tuple(paths),
    )


def _folders(checkout: str, seen: CheckoutState) -> None:
    """Make what the devserver fails without: a cache, and in old checkouts a folder to list."""
    files.directory(CACHE, user=ACCOUNT, group=ACCOUNT)
    if seen.wants_images and not seen.images:
        owner, _, group = seen.owner.partition(":")
        if not seen.build:
            files.directory(f"{checkout}/src/build", user=owner, group=group)
        files.directory(f"{checkout}/src/build/images", user=owner, group=group)


def _gsutil(wanted: Settings, seen: CheckoutState) -> None:
    """Give chromite the gsutil that it would download, or say that it will."""
    if wanted.gsutil is not None:
        if seen.gsutil:
            gsutil(CACHE, seen.gsutil, source=wanted.gsutil, seed=seen.seed, user=ACCOUNT)
        else:
            effects().notices.append("`gsutil` is not used: this checkout takes the host's own")
    elif seen.gsutil and not seen.seed:
        effects().notices.append(
            f"chromite downloads gsutil {seen.gsutil} before the dev server starts, and without "
            "internet it does not start; `gsutil` can name an archive of it"
        )


def _unit(lab: Lab, wanted: Settings, words: tuple[str, ...]) -> str:
    places = [f"{path}/" for path in (wanted.static_dir, wanted.checkout, words[0]) if path]
    return render(
        "chromiumos/devserver.service.j2",
        lab=lab.name,
        folder=NAME,
        account=ACCOUNT,
        cache=CACHE,
        checkout=wanted.checkout,
        credentials=CREDENTIALS if wanted.credentials else None,
        words=words,
        port=wanted.port,
        static_dir=wanted.static_dir,
        in_home=any(path.startswith(("/home/", "/root/", "/run/user/")) for path in places),
        in_tmp=any(path.startswith(("/tmp/", "/var/tmp/")) for path in places),
    )
