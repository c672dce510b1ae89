"""Answer a client's question for an update.

The first of these decides: --payload, --use_cached, --image, the label in the client's URL, and
without a label the newest staged build of the client's board.
"""

from __future__ import annotations

import logging
import os
import re
import threading
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from urllib.parse import quote

from crosprov.devserver import labels, omaha
from crosprov.devserver.answers import Offer, compose
from crosprov.devserver.choosing import Asked, Chooser, Holder, Translate, check
from crosprov.devserver.digests import Digester
from crosprov.devserver.failures import Refused
from crosprov.devserver.forced import forced_payload, place
from crosprov.devserver.generator import DEFAULT, Generator, Images
from crosprov.devserver.layout import Layout
from crosprov.devserver.options import Options
from crosprov.devserver.payloads import Payload, Unusable, describe

_PORT = re.compile(r":\d+$")

_log = logging.getLogger(__name__)


class Updates:
    """Answer update requests; safe to be called by many threads."""

    def __init__(
        self,
        layout: Layout,
        stager: Holder,
        options: Options,
        *,
        translate: Translate | None = None,
    ) -> None:
        """Keep what updates depend on; nothing is made or read yet."""
        self._static = layout.static_dir
        self._options = options
        self._digester = Digester()
        self._chooser = Chooser(layout, stager, self._digester, translate)
        command = options.payload_generator or DEFAULT
        self._generator = Generator(command, self._static / "cache")
        self._guard = threading.Lock()
        self._offered = 0

    def prepare(self) -> None:
        """Do the work of the start: place --payload, make the payload of --image beforehand.

        Raises Refused(500) with a sentence when the server cannot do what its options say; it
        should not begin to serve then.
        """
        options = self._options
        if options.payload is not None:
            place(options.payload, self._static)
        if options.image is not None:
            images = Images(options.image, options.src_image)
            self._generator.check(images)
            if options.pregenerate_update:
                self._generator.payload(images)
        elif options.src_image is not None or options.pregenerate_update:
            word = "--src_image" if options.src_image is not None else "--pregenerate_update"
            raise Refused(500, f"{word} needs --image, the image to make a payload from")

    def answer(self, body: bytes, *, label: str | None, base_url: str, client: str) -> bytes:
        """Answer an Omaha request with Omaha XML in UTF-8.

        `label` is what follows /update/ in the URL, decoded; `base_url` is http://host:port as
        the client wrote it; `client` names it in the log. Raises Refused: 4xx for what is no
        request and for a label that could name no build, 500 when the payload of --image cannot
        be made.
        """
        request = omaha.parse(body)
        system = _system(request.apps)

        def offers(app: omaha.App) -> Offer | None:
            board = labels.plain_board(app.board or self._options.board or "")
            asked = Asked(app, (label or "").strip("/"), board)
            try:
                if app is not system:
                    raise Unusable("there are no payloads for parts of the system")
                payload = self._payload(asked)
                self._count()
            except Unusable as why:
                _log.info("%s: no update (%s): %s", client, asked, why)
                return None
            _log.info("%s: update (%s): %s", client, asked, payload.path)
            codebase = self._codebase(payload, base_url)
            return Offer(payload, codebase, self._options.critical_update)

        return compose(request, offers, datetime.now().astimezone())

    def _payload(self, asked: Asked) -> Payload:
        path = self._forced()
        if path is None:
            return self._chooser.choose(asked)
        payload = describe(path, self._digester)
        check(payload, asked)
        return payload

    def _forced(self) -> Path | None:
        """Return the payload that the options give to everybody, if they do."""
        options = self._options
        if options.payload is not None:
            return forced_payload(self._static)
        if options.use_cached:
            return self._static / "update.gz"
        if options.image is not None:
            return self._generator.payload(Images(options.image, options.src_image))
        return None

    def _count(self) -> None:
        with self._guard:
            if 0 <= self._options.max_updates <= self._offered:
                raise Unusable(f"{self._offered} updates were offered already (--max_updates)")
            self._offered += 1

    def _codebase(self, payload: Payload, base_url: str) -> str:
        """Return the URL of a payload's folder; --urlbase stands for http://host:port/static."""
        base = base_url.rstrip("/")
        if self._options.proxy_port is not None:
            base = f"{_PORT.sub('', base)}:{self._options.proxy_port}"
        static = (self._options.urlbase or f"{base}/static").rstrip("/")
        below = payload.path.parent.relative_to(self._static)
        return f"{static}/" + "".join(f"{quote(os.fsencode(part))}/" for part in below.parts)


def _system(apps: Sequence[omaha.App]) -> omaha.App | None:
    """Return the app that the operating system is.

    Others are its downloadable parts (DLCs): their appid is the system's, an underscore and a
    name.
    """
    return next((app for app in apps if app.checks and "_" not in app.appid), None)
