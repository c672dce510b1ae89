#!/bin/bash
# A stand-in for setup/cros_docker.sh of the ChromiumOS factory tree, written for crosprov's tests.
#
# It has the same sub-commands, variables, exit codes and calls of docker, needs a terminal where
# the original does, and takes Dome down first on `run`. Errors go to stdout, as there.
#
# Not imitated: macOS; `build`, `publish`, `umpire test`, `dev run` and `goofy`, which refuse, as
# the original does without its source tree; certificates in factory-private; the questions of
# `overlord setup`, whose program the stand-in's image lacks, so that it fails; and that `overlord
# run` kills every process whose command line has the word ghost.
#
# Of its own: STANDIN_SITE is where `pull` finds tarballs, STANDIN_SCRIPT is where `update` finds
# a newer script in base64. Both are addresses for curl.

set -e

DOCKER_VERSION="1.10.3"
DOCKER_IMAGE_GITHASH="adb3ce0000000000000000000000000000000000"
DOCKER_IMAGE_TIMESTAMP="20230616101859"
DOCKER_IMAGE_NAME="cros/factory_server"

: "${STANDIN_SITE:="https://factory.example.com/distfiles"}"
: "${STANDIN_SCRIPT:="https://factory.example.com/cros_docker.sh?format=TEXT"}"

self="$(readlink -f "$0")"
script_dir="${self%/*}"
factory_dir="$(dirname "${script_dir}")"
build="${DOCKER_IMAGE_TIMESTAMP}-${DOCKER_IMAGE_GITHASH:0:6}-docker-${DOCKER_VERSION}"
tarball="factory-server-${build}.txz"

# What an operator may choose; nothing of it is remembered for the next call.
: "${HOST_SHARED_DIR:="/cros_docker"}"
: "${HOST_LOCALTIME_PATH:="/etc/localtime"}"
dome_dir="${HOST_SHARED_DIR}/dome"
tftp_dir="${HOST_SHARED_DIR}/tftp"
umpire_dir="${HOST_SHARED_DIR}/umpire"
overlord_dir="${HOST_SHARED_DIR}/overlord"
config_dir="${overlord_dir}/config"
: "${PROJECT:="$(cat "${umpire_dir}/.default_project" 2>/dev/null)"}"
: "${PROJECT:="default"}"
: "${UMPIRE_CONTAINER_NAME:="umpire_${PROJECT}"}"
: "${UMPIRE_CONTAINER_DIR:="${umpire_dir}/${PROJECT}"}"
: "${UMPIRE_PORT:="8080"}"
: "${DOME_PORT:="8000"}"
: "${DOME_DEV_PORT:="18000"}"
: "${GOOFY_PORT:="4012"}"
: "${OVERLORD_HTTP_PORT:="9000"}"
: "${OVERLORD_LAN_DISC_IFACE:=""}"

# Inside of the containers.
base=/usr/local/factory
localtime=(--volume "${HOST_LOCALTIME_PATH}:/etc/localtime:ro")
shared_tmp=(--volume cros-docker-shared-tmp-vol:/tmp/shared)
database=(--volume "${dome_dir}/db.sqlite3:/var/db/factory/dome/db.sqlite3")
dome_log=(--volume "${dome_dir}/log:/var/log/dome")
socket=(--volume /var/run/docker.sock:/var/run/docker.sock)
dome_workdir=(--workdir "${base}/py/dome")
daemon=(--detach --restart unless-stopped)

scratch=""
trap '[ -z "${scratch}" ] || rm -rf "${scratch}"' EXIT

die() {
  echo "ERROR: $*"
  exit 1
}

