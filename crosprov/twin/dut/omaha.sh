# Ask the update server by Omaha, protocol 3.0. Sourced, not run.

escape() {
    printf '%s' "$1" | sed 's/&/\&amp;/g; s/</\&lt;/g; s/>/\&gt;/g; s/"/\&quot;/g'
}

unescape() {
    sed 's/&lt;/</g; s/&gt;/>/g; s/&quot;/"/g; s/&apos;/'\''/g; s/&amp;/\&/g'
}

# request VERSION CHILDREN: write the document; CHILDREN are what the app has inside.
request() {
    cat >"$run/request.xml" <<END
<?xml version="1.0" encoding="UTF-8"?>
<request requestid="{$(cat /proc/sys/kernel/random/uuid)}" sessionid="{$session}" protocol="3.0" updater="ChromeOSUpdateEngine" updaterversion="0.1.0.0" installsource="ondemandupdate" ismachine="1">
    <os version="Indy" platform="Chromium OS" sp="$(escape "$version")_$(uname -m)"></os>
    <app appid="$(escape "$appid")" version="$(escape "$1")" track="$(escape "$(channel "$target")")" board="$(escape "$board")" hardware_class="CROSPROV TWIN" lang="en-US" fw_version="" ec_version="" delta_okay="true">
$2
    </app>
</request>
END
}

# post URL: send the document; sets http, the status of the answer, 000 without one.
post() {
    http=$(curl -q --silent --show-error --max-time 60 --proto =http,https \
        --header 'Content-Type: text/xml' --data-binary @"$run/request.xml" \
        --output "$run/response.xml" --write-out '%{http_code}' --url "$1" 2>>"$log_file")
}

# The answer with one tag on each line, its > cut off.
tags() {
    tr '\n' ' ' <"$run/response.xml" | tr '>' '\n'
}

# attribute ELEMENT NAME [PATTERN]: the value in the first such element that has the pattern.
attribute() {
    tags | grep "<$1 " | grep -e "${3:-.}" | head -n 1 |
        sed -n "s/.* $2=\"\([^\"]*\)\".*/\1/p" | unescape
}

# ask URL VERSION: look for an update; sets url, name, size, sha256, metadata_size, new_version.
# The status is a code of update_engine's.
ask() {
    request "$2" '        <ping active="1" a="-1" r="-1"></ping>
        <updatecheck></updatecheck>'
    log INFO omaha_request_action "Posting an Omaha request to $1"
    rm -f "$run/response.xml"
    post "$1"
    status=$?
    [ "$status" -ne 6 ] || return 58
    if [ "$http" != 200 ]; then
        log ERROR omaha_request_action "Omaha request network transfer failed, HTTP $http, error code $((1000 + 1$http))"
        return 37
    fi
    tags | grep -q '<response .*protocol="3.0"' || return 31
    tags | grep -q '</response' || return 31
    case $(attribute updatecheck status) in
        ok) ;;
        noupdate) return 53 ;;
        *) return 34 ;;
    esac
    after='event="postinstall"'
    new_version=$(attribute manifest version)
    url=$(attribute url codebase)
    name=$(attribute package name)
    size=$(attribute package size)
    sha256=$(attribute package hash_sha256)
    metadata_size=$(attribute action MetadataSize "$after")
    # Older dev servers give the digest with the action only.
    [ -n "$sha256" ] || sha256=$(attribute action sha256 "$after" | base64 -d 2>/dev/null |
        od -An -v -tx1 | tr -d ' \n')
    case $size in
        '' | *[!0-9]*) return 34 ;;
    esac
    [ -n "$url" ] && [ -n "$name" ] && [ "${#sha256}" -eq 64 ] || return 34
}

# tell URL TYPE RESULT CODE: report an event; the answer does not matter.
tell() {
    request "$version" "        <event eventtype=\"$2\" eventresult=\"$3\" errorcode=\"$4\"></event>"
    post "$1" || :
}
