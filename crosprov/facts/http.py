"""Ask a URL from the host itself, with whatever it has that can ask."""

from __future__ import annotations

import shlex

from pyinfra.api import FactBase

# Prints the status of the answer, `none` when there is no answer, `unable` when the host has
# nothing to ask with. No proxy, no redirect followed, at most 5 s. Perl is on every Debian.
ASK_FUNCTION = r"""http_status() {
  if command -v curl >/dev/null 2>&1; then
    s=$(curl -gks -o /dev/null -m 5 --noproxy '*' -w '%{http_code}' -- "$1" 2>/dev/null)
  elif wget --version 2>/dev/null | grep -q GNU; then
    s=$(wget -S -O /dev/null -T 5 -t 1 --no-proxy --max-redirect=0 --no-check-certificate \
      -- "$1" 2>&1 | sed -n 's/^ *HTTP\/[0-9.]* *\([0-9][0-9][0-9]\).*/\1/p' | tail -n 1)
  elif command -v busybox >/dev/null 2>&1 && busybox wget --help >/dev/null 2>&1; then
    if s=$(busybox wget -q -Y off -O /dev/null -T 5 "$1" 2>&1); then s=200; else
      s=$(printf '%s\n' "$s" | sed -n 's/.*HTTP\/[0-9.]* *\([0-9][0-9][0-9]\).*/\1/p' | tail -n 1)
    fi
  elif command -v perl >/dev/null 2>&1; then
    s=$(perl -MIO::Socket::INET -e 'alarm 5;
      my ($h, $p, $t) = $ARGV[0] =~ m{^http://([^/:]+)(?::(\d+))?(/.*)?$} or exit;
      $p ||= 80; $t ||= "/";
      my $s = IO::Socket::INET->new(PeerAddr => $h, PeerPort => $p, Timeout => 5) or exit;
      print $s "GET $t HTTP/1.0\r\nHost: $h:$p\r\n\r\n";
      print $1 if (<$s> || "") =~ m{^HTTP/\S+ (\d+)}' "$1" 2>/dev/null)
  else
    s=unable
  fi
  case $s in ''|000) echo none;; *) echo "$s";; esac
}
"""


class HttpFact(FactBase[str]):
    """Give the status with which a URL answers now: three digits, `none` or `unable`."""

    title = "HTTP answer of"

    def command(self, url: str) -> str:
        return f"{ASK_FUNCTION}http_status {shlex.quote(url)}"

    @staticmethod
    def default() -> str:
        return "none"

    def process(self, output: list[str]) -> str:
        return output[-1].strip()