find_docker() {
  local have want number wanted
  type docker >/dev/null 2>&1 || die "Docker not installed, abort."
  docker=(docker)
  if [ "$(id -un)" != root ] && [[ " $(id -Gn) " != *" docker "* ]]; then
    docker=(sudo docker)
  fi
  have="$("${docker[@]}" version --format '{{.Server.Version}}' 2>/dev/null || :)"
  if [ -z "${have}" ]; then
    have="$("${docker[@]}" version | sed -n 's/^Server version: //p')"
  fi
  IFS=. read -ra number <<<"${have}"
  IFS=. read -ra wanted <<<"${DOCKER_VERSION}"
  for want in "${!wanted[@]}"; do
    if [ -z "${number[want]}" ] || ((number[want] < wanted[want])); then
      die "Require Docker version >= ${DOCKER_VERSION} but you have ${have}"
    fi
    ((number[want] == wanted[want])) || break
  done
}

make_dir() {
  [ -d "$1" ] || sudo mkdir -p "$1"
}

take_down() {
  "${docker[@]}" stop "$1" 2>/dev/null || :
  "${docker[@]}" rm "$1" 2>/dev/null || :
}

must_be_up() {
  "${docker[@]}" ps --format '{{.Names}} {{.Status}}' | grep -q "$1 Up " ||
    die "the container $1 is not running"
}

# gave_up NAME WORDS...: the end of a `docker run` that failed.
gave_up() {
  local name="$1"
  shift
  echo "Removing what is left of ${name}"
  "${docker[@]}" rm "${name}"
  die "$@"
}

no_source_tree() {
  die "$1 needs the source tree of the factory software, which this stand-in has not"
}

do_pull() {
  local target="${script_dir}/${tarball}"
  echo "Pulling the image of the factory server"
  if [ ! -f "${target}" ]; then
    curl -L --fail "${STANDIN_SITE}/${tarball}" -o "${target}" || rm -f "${target}"
    [ -f "${target}" ] || die "Failed to pull the image of the factory server"
  fi
  echo "Done. Carry these two to the target computer:"
  echo "  1. ${0##*/}"
  echo "  2. ${tarball}"
}

do_install() {
  find_docker
  "${docker[@]}" load <"${script_dir}/${tarball}"
}

# manage [OPTION...] -- WORD...: run Django's manage.py once, in a container of its own.
manage() {
  local options=()
  while [ "$1" != -- ]; do
    options+=("$1")
    shift
  done
  shift
  "${docker[@]}" run --rm "${options[@]}" "${database[@]}" "${dome_log[@]}" \
    "${dome_workdir[@]}" "${DOCKER_IMAGE_NAME}" python3 manage.py "$@"
}

prepare_dome() {
  find_docker
  if [ ! -f "${dome_dir}/db.sqlite3" ]; then
    echo "Making the database in ${dome_dir}, as root"
    make_dir "${dome_dir}"
    sudo touch "${dome_dir}/db.sqlite3"
  fi
  # Django may ask questions while it migrates, so this one wants a terminal.
  manage --interactive --tty -- migrate
  manage -- shell --command \
    "import backend; backend.models.TemporaryUploadedFile.objects.all().delete()"
  manage "${socket[@]}" -- restart_old_umpire
}

do_run() {
  find_docker
  take_down dome_uwsgi
  take_down dome_nginx
  prepare_dome
  "${docker[@]}" run "${daemon[@]}" --name dome_uwsgi \
    "${socket[@]}" \
    --env HOST_SHARED_DIR="${HOST_SHARED_DIR}" \
    --env HOST_UMPIRE_DIR="${umpire_dir}" \
    --env HOST_TFTP_DIR="${tftp_dir}" \
    --env HOST_LOCALTIME_PATH="${HOST_LOCALTIME_PATH}" \
    --volume /run \
    "${database[@]}" "${dome_log[@]}" \
    --volume "${tftp_dir}:/var/tftp" \
    --volume "${umpire_dir}:/var/db/factory/umpire" \
    "${shared_tmp[@]}" "${localtime[@]}" "${dome_workdir[@]}" \
    "${DOCKER_IMAGE_NAME}" uwsgi --ini uwsgi.ini
  "${docker[@]}" run "${daemon[@]}" --name dome_nginx \
    --volumes-from dome_uwsgi --publish "${DOME_PORT}:80" "${dome_workdir[@]}" \
    "${DOCKER_IMAGE_NAME}" nginx -g "daemon off;"
  echo
  echo "Dome runs at http://localhost:${DOME_PORT}/"
}

