"""crosprov factory bundle"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from crosprov.cli.options import Format, FormatOption, InventoryArgument, LimitOption

if TYPE_CHECKING:
    from crosprov.factory.packing import Packed

EXAMPLES = """\
Examples:

\b
  crosprov factory bundle lab.yml --out factory-server.bundle
  crosprov factory bundle lab.yml --out new.bundle --script ~/factory --image image.txz
  and in the inventory, for hosts without internet:
  factory_server: {bundle: factory-server.bundle}
"""


def bundle(
    inventory: InventoryArgument,
    out: Annotated[Path, typer.Option("--out", metavar="FILE", help="The bundle to write.")],
    script: Annotated[
        str | None,
        typer.Option(
            "--script",
            metavar="SOURCE",
            help="The deployment script: an address, the script itself, a checkout of the "
            "factory repository, or a factory bundle.",
        ),
    ] = None,
    image: Annotated[
        Path | None,
        typer.Option("--image", metavar="FILE", help="The image's tarball on this machine."),
    ] = None,
    site: Annotated[
        str | None,
        typer.Option("--site", metavar="URL", help="The folder on the web where tarballs are."),
    ] = None,
    limit: LimitOption = None,
    force: Annotated[
        bool, typer.Option("--force", help="Replace another file of that name.")
    ] = False,
    format: FormatOption = Format.text,
) -> None:
    """Make one archive of the deployment script and the image, for hosts without internet."""
    from crosprov.cli.transfer import Transfer
    from crosprov.factory.asking import Asked, release_for
    from crosprov.factory.packing import SITE, Packer
    from crosprov.inventory.load import load_lab

    wanted = Asked(script=script, image=image, site=site or SITE, limit=limit)
    release = release_for(load_lab(inventory), wanted)
    with Transfer() as shown:
        packed = Packer(out, wanted.site, force, moved=shown.moved, say=shown.say).pack(release)
    _tell(packed, format)


def _tell(packed: Packed, format: Format) -> None:
    from crosprov.cli.output import as_json

    manifest = packed.manifest
    if format is Format.json:
        found = {
            "bundle": str(packed.path), "size": packed.size, "written": packed.written,
            "version": manifest.version, "script": manifest.script.model_dump(),
            "image": manifest.image.model_dump(),
        }  # fmt: skip
        typer.echo(as_json(found), nl=False)
        return
    holds = "holds" if packed.written else "is there already, with"
    typer.echo(f"{packed.path} {holds} version {manifest.version} ({packed.size} bytes)")
    for member in (manifest.script, manifest.image):
        typer.echo(f"  {member.name}  {member.size} bytes, sha256 {member.sha256}")
