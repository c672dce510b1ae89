"""Omaha requests as DUTs and probes send them, both generations of the protocol."""

from __future__ import annotations

APPID = "{01234567-89AB-CDEF-0123-456789ABCDEF}"

CHECK_3 = """\
<?xml version="1.0" encoding="UTF-8"?>
<request requestid="{1}" protocol="3.0" updater="ChromeOSUpdateEngine" updaterversion="0.1.0.0"
 installsource="ondemandupdate" ismachine="1">
  <os version="Indy" platform="Chromium OS" sp="15662.0.0_x86_64"></os>
  <app appid="APPID" version="VERSION" track="testimage-channel" lang="en-US" board="BOARD"
   hardware_class="EVE D6C" fw_version="" ec_version="" delta_okay="DELTA">
    <ping active="1" a="-1" r="-1"></ping>
    <updatecheck></updatecheck>
  </app>
</request>
"""

CHECK_2 = """\
<?xml version="1.0" encoding="UTF-8"?>
<o:gupdate xmlns:o="http://www.google.com/update2/request" version="ChromeOSUpdateEngine-0.1.0.0"
 updaterversion="ChromeOSUpdateEngine-0.1.0.0" protocol="2.0" ismachine="1">
  <o:os version="Indy" platform="Chrome OS" sp="1412.0.0_i686"></o:os>
  <o:app appid="APPID" version="VERSION" lang="en-US" track="dev-channel" board="BOARD"
   hardware_class="ALEX" delta_okay="DELTA">
    <o:ping active="0"></o:ping>
    <o:updatecheck></o:updatecheck>
  </o:app>
</o:gupdate>
"""

EVENTS_3 = """\
<request protocol="3.0"><app appid="APPID" version="1.2.3" board="eve">
<event eventtype="3" eventresult="0" errorcode="10"></event><event eventtype="14" eventresult="1"/>
</app></request>
"""

EVENT_2 = """\
<o:gupdate xmlns:o="http://www.google.com/update2/request" protocol="2.0">
<o:app appid="APPID" version="1.2.3"><o:event eventtype="13" eventresult="1"/></o:app></o:gupdate>
"""

PARTS_3 = """\
<request protocol="3.0">
<app appid="APPID_pita" version="0.0.0.0" board="eve" delta_okay="false"><updatecheck/></app>
<app appid="APPID" version="1.0.0" board="eve"><ping/><updatecheck/></app>
</request>
"""


def document(
    template: str, *, version: str = "15662.0.0", board: str = "eve", delta: bool = True
) -> bytes:
    """Fill in a template."""
    words = {"APPID": APPID, "VERSION": version, "BOARD": board, "DELTA": str(delta).lower()}
    for word, value in words.items():
        template = template.replace(word, value)
    return template.encode()