do_update() {
  local as_root=(sudo)
  scratch="$(mktemp)"
  curl -L --fail "${STANDIN_SCRIPT}" | base64 --decode >"${scratch}"
  [ -s "${scratch}" ] || die "Failed to download the script"
  # A file of mktemp is 0600, so this makes it 0711: others can no longer read it.
  chmod +x "${scratch}"
  "${scratch}" version || die "Failed to run the script that was downloaded"
  echo "The newest script takes the place of this one."
  [ ! -w "${self}" ] || as_root=()
  exec "${as_root[@]}" mv -f "${scratch}" "${self}"
}

do_passwd() {
  find_docker
  must_be_up dome_uwsgi
  "${docker[@]}" exec -it dome_uwsgi python3 manage.py changepassword "${1:-admin}"
}

do_save() {
  local xz=pixz
  find_docker
  if ! type pixz >/dev/null 2>&1; then
    echo "WARNING: no pixz here; xz is slow"
    xz=xz
  fi
  "${docker[@]}" save "${DOCKER_IMAGE_NAME}" | "${xz}" >"${tarball}"
  echo "Saved as ${PWD}/${tarball}"
}

do_prune() {
  local image running=()
  find_docker
  for image in cros/factory_server cros/overlord-builder cros/dome-builder; do
    running+=($("${docker[@]}" ps -q --filter ancestor="${image}"))
  done
  [ "${#running[@]}" = 0 ] || "${docker[@]}" stop "${running[@]}"
  "${docker[@]}" system prune -af
}

umpire_run() {
  local ports=() offset
  find_docker
  make_dir "${HOST_SHARED_DIR}"
  make_dir "${UMPIRE_CONTAINER_DIR}"
  take_down "${UMPIRE_CONTAINER_NAME}"
  for offset in 0 2 4 6 8 9; do
    ports+=(--publish "$((UMPIRE_PORT + offset)):$((8080 + offset))")
  done
  "${docker[@]}" run "${daemon[@]}" --name "${UMPIRE_CONTAINER_NAME}" \
    --tmpfs /run:rw,size=16384k \
    "${localtime[@]}" \
    --volume "${HOST_SHARED_DIR}:/mnt" \
    --volume "${UMPIRE_CONTAINER_DIR}:/var/db/factory/umpire" \
    "${shared_tmp[@]}" "${ports[@]}" \
    --env "UMPIRE_PROJECT_NAME=${PROJECT}" \
    --env "UMPIRE_PROJECT_PORT=${UMPIRE_PORT}" \
    --privileged \
    "${DOCKER_IMAGE_NAME}" "${base}/bin/umpired" ||
    gave_up "${UMPIRE_CONTAINER_NAME}" "Umpire does not start. Is a port in use?"
  echo "done"
}

umpire_destroy() {
  find_docker
  take_down "${UMPIRE_CONTAINER_NAME}" >/dev/null
  echo "Deleted the container ${UMPIRE_CONTAINER_NAME}"
}

umpire_shell() {
  find_docker
  must_be_up "${UMPIRE_CONTAINER_NAME}"
  "${docker[@]}" exec -it "${UMPIRE_CONTAINER_NAME}" sh
}

umpire_main() {
  case "$1" in
    run) umpire_run ;;
    destroy) umpire_destroy ;;
    shell) umpire_shell ;;
    test)
      find_docker
      no_source_tree "umpire test"
      ;;
    *) usage_of umpire "help run destroy shell test" ;;
  esac
}

