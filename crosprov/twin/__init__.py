"""Boot a virtual twin of a lab on this machine."""

from crosprov.twin.lab import TwinLab, TwinStatus, find_labs
from crosprov.twin.requirements import SYSTEM_PACKAGES, why_not
from crosprov.twin.spec import Kind, TwinHost, TwinSpec

__all__ = [
    "SYSTEM_PACKAGES",
    "Kind",
    "TwinHost",
    "TwinLab",
    "TwinSpec",
    "TwinStatus",
    "find_labs",
    "why_not",
]
