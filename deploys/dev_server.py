"""Make a dev server: crosprov's own or that of a checkout, with what it shall serve."""

from __future__ import annotations

from functools import partial

from crosprov.deploys.chromiumos import chromiumos
from pyinfra import api

from crosprov import __version__, wheelhouse
from crosprov.deploying import base_url, describes, secret
from crosprov.facts.staging import client
from crosprov.inventory.lab import Host, Lab
from crosprov.mirror_readers import Login, login_of, private_mirrors
from crosprov.operations import files, merge
from crosprov.operations.effects import effects
from crosprov.operations.environments import environment, only_environment
from crosprov.operations.packages import packages
from crosprov.operations.staging import Server, build, tell_builds
from crosprov.operations.trees import tree
from crosprov.operations.units import unit
from crosprov.operations.users import user
from crosprov.roles import dev_server, mirror
from crosprov.templating import render, systemd_argument
from crosprov.wheels import DEVSERVER
from crosprov.wishes import wishes_of

UNIT = "devserver.service"
UNIT_FILE = f"/etc/systemd/system/{UNIT}"
ACCOUNT = "devserver"
ENVIRONMENTS = "/usr/lib/crosprov/devserver"
CLIENT = "/usr/lib/crosprov/stage.py"
CREDENTIALS = "/etc/crosprov/devserver.boto"
XBUDDY_CONFIG = "/etc/crosprov/xbuddy_config.ini"
MAKE_CONF = "/etc/crosprov/make.conf.mirrors"
NETRC = "/etc/crosprov/mirrors.netrc"
_SHADOW = "src/platform/dev/shadow_xbuddy_config.ini"  # below a checkout


@api.deploy("Dev server")
def deploy(lab: Lab, host: Host) -> None:
    """Run the dev server under an account of its own, and let it have what it shall serve."""
    wanted = host.settings(dev_server.Settings)
    packages(["python3"])
    user(ACCOUNT, shell="/usr/sbin/nologin", home="/nonexistent", system=True)
    if not describes(host, wanted.static_dir):
        files.directory(wanted.static_dir, user=ACCOUNT, group=ACCOUNT)
    _credentials(lab, wanted)
    _xbuddy_config(lab, wanted)
    _mirrors(lab, host, wanted)
    if wanted.implementation == "chromiumos":
        chromiumos(lab, host, wanted)
    else:
        _embedded(lab, wanted)
    files.file(CLIENT, client())
    for path, served in wanted.files.items():
        root = f"{wanted.static_dir}/{path}"
        tree(served.source, root, base=wanted.static_dir, user=ACCOUNT, delete=served.delete)
    _builds(lab, host, wanted)


def _embedded(lab: Lab, wanted: dev_server.Settings) -> None:
    """Run the dev server that crosprov brings, in a Python environment of its own.

    Its folder is named after its content, so that the unit differs when that does, and the old
    one serves until the new one is complete.
    """
    effects().about["dev server"] = f"embedded, of crosprov {__version__}"
    folder = f"{ENVIRONMENTS}/{wheelhouse.digest(DEVSERVER)}"
    archive = partial(wheelhouse.archive, DEVSERVER, wanted.wheelhouse)
    environment(folder, program=DEVSERVER, archive=archive, restarts=[UNIT])
    files.file(UNIT_FILE, _unit(lab, wanted, folder), restarts=[UNIT])
    unit(UNIT, ready=f"http://127.0.0.1:{wanted.port}/check_health")
    only_environment(folder)


def _builds(lab: Lab, host: Host, wanted: dev_server.Settings) -> None:
    wishes = wishes_of(lab, host)
    option = "--static_dir" if wanted.implementation == "embedded" else '"--static_dir"'
    served = f"{option} {systemd_argument(wanted.static_dir)}"
    server = Server(wanted.port, UNIT_FILE, served, CLIENT)
    for wish in wishes:
        build(wish, server=server, wishes=wishes)
    tell_builds(server=server, wishes=wishes)