overlord_setup() {
  find_docker
  echo "Setting up Overlord anew, as root"
  sudo rm -rf "${overlord_dir}"
  make_dir "${config_dir}"
  "${docker[@]}" run --interactive --tty --rm --name overlord_setup \
    --volume "${config_dir}:${base}/bin/overlord/config" \
    "${DOCKER_IMAGE_NAME}" "${base}/bin/overlord/setup.sh" "" ||
    {
      sudo rm -rf "${overlord_dir}"
      die "Overlord setup failed."
    }
  local name
  for name in cert.pem rootCA.pem ovl_password; do
    sudo cp "${config_dir}/${name}" "${script_dir}/${name}"
  done
  for name in cert.pem rootCA.pem ovl_password; do
    sudo chmod 644 "${script_dir}/${name}"
  done
  echo "Overlord is set up; its certificates are in ${script_dir}"
}

overlord_run() {
  find_docker
  take_down overlord
  take_down overlord_lan_disc
  [ -d "${overlord_dir}" ] || overlord_setup
  if [ ! -f "${config_dir}/cert.pem" ] || [ ! -f "${config_dir}/key.pem" ]; then
    echo "There is no cert.pem or no key.pem in ${config_dir}; \`$0 overlord setup\` makes them"
    exit 1
  fi
  "${docker[@]}" run "${daemon[@]}" --name overlord \
    --volume "${config_dir}:${base}/bin/overlord/config" \
    --volume "${HOST_SHARED_DIR}:/mnt" \
    --publish 4455:4455 --publish "${OVERLORD_HTTP_PORT}:9000" \
    --workdir "${base}/bin/overlord" \
    "${DOCKER_IMAGE_NAME}" ./overlordd -tls config/cert.pem,config/key.pem \
    -htpasswd-path config/overlord.htpasswd -no-lan-disc -update-interval-second 15 ||
    gave_up overlord "Overlord does not start. Is a port in use?"
  echo "Here the original kills every process whose command line has the word ghost."
  # Without the source tree this ends the script, with the daemon running and no discovery.
  "${factory_dir}/bin/ghost" --mid host --fork \
    --ovl-path "${factory_dir}/bin/ovl" --certificate-dir "${script_dir}"
  "${docker[@]}" run "${daemon[@]}" --name overlord_lan_disc \
    --workdir "${base}/bin/overlord" --net host \
    "${DOCKER_IMAGE_NAME}" ./overlord_lan_disc -lan-disc-iface "${OVERLORD_LAN_DISC_IFACE}" ||
    gave_up overlord_lan_disc "the discovery of Overlord does not start"
}

overlord_main() {
  case "$1" in
    run) overlord_run ;;
    setup) overlord_setup ;;
    *) usage_of overlord "help run setup" ;;
  esac
}

goofy_main() {
  case "$1" in
    try | shell)
      find_docker
      die "goofy needs a docker image of a test image, which this stand-in has not"
      ;;
    *) usage_of goofy "help try shell" ;;
  esac
}

dev_destroy() {
  find_docker
  local name
  for name in dome_dev_frontend dome_dev_django dome_dev_nginx; do
    take_down "${name}"
  done
  "${docker[@]}" network rm dome_dev_network 2>/dev/null || :
}

dev_main() {
  case "$1" in
    "" | run)
      find_docker
      no_source_tree dev
      ;;
    destroy) dev_destroy ;;
    *) usage_of dev "help run destroy" ;;
  esac
}

# Asking for help ends with 1 too, as in the original.
usage_of() {
  echo "Stand-in for the deployment script of the Chrome OS factory server"
  echo
  echo "usage: $0 ${1:+$1 }COMMAND, where COMMAND is one of:"
  printf '  %s\n' $2
  exit 1
}

main() {
  local verb="$1"
  [ "$#" = 0 ] || shift
  case "${verb}" in
    pull | install | run | update | passwd | save | prune) "do_${verb}" "$@" ;;
    version) echo "Chrome OS Factory Server: ${build}" ;;
    umpire | overlord | goofy | dev) "${verb}_main" "$@" ;;
    build)
      find_docker
      no_source_tree build
      ;;
    publish)
      type gsutil >/dev/null 2>&1 || die "Cannot find gsutil"
      no_source_tree publish
      ;;
    *)
      usage_of "" "help update pull install version run passwd build prune publish save goofy
        umpire overlord dev"
      ;;
  esac
}

main "$@"
