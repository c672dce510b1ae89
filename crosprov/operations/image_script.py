"""The shell of a change of a factory server's image; see `operations.images`."""

from __future__ import annotations

UNPACKED = 5  # times the size of the tarball: what `docker load` may need of the engine's disk

VARIABLES = """\
want={version} v="$k/{version}" tarball={part}
alone || exit
mkdir -p "$v" || exit
"""
CLEAN = """\
for f in "$k"/*/factory-server-* "$k"/*/.*.crosprov; do [ ! -e "$f" ] || rm -f "$f" || exit; done
"""
ROOM = """\
room() {{ # KIB of a tarball: whether the engine can load it
  root=$(docker info -f '{{{{.DockerRootDir}}}}' 2>/dev/null); [ -d "$root" ] || return 0
  free=$(df -Pk "$root" | awk 'NR == 2 {{ print $4 }}'); need=$(($1 * {unpacked}))
  [ "$free" -lt "$need" ] || return 0
  echo "the disk of $root has $((free / 1024)) MiB free, and loading the image may need \
$((need / 1024)) MiB" >&2
  return 1
}}
"""

FINISH = r"""
is_wanted() {
  [ "$(version_of_image "$repo")" = "$want" ] || return
  tagged=$(id_of_image "$repo:$want") || return 0
  [ "$tagged" = "$(id_of_image "$repo")" ]
}
keep_script() { # VERSION: the script in force, when it is of that version
  [ "$(version_of_script "$d/cros_docker.sh")" = "$1" ] || return 0
  part="$k/$1/.cros_docker.sh.crosprov"
  cp "$d/cros_docker.sh" "$part" && chmod 755 "$part" && mv -f "$part" "$k/$1/cros_docker.sh"
}
keep_current() {
  old=$(id_of_image "$repo") || { old=; was=; return 0; }
  was=$(version_of_image "$repo")
  case $was in *[!0-9a-f-]* | -* | *- | "$want") return 0;; esac
  docker tag "$old" "$repo:$was" && mkdir -p "$k/$was" || return
  printf '%s\n' "$old" > "$k/$was/image-id" || return
  keep_script "$was"
}
find_tarball() {
  [ -f "$v/cros_docker.sh" ] || keep_script "$want" || return
  [ -f "$v/cros_docker.sh" ] || {
    echo "the host no longer has the deployment script of version $want" >&2; return 1; }
  n=$(sed -n 's/^DOCKER_VERSION="\([0-9.]*\)".*/\1/p' "$v/cros_docker.sh" | head -n 1)
  whole="$v/factory-server-$want-docker-$n.txz"
  if [ -n "$sha256" ]; then
    progress "checks the tarball"
    h=$(sha256sum < "$tarball") || return
    [ "${h%% *}" = "$sha256" ] || {
      echo "the tarball arrived with the sha256 ${h%% *}, and $sha256 was sent" >&2; return 1; }
    mv -f "$tarball" "$whole"
  else
    with_progress scripted "$v/cros_docker.sh" pull || {
      echo "the image of version $want could not be pulled; the deployment script's last lines:" >&2
      last_lines; return 1; }
    [ -s "$whole" ] || {
      echo "the deployment script pulled no ${whole##*/}" >&2; return 1; }
  fi
}
install() {
  find_tarball || return
  size=$(wc -c < "$whole") || return
  room $((size / 1024 + 1)) && keep_current || return
  with_progress scripted "$v/cros_docker.sh" install
  status=$?
  now=$(version_of_image "$repo")
  [ $status -eq 0 ] && [ "$now" = "$want" ] && return
  if [ $status -ne 0 ]; then
    echo "the image of version $want was not installed (status $status); the deployment script's \
last lines:" >&2
    last_lines
  else
    echo "the tarball of version $want holds an image of version $now" >&2
  fi
  if [ -z "$old" ]; then docker rmi "$repo" >/dev/null 2>&1
  elif [ "$(id_of_image "$repo")" = "$old" ]; then :
  elif docker tag "$old" "$repo"; then
    echo "the image of before, ${was:-without a version}, is current again" >&2
  fi
  return 1
}
bring() {
  if [ "$(version_of_image "$repo:$want")" = "$want" ]; then
    keep_current && docker tag "$repo:$want" "$repo"
  elif [ -n "$brought" ]; then install
  else
    echo "the host no longer keeps the image of version $want; a new plan brings it" >&2
    return 1
  fi
}
clean() {
  for f in "$k"/*/factory-server-* "$k"/*/.*.crosprov; do [ ! -e "$f" ] || rm -f "$f"; done
  rm -f "$out"
}
is_wanted || bring || { clean; [ -e "$v/image-id" ] || rm -rf "$v"; exit 1; }
id=$(id_of_image "$repo") && docker tag "$id" "$repo:$want" || exit
[ -f "$v/cros_docker.sh" ] || keep_script "$want" || exit
printf '%s\n' "$id" > "$v/image-id" && clean
"""
