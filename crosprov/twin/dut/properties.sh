# What update_engine knows of its image: /etc/lsb-release, then the stateful copy where it may
# be heard. Sourced, not run; sets version, board, appid, track, target, auserver.

trim() {
    trimmed=${1#"${1%%[![:blank:]]*}"}
    trimmed=${trimmed%"${trimmed##*[![:blank:]]}"}
}

# keep KEY VALUE FILE: the last one wins; a value is kept as it is, blanks and CR included.
keep() {
    case $1 in
        CHROMEOS_AUSERVER) auserver=$2 ;;
        CHROMEOS_RELEASE_VERSION) version=$2 ;;
        CHROMEOS_RELEASE_BOARD) board=$2 ;;
        CHROMEOS_RELEASE_APPID) release_appid=$2 ;;
        CHROMEOS_BOARD_APPID) board_appid=$2 ;;
        CHROMEOS_RELEASE_TRACK) target=$2 ;;
    esac
}

# read_properties FILE: stop at a line that is none, as the original does.
read_properties() {
    while IFS= read -r line || [ -n "$line" ]; do
        while [ "$line" != "${line%\\}" ]; do
            next=
            IFS= read -r next || [ -n "$next" ] || break
            line=${line%\\}$next
        done
        trim "$line"
        case $trimmed in
            '' | '#'*) continue ;;
            *=*) ;;
            *) return ;;
        esac
        trim "${line%%=*}"
        [ -n "$trimmed" ] || return
        keep "$trimmed" "${line#*=}"
    done <"$1"
}

# An official build that booted verified does not hear the stateful copy.
is_override_heard() {
    [ "$(crossystem debug_build)" != 0 ] || [ "$(crossystem devsw_boot)" != 0 ]
}

is_official() {
    [ "$(crossystem debug_build)" = 0 ]
}

# What an unknown channel is taken for.
channel() {
    case $1 in
        canary-channel | dev-channel | beta-channel | stable-channel | lts-channel | ltc-channel)
            echo "$1"
            ;;
        *) echo stable-channel ;;
    esac
}

load_properties() {
    auserver=https://tools.google.com/service/update2
    version='' board='' release_appid='' board_appid='' target=''
    copy=$stateful/etc/lsb-release
    read_properties /etc/lsb-release
    track=$target
    if [ -f "$copy" ]; then
        if is_override_heard; then
            read_properties "$copy"
        else
            # The channel to change to is heard in any case.
            target=$(read_properties "$copy" && printf '%s' "$target")
        fi
    fi
    appid=${release_appid:-$board_appid}
}
