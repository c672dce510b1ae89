"""What is done to a project on its host, after the functions of `dome_requests`.

Each part expects $project, $base, $container, $data and the function `wanted` (what the container
shall be made from), looks at what is there, and does only what differs.
"""

from __future__ import annotations

# A container that stopped is dealt with before Dome is asked: it answers 500 for its list when one
# of a disabled project has no ports (GetExistingUmpirePort of its models.py).
_CONTAINER = r"""
umpire() { # yes|no PORT: through Dome
  case $1 in
    yes) dome PUT "/projects/$project/" "{\"umpireEnabled\": true, \"umpirePort\": $2}";;
    no) dome PUT "/projects/$project/" '{"umpireEnabled": false}';;
  esac
  [ "$code" = 200 ]
}
status() { docker container inspect -f '{{.State.Status}}' "$container" 2>/dev/null; }
start() {
  case $(status) in
    ''|running) ;;
    paused) docker unpause "$container";;
    restarting|dead) docker restart "$container";;
    *) docker start "$container";;
  esac >/dev/null
}
remove() { # a container that Dome does not know it has
  [ -n "$(status)" ] || return 0
  docker stop "$container" >/dev/null
  docker rm -f "$container" >/dev/null
}
"""

_REGISTERED = r"""
await_dome
row
new=
if [ -z "$enabled" ]; then
  [ -e "$data" ] || new=yes
  dome POST /projects/ "{\"name\": \"$project\"}"
  case $code in
    201) ;;
    400) case $body in *unique*) new=;; *) fail "$(answered)";; esac;;
    *) fail "$(answered)";;
  esac
  enabled=no at=0
fi
"""

# Dome removes what it could not start. A project that this change brought goes with it; one that
# had another port gets that one back.
ENABLED = (
    _CONTAINER
    + "start || :\n"
    + _REGISTERED
    + r"""
as_wanted() { [ "$(seen "$container" | sed '/^status /d')" = "$(wanted)" ]; }
was=$enabled
back() {
  if [ -n "$new" ]; then dome DELETE "/projects/$project/"
  elif [ "$was" = yes ] && [ "$at" != "$base" ] && umpire no && umpire yes "$at"; then
    echo "its Umpire runs on its old port $at again" >&2
  fi
  exit 1
}
if [ "$enabled" = yes ] && ! as_wanted; then
  umpire no || fail "$(answered)"
  enabled=no
fi
as_wanted || remove || fail "the container $container could not be removed"
start || exit
if [ "$enabled" = no ] || [ "$at" != "$base" ]; then
  [ -z "$(status)" ] || await_umpire || :  # Dome asks the one that it adopts for its version
  umpire yes "$base" || { answered >&2; back; }
fi
await_umpire || {
  echo "the Umpire of $project is not ready on port $base; its last lines:" >&2
  docker logs --tail 5 "$container" >&2
  back
}
as_wanted || fail "Dome made the container $container otherwise than crosprov expects"
"""
)

_GONE_IF_STOPPED = '[ "$(status)" = running ] || remove || :\n'

_REMOVED = 'remove || fail "the container $container could not be removed"\n'
_OFF = '[ "$enabled" != yes ] || umpire no || fail "$(answered)"\n' + _REMOVED

ABSENT = _CONTAINER + _GONE_IF_STOPPED + "await_dome\nrow\n" + _OFF

DISABLED = _CONTAINER + _GONE_IF_STOPPED + _REGISTERED + _OFF

# Dome deletes the folder of a project only together with its row.
DELETED = (
    _CONTAINER
    + _GONE_IF_STOPPED
    + _REGISTERED
    + _REMOVED
    + r"""
dome DELETE "/projects/$project/"
case $code in 204|404) ;; *) fail "$(answered)";; esac
[ ! -e "$data" ] || fail "Dome deleted the project $project, and $data is still there"
"""
)
