# Download a payload, check it and write it to the other slot. Sourced, not run.
# Each function's status is a code of update_engine's.

image=$disk/download

# get URL [OPTION...]
get() {
    address=$1
    shift
    curl -q --silent --show-error --fail --proto =http,https --connect-timeout 30 \
        --speed-limit 1 --speed-time 60 "$@" --url "$address" 2>>"$log_file"
    case $? in
        0) ;;
        23) return 60 ;;
        *) return 9 ;;
    esac
}

# show_progress SIZE VERSION
show_progress() {
    have=$(stat -c %s "$image" 2>/dev/null) || have=0
    part=$((have * 1000 / ($1 + 1)))
    [ "$part" -lt 1000 ] || part=999
    set_status DOWNLOADING "$(printf '0.%03d000' "$part")" "$2" "$1"
}

# download URL SIZE VERSION
download() {
    rm -f "$image"
    set_status DOWNLOADING 0.000000 "$3" "$2"
    if rate=$(fault slow); then
        download_slowly "$@" "$rate" || return
    else
        get "$1" --output "$image" &
        getting=$!
        while kill -0 "$getting" 2>/dev/null; do
            sleep 0.1
            show_progress "$2" "$3"
        done
        wait "$getting" || return
    fi
    if fault damage >/dev/null; then
        printf '\0damaged' | dd of="$image" bs=1 seek=20 conv=notrunc 2>/dev/null
    fi
}

# download_slowly URL SIZE VERSION RATE: bytes in a second, in parts, so that each can be seen.
download_slowly() {
    part_size=$(($4 / 5 + 1))
    : >"$image"
    have=0
    while [ "$have" -lt "$2" ]; do
        get "$1" --range "$have-$((have + part_size - 1))" >>"$image" || return
        show_progress "$2" "$3"
        sleep 0.2
    done
}

# verify SIZE SHA256 METADATA_SIZE: METADATA_SIZE may be empty. Sets manifest.
verify() {
    [ "$(stat -c %s "$image")" = "$1" ] || return 11
    digest=$(sha256sum "$image") || return 10
    [ "${digest%% *}" = "$2" ] || return 10
    [ "$(head -c 4 "$image" | tr -d '\0')" = CrAU ] || return 21
    [ "$(number 4 8)" -eq 2 ] || return 44
    length=$(number 12 8)
    [ "$length" -gt 0 ] && [ "$length" -lt 65536 ] || return 32
    [ -z "$3" ] || [ "$3" = "$((24 + length))" ] || return 32
    manifest=$(dd if="$image" bs=1 skip=24 count="$length" 2>/dev/null | tr -d '\0')
    case $manifest in
        CROSPROV_TWIN_PAYLOAD=1*) ;;
        *) return 23 ;;
    esac
}

# number OFFSET BYTES: a big endian number in the payload's header.
number() {
    echo $((0x$(dd if="$image" bs=1 skip="$1" count="$2" 2>/dev/null | od -An -v -tx1 | tr -d ' \n')))
}

told() {
    printf '%s\n' "$manifest" | sed -n "s/^$1=//p"
}

# install RUNNING_VERSION BOARD: what is written starts with the next boot.
install() {
    source_version=$(told SOURCE_VERSION)
    [ -z "$source_version" ] || [ "$source_version" = "$1" ] || return 20
    digest=$(tail -c "+$((25 + length))" "$image" | sha256sum) || return 14
    [ "${digest%% *}" = "$(told DATA_SHA256)" ] || return 47
    # The original would install another board's image; its firmware updater then refuses.
    [ "$(told CHROMEOS_RELEASE_BOARD)" = "${2%%-signed-*}" ] || return 5
    code=$(fault install) && return "$code"
    {
        echo "PREVIOUS_VERSION=$1"
        printf '%s\n' "$manifest" | grep '^CHROMEOS_'
    } >"$disk/next.new" || return 7
    mv "$disk/next.new" "$disk/next" || return 7
    rm -f "$image"
}
