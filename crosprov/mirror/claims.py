"""An ebuild's claim on files: who it is, and where it says that each of them comes from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from crosprov.mirror.manifests import Manifest
from crosprov.mirror.metadata import Metadata
from crosprov.mirror.model import Owner, Tree, Uri
from crosprov.mirror.uris import expanded, restrictions_of, sources_of


@dataclass(frozen=True)
class EbuildClaim:
    """Speak for an ebuild that needs files of its package's Manifest.

    `metadata` is None for an ebuild of which nothing is known: it needs what no other ebuild
    of the package does, and where that comes from is not known either.
    """

    tree: Tree
    package: str
    ebuild: str
    version: str
    manifest: Manifest
    metadata: Metadata | None
    mirrors: Mapping[str, tuple[str, ...]]

    def owner(self, name: str) -> Owner:
        """Say who needs the file of this name."""
        return Owner(
            tree=self.tree.name,
            package=self.package,
            ebuild=self.ebuild,
            version=self.version,
            manifest=self.manifest.place_of(name),
            uris=self._uris.get(name, ()),
            public=self.tree.public,
        )

    @cached_property
    def _uris(self) -> Mapping[str, tuple[Uri, ...]]:
        """Give where each file comes from; several sources of one file are all kept, in order."""
        if self.metadata is None:
            return {}
        restrictions = restrictions_of(self.metadata.restrict)
        found: dict[str, tuple[Uri, ...]] = {}
        for source in sources_of(self.metadata.src_uri, self.metadata.eapi):
            more = expanded(source, restrictions, self.mirrors)
            earlier = found.get(source.name)
            found[source.name] = more if earlier is None else tuple(dict.fromkeys(earlier + more))
        return found
