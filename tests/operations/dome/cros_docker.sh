#!/bin/bash
# What a deployment script does, for an imitation of docker.
DOCKER_VERSION="1.10.3"
DOCKER_IMAGE_GITHASH="bbbbbb0000000000000000000000000000000000"
DOCKER_IMAGE_TIMESTAMP="20240101000000"
version="$DOCKER_IMAGE_TIMESTAMP-${DOCKER_IMAGE_GITHASH:0:6}-docker-$DOCKER_VERSION"
tarball="$(dirname "$0")/factory-server-$version.txz"
fails() {
  [ ! -e "$STUB_STATE/$1-fails" ] || { echo "no space left on the device"; exit 3; }
}
do_pull() {
  [ ! -e "$STUB_STATE/site" ] || cp "$STUB_STATE/site" "$tarball"
  fails pull
}
do_install() {
  docker load < "$tarball"
  fails install
}
do_run() {
  local name
  for name in dome_uwsgi dome_nginx; do
    docker stop "$name" 2>/dev/null
    docker rm "$name" 2>/dev/null
  done
  echo "migrated by $DOCKER_IMAGE_TIMESTAMP" >> "$HOST_SHARED_DIR/dome/db.sqlite3"
  docker create dome_uwsgi
  fails run
  docker create dome_nginx
}
main() {
  [ -t 0 ] || { echo "the input device is not a TTY"; exit 1; }
  echo "$1" >> "$STUB_STATE/scripted"
  "do_$1"
}
main "$@"
