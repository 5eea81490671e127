#!/bin/bash
# packaging.sh: installs into an empty directory and looks at the result. Wants COUNTERSIGN_BIN built.
set -euo pipefail
cd "$(dirname "$0")/.."
root=$(mktemp -d)
demo=
finish() {
    [ -z "$demo" ] || { kill "$demo" && wait "$demo"; } || true
    rm -rf "$root"
}
trap finish EXIT

fail() {
    echo "packaging: $*" >&2
    exit 1
}

make --no-print-directory -s install DESTDIR="$root" >"$root/log" || { cat "$root/log"; fail "make install"; }
for file in usr/bin/countersign usr/lib/systemd/system/countersign.service usr/lib/sysusers.d/countersign.conf \
    usr/lib/countersign/token-sim usr/lib/countersign/countersign-letters usr/lib/tmpfiles.d/countersign.conf usr/share/doc/countersign/LICENSE-MIT etc/countersign/countersign.toml; do
    [ -s "$root/$file" ] || fail "$file was not installed"
done
for rules in udev/*.rules; do
    [ ! -e "$rules" ] || [ -s "$root/usr/lib/udev/rules.d/${rules##*/}" ] || fail "$rules was not installed"
done

status=0
scripts/udev.sh "$root/usr/lib/udev/rules.d" || status=$?
[ $status -eq 0 ] || [ $status -eq 3 ] || fail "udev does not take the rules"

"$root/usr/bin/countersign" config check "$root/etc/countersign/countersign.toml" >"$root/log" ||
    { cat "$root/log"; fail "the shipped configuration has findings"; }

# An administrator's configuration survives the next version.
echo '# edited' >>"$root/etc/countersign/countersign.toml"
make --no-print-directory -s install DESTDIR="$root" >"$root/log"
tail -n 1 "$root/etc/countersign/countersign.toml" | grep -qx '# edited' || fail "the configuration was overwritten"

make --no-print-directory -s install DESTDIR="$root" PREFIX=/opt/countersign >"$root/log"
grep -qx 'ExecStart=/opt/countersign/bin/countersign serve' \
    "$root/opt/countersign/lib/systemd/system/countersign.service" || fail "the unit ignores PREFIX"

# The bench as it is installed: emulated token and typesetter are found without a variable that names them.
unset COUNTERSIGN_LETTERS COUNTERSIGN_TOKEN_SIM
"$root/usr/bin/countersign" demo --state "$root/demo" >"$root/log" 2>&1 &
demo=$!
for _ in $(seq 120); do
    [ ! -s "$root/demo/demo.json" ] || break
    kill -0 "$demo" 2>/dev/null || { cat "$root/log"; fail "the installed demo ended"; }
    sleep 0.5
done
"$root/usr/bin/countersign" --socket "$root/demo/api.sock" technician station --emulator 1 --batch packaging \
    --labels "$root/labels.pdf" </dev/null >"$root/station" || { cat "$root/station"; fail "the installed station"; }
pdftotext "$root/labels.pdf" - | tr -d '\n' | grep -q PACKAGING-0001 || fail "the installed station wrote no labels"
kill "$demo" && wait "$demo" || fail "the installed demo did not end in order"
demo=

if ! command -v systemd-analyze >/dev/null; then
    echo "packaging: there is no systemd-analyze here, the unit was not verified"
    exit 0
fi
# systemd wants the program to exist, and it stands below DESTDIR.
mkdir "$root/verify"
sed "s|^ExecStart=|&$root|" "$root/usr/lib/systemd/system/countersign.service" >"$root/verify/countersign.service"
complaints=$(systemd-analyze verify --man=no "$root/verify/countersign.service" 2>&1) || fail "unit: $complaints"
! grep -F countersign.service <<<"$complaints" || fail "the unit has warnings"
echo "packaging: systemd $(systemd-analyze --version | sed -n '1s/systemd \([0-9]*\).*/\1/p') accepts the unit"