def _credentials(lab: Lab, wanted: dev_server.Settings) -> None:
    if wanted.credentials is None:
        files.absent(CREDENTIALS, restarts=[UNIT])
        return
    content = secret(lab, wanted.credentials) + "\n"
    files.file(CREDENTIALS, content, mode="0600", user=ACCOUNT, group=ACCOUNT, restarts=[UNIT])


def _xbuddy_config(lab: Lab, wanted: dev_server.Settings) -> None:
    """Write xBuddy's shadow configuration; one in a checkout may be somebody's own."""
    path = f"{wanted.checkout}/{_SHADOW}" if wanted.checkout else XBUDDY_CONFIG
    if wanted.xbuddy_config:
        text = render("dev_server/xbuddy_config.ini.j2", lab=lab.name,
                      sections=wanted.xbuddy_config)  # fmt: skip
        files.file(path, text, restarts=[UNIT])
    elif wanted.checkout is None:
        files.absent(path, restarts=[UNIT])


def _mirrors(lab: Lab, host: Host, wanted: dev_server.Settings) -> None:
    """Say from where builds fetch archives: in a make.conf, or in a file for one to source."""
    if wanted.mirrors is None:
        files.absent(MAKE_CONF)
        files.absent(NETRC)
        return
    server = lab.hosts[wanted.mirrors]
    login = _login(lab, host, server)
    served = server.settings(mirror.Settings)
    root = base_url(server.address, served.port)
    bases = [f"{root}/{name}" for name in served.serves]
    whole = wanted.make_conf is None
    text = render(
        "dev_server/make.conf.mirrors.j2",
        lab=lab.name if whole else None,
        bases=bases,
        login=f" --netrc-file {login.seen_as}" if login else "",
    )
    if wanted.make_conf is None:
        files.file(MAKE_CONF, text)
    else:
        merge.block(wanted.make_conf, text, marker="crosprov mirrors")
        files.absent(MAKE_CONF)


def _login(lab: Lab, host: Host, server: Host) -> Login | None:
    """Give builds what they log in with at private mirrors, which nobody else may read."""
    login = login_of(lab, host)
    private = private_mirrors(lab, server)
    if login is None or login.netrc != NETRC:
        files.absent(NETRC)
    if login is not None:
        text = login.text(server.address)
        files.file(login.netrc, text, mode="0600", user=login.owner)
    elif private and server.settings(mirror.Settings).readers:
        effects().notices.append(
            f"builds cannot read the private mirrors {', '.join(private)} of {server.name}: none "
            "of its readers is named as this host, and mirror_login names none"
        )
    return login


def _unit(lab: Lab, wanted: dev_server.Settings, folder: str) -> str:
    read = (wanted.static_dir, wanted.payload, wanted.image, wanted.src_image,
            wanted.payload_generator)  # fmt: skip
    places = [f"{path}/" for path in read if path is not None]
    return render(
        "dev_server/devserver.service.j2",
        lab=lab.name,
        account=ACCOUNT,
        environment=folder,
        words=_words(wanted),
        port=wanted.port,
        static_dir=wanted.static_dir,
        generates=wanted.image is not None,
        in_home=any(path.startswith(("/home/", "/root/", "/run/user/")) for path in places),
        in_tmp=any(path.startswith(("/tmp/", "/var/tmp/")) for path in places),
    )


def _words(wanted: dev_server.Settings) -> list[str]:
    """Word the settings as the embedded dev server's command line."""
    valued = {
        "--port": wanted.port,
        "--static_dir": wanted.static_dir,
        "--archive": wanted.archive,
        "--credentials": CREDENTIALS if wanted.credentials else None,
        "--storage_endpoint": wanted.storage_endpoint,
        "--capacity": wanted.capacity or None,
        "--xbuddy_config": XBUDDY_CONFIG if wanted.xbuddy_config else None,
        "--payload": wanted.payload,
        "--image": wanted.image,
        "--src_image": wanted.src_image,
        "--payload_generator": wanted.payload_generator,
        "--board": wanted.board,
    }
    words = [word for name, value in valued.items() if value for word in (name, str(value))]
    words += [word for prefix in wanted.web_allowed for word in ("--web_source", prefix)]
    words += ["--use_cached"] if wanted.use_cached else []
    return words + (["--pregenerate_update"] if wanted.pregenerate_update else [])
