"""Make Overlord, the remote monitoring service of a factory server, as containers.

Their options are those of `cros_docker.sh overlord run`, which itself is not called: it wants
the whole factory tree beside it, and ends every process of the host whose command line has the
word ghost. Nor is its `setup`, which asks questions and first deletes what it has set up before.
"""

from __future__ import annotations

from crosprov.deploying import describes, secret
from crosprov.derivation import BCRYPT_LIMIT, bcrypt_salt, other_password
from crosprov.errors import PlanError
from crosprov.facts.container_names import DISCOVERY, OVERLORD
from crosprov.inventory.factory import Overlord
from crosprov.inventory.lab import Host, Lab
from crosprov.operations import files, overlord
from crosprov.operations.certificates import certificates
from crosprov.operations.containers import ContainerSpec, container
from crosprov.operations.packages import packages
from crosprov.roles import factory_server
from crosprov.roles.factory_server import OVERLORD_PORT
from crosprov.secrets import vault

TOOL_USER = "ovl"  # the account of the command line tool of that name

_HOME = "/usr/local/factory/bin/overlord"  # in the container
_RESTARTS = (f"{OVERLORD}.container",)  # it reads its files when it starts
_LOCKED = "401"  # without a password file the daemon would answer everybody


def apply(lab: Lab, host: Host, wanted: factory_server.Settings) -> None:
    """Run Overlord as the inventory has it, or tell of what is left of it.

    Raises PlanError for a password that Overlord could not compare.
    """
    settings = wanted.overlord
    if settings is None:
        overlord.tell_undeclared(OVERLORD, DISCOVERY)
        return
    if settings.lan_interface is not None:
        overlord.check_interface(settings.lan_interface)
    configuration(lab, host, wanted, settings)
    url = f"https://127.0.0.1:{settings.http_port}/api/agents/list"
    container(OVERLORD, _daemon(wanted, settings), ready=url, answers=_LOCKED)
    overlord.tell(_folder(wanted), url, port=settings.http_port)
    if settings.lan_interface is None:
        overlord.tell_undeclared(DISCOVERY)
    else:
        container(DISCOVERY, _discovery(wanted, settings.lan_interface))
        overlord.tell_announcer(DISCOVERY, settings.lan_interface, image=wanted.image)


def configuration(
    lab: Lab, host: Host, wanted: factory_server.Settings, settings: Overlord
) -> None:
    """Write all that the daemon reads: passwords and certificates.

    Raises PlanError for a password that it could not compare.
    """
    packages(["openssl", "curl"])
    folder = _folder(wanted)
    for path in (f"{wanted.shared_dir}/overlord", folder):
        if not describes(host, path):
            files.directory(path, restarts=_RESTARTS)
    _passwords(lab, host, settings, folder)
    names = dict.fromkeys(("localhost", "127.0.0.1", host.name, host.address, *settings.names))
    certificates(folder, host.name, names, restarts=_RESTARTS)


def _folder(wanted: factory_server.Settings) -> str:
    return f"{wanted.shared_dir}/overlord/config"


def _passwords(lab: Lab, host: Host, settings: Overlord, folder: str) -> None:
    """Write who may log in, and with what the tool does.

    Hashes are made here, because hosts have nothing to make them with, and with salts that stay,
    so that the second plan finds them as they are. The tool's password is made of the user's:
    it is the same after a host was set up again, and there is nothing more to keep.
    """
    _check(lab, settings)
    place = (lab.name, host.name)
    other = other_password("overlord", *place, TOOL_USER)
    hashed = secret(lab, settings.password, salt=bcrypt_salt(*place, settings.user))
    tool = secret(lab, settings.password, salt=[other])
    tool_hashed = secret(lab, settings.password, salt=[other, bcrypt_salt(*place, TOOL_USER)])
    accounts = f"{settings.user}:{hashed}\n{TOOL_USER}:{tool_hashed}\n"
    files.file(f"{folder}/overlord.htpasswd", accounts, mode="0600", restarts=_RESTARTS)
    files.file(f"{folder}/ovl_password", f"{tool}\n", mode="0600")


def _check(lab: Lab, settings: Overlord) -> None:
    value = vault.secret(secret(lab, settings.password)).value
    if len(value.encode()) > BCRYPT_LIMIT or not value.isprintable():
        raise PlanError(
            f"the password of Overlord, from {settings.password.describe()}, is longer than "
            f"{BCRYPT_LIMIT} bytes or has signs that nobody can type",
            hint="Overlord compares passwords by bcrypt, which knows no longer ones",
        )


def _daemon(wanted: factory_server.Settings, settings: Overlord) -> ContainerSpec:
    shared = wanted.shared_dir
    certificate = ("-tls", "config/cert.pem,config/key.pem")
    accounts = ("-htpasswd-path", "config/overlord.htpasswd")
    rest = ("-no-lan-disc", "-update-interval-second", "15")
    return ContainerSpec(
        image=wanted.image,
        command=("./overlordd", *certificate, *accounts, *rest),
        ports=(f"{OVERLORD_PORT}:{OVERLORD_PORT}", f"{settings.http_port}:9000"),
        volumes=(f"{_folder(wanted)}:{_HOME}/config", f"{shared}:/mnt"),
        workdir=_HOME,
    )


def _discovery(wanted: factory_server.Settings, interface: str) -> ContainerSpec:
    return ContainerSpec(
        image=wanted.image,
        command=("./overlord_lan_disc", "-lan-disc-iface", interface),
        network="host",
        workdir=_HOME,
    )
