#!/bin/bash
# udev.sh RULES_DIRECTORY: lets udev itself read the rules and match them against devices of a table.
#
# It runs in namespaces of its own, with a sysfs made of plain files: no device of this machine is touched.
# Exit 0 when no rule has a complaint and each device gets its symlink; 3 when this machine allows no namespaces.
set -euo pipefail

# vendor:product, serial number, the tty, and the symlink that it must get; - for none.
devices=(
    '0d28:0204 9900000012345678 ttyACM0 countersign/token-9900000012345678'
    '0483:374e 0039003A3038510E34333935 ttyACM1 countersign/token-0039003A3038510E34333935'
    '0483:3754 0039003A3038510E34333936 ttyACM2 countersign/token-0039003A3038510E34333936'
    '0483:5740 0123456789 ttyACM3 -'
    '0d28:0204 - ttyACM4 -'
    '2c7c:0125 - ttyUSB2 countersign/modem-'
)

fail() {
    echo "udev: $*" >&2
    exit 1
}

# A tty below an interface below a USB device, as sysfs has it; prints the tty's directory.
make_device() {
    local sys=$1 nth=$2 id=$3 serial=$4 tty=$5
    local usb=$sys/devices/pci0000:00/0000:00:14.0/usb1/1-$nth
    local interface=$usb/1-$nth:1.2
    local port=$interface/tty/$tty
    mkdir -p "$port" "$sys/bus/usb" "$sys/bus/pci" "$sys/class/tty"
    echo "${id%:*}" >"$usb/idVendor"
    echo "${id#*:}" >"$usb/idProduct"
    [ "$serial" = - ] || echo "$serial" >"$usb/serial"
    echo 02 >"$interface/bInterfaceNumber"
    printf 'DEVTYPE=usb_device\nPRODUCT=%s\n' "$id" >"$usb/uevent"
    printf 'DEVTYPE=usb_interface\n' >"$interface/uevent"
    printf 'MAJOR=166\nMINOR=%s\nDEVNAME=%s\n' "$nth" "$tty" >"$port/uevent"
    echo "166:$nth" >"$port/dev"
    for below in "$usb" "$interface"; do ln -sfn "$(realpath --relative-to="$below" "$sys/bus/usb")" "$below/subsystem"; done
    ln -sfn "$(realpath --relative-to="$port" "$sys/class/tty")" "$port/subsystem"
    ln -sfn "$(realpath --relative-to="$sys/class/tty" "$port")" "$sys/class/tty/$tty"
    local pci=$sys/devices/pci0000:00/0000:00:14.0
    : >"$pci/uevent"
    ln -sfn "$(realpath --relative-to="$pci" "$sys/bus/pci")" "$pci/subsystem"
    echo "/sys${port#"$sys"}"
}

inside() {
    local rules=$1 root=$2 nth=0
    mkdir -p "$root/sys" "$root/rules"
    cp "$rules"/*.rules "$root/rules"
    local paths=()
    for device in "${devices[@]}"; do
        read -r id serial tty _ <<<"$device"
        nth=$((nth + 1))
        paths+=("$(make_device "$root/sys" "$nth" "$id" "$serial" "$tty")")
    done
    for own in /lib/udev/rules.d /usr/lib/udev/rules.d; do
        [ ! -d "$own" ] || mount --bind "$root/rules" "$own"
    done
    [ ! -d /etc/udev/rules.d ] || mount -t tmpfs none /etc/udev/rules.d
    mount -t tmpfs none /run
    mount -t tmpfs none /dev
    : >/dev/null
    mount --bind "$root/sys" /sys
    nth=0
    for device in "${devices[@]}"; do
        read -r id serial _ wanted <<<"$device"
        local said links
        said=$(SYSTEMD_DEVICE_VERIFY_SYSFS=0 udevadm test --action=add "${paths[$nth]}" 2>&1) || fail "$id: $said"
        # What a rule does to a device follows the device's name; a line that begins with the file is a complaint.
        ! grep -E '^/[^ ]*\.rules:[0-9]+ ' <<<"$said" || fail "a rule has a complaint"
        links=$(sed -n 's/^DEVLINKS=//p' <<<"$said")
        case $wanted in
            -) [[ $links != *countersign/* ]] || fail "$id with serial number $serial got $links" ;;
            *) [[ $links == *"/dev/$wanted"* ]] || fail "$id with serial number $serial got '$links', not $wanted"
                grep -qx 'ID_MM_DEVICE_IGNORE=1' <<<"$said" || fail "$id: ModemManager may talk to it" ;;
        esac
        nth=$((nth + 1))
    done
    echo "udev: udev $(udevadm --version) reads the rules and names ${#devices[@]} devices as it should"
}

if [ "${2-}" ]; then
    inside "$1" "$2"
    exit
fi
rules=$(realpath "$1")
if ! command -v udevadm >/dev/null || ! unshare --map-root-user --mount true 2>/dev/null; then
    echo "udev: there is no udevadm here, or no namespaces are allowed: udev did not look at the rules" >&2
    exit 3
fi
root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT
unshare --map-root-user --mount "$0" "$rules" "$root"
