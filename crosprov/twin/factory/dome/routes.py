"""Dome's addresses, and the views behind them."""

from __future__ import annotations

import re

from crosprov.twin.factory.dome import bundle_views, views
from crosprov.twin.factory.dome.context import View

_IN_PROJECT = r"projects/(?P<project>[-_0-9a-zA-Z]+)/"
_BUNDLES = _IN_PROJECT + "bundles/"
_ROUTES: dict[str, dict[str, View]] = {
    "": {"GET": views.front_page},
    "auth": {"POST": views.token},
    "info": {"GET": views.information},
    r"config/(?P<id>\d+)/": {
        "GET": views.read_settings,
        "PUT": views.change_settings,
        "PATCH": views.change_settings,
    },
    "files/": {"POST": views.receive_file},
    "project_ports/": {"GET": views.list_ports},
    "projects/": {"GET": views.list_projects, "POST": views.make_project},
    _IN_PROJECT: {
        "PUT": views.change_project,
        "PATCH": views.change_project,
        "DELETE": views.delete_project,
    },
    _BUNDLES: {
        "GET": bundle_views.list_bundles,
        "POST": bundle_views.upload_bundle,
        "PUT": bundle_views.reorder_bundles,
    },
    _BUNDLES + "(?P<bundle>[^/]+)/": {
        "PUT": bundle_views.change_bundle,
        "DELETE": bundle_views.delete_bundle,
    },
    _BUNDLES + "(?P<bundle>[^/]+)/(?P<payload>[^/]+)": {"GET": bundle_views.payload},
    _IN_PROJECT + "resources/": {"POST": bundle_views.add_payload},
    _IN_PROJECT + "resources/gc": {"POST": bundle_views.collect_garbage},
    _IN_PROJECT + "services/": {"GET": bundle_views.services, "PUT": bundle_views.change_services},
    _IN_PROJECT + "services/schema": {"GET": bundle_views.services_schema},
    _IN_PROJECT + "sync/status/": {"GET": bundle_views.sync_status},
    _IN_PROJECT + "log/delete/": {"DELETE": bundle_views.delete_folder},
    _IN_PROJECT + "log/download/": {"GET": bundle_views.download_log},
}
WITHOUT_ACCOUNT: frozenset[View] = frozenset(
    {views.front_page, views.information, views.token, bundle_views.sync_status}
)


def route(path: str) -> tuple[dict[str, View], dict[str, str]] | None:
    """Return the views at a path, by method, and the words in it; None when it is unknown.

    Each path but the front page's is also known with `.json` in place of the slash at its end.
    """
    for pattern, by_method in _ROUTES.items():
        if found := re.fullmatch(_with_suffix(pattern), path.removeprefix("/")):
            return by_method, found.groupdict()
    return None


def _with_suffix(pattern: str) -> str:
    if not pattern:
        return pattern
    stem = pattern.removesuffix("/")
    return rf"{stem}(?:/|\.json/?)" if pattern != stem else rf"{stem}(?:\.json/?)?"
