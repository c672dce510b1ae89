# What the update engine and its client share: places, the state, the log. Sourced, not run.
# shellcheck shell=dash disable=SC2034
lib=/usr/lib/crosprov-twin
run=/run/update_engine
disk=/etc/crosprov-twin/disk              # stands for the partitions A and B
stateful=/mnt/stateful_partition
faults=$stateful/twin_faults
updated=/run/update_engine_autoupdate_completed
log_file=/var/log/update_engine/update_engine.log

log() {
    printf '%s %s %s: %s\n' "$(date -u +%Y-%m-%dT%H:%M:%S.%6NZ)" "$1" "$2" "$3" >>"$log_file"
}

# set_status OPERATION PROGRESS VERSION SIZE: replace the state at once.
set_status() {
    checked=$(cat "$run/checked" 2>/dev/null)
    printf '%s\n' "CURRENT_OP=UPDATE_STATUS_$1" "LAST_CHECKED_TIME=${checked:-0}" \
        "NEW_SIZE=$4" "NEW_VERSION=$3" "PROGRESS=$2" >"$run/status.new"
    mv "$run/status.new" "$run/status"
}

idle() {
    set_status IDLE 0.000000 0.0.0.0 0
}

operation() {
    sed -n 's/^CURRENT_OP=UPDATE_STATUS_//p' "$run/status" 2>/dev/null
}

# A fault that a test switched on: the file's content, or its name when it is empty.
fault() {
    [ -e "$faults/$1" ] || return 1
    content=$(cat "$faults/$1")
    printf '%s\n' "${content:-$1}"
}

error_name() {
    case $1 in
        0) echo kSuccess ;;
        5) echo kPostinstallRunnerError ;;
        7) echo kInstallDeviceOpenError ;;
        9) echo kDownloadTransferError ;;
        10) echo kPayloadHashMismatchError ;;
        11) echo kPayloadSizeMismatchError ;;
        14) echo kDownloadWriteError ;;
        20) echo kDownloadStateInitializationError ;;
        21) echo kDownloadInvalidMetadataMagicString ;;
        23) echo kDownloadManifestParseError ;;
        31) echo kOmahaRequestXMLParseError ;;
        32) echo kDownloadInvalidMetadataSize ;;
        34) echo kOmahaResponseInvalid ;;
        37) echo kOmahaErrorInHTTPResponse ;;
        44) echo kUnsupportedMajorPayloadVersion ;;
        47) echo kFilesystemVerifierError ;;
        53) echo kNoUpdate ;;
        58) echo kUnresolvedHostError ;;
        60) echo kNotEnoughSpace ;;
        *) echo "Unknown error: $1" ;;
    esac
}
