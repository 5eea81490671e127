#!/bin/bash
# axe.sh TARGET_DIR: axe-core, the judge of accessibility that the pages' tests use, from npm into TARGET_DIR/axe.
#
# It is pinned by its bytes; where they are there already nothing is fetched. Nothing of it is part of the product.
set -euo pipefail

version=4.14.1
sha256=29348999450cdf2849a8e70b7912fc2da85a849da39c0d0d5394f51d4a9ed95c

dir=$1/axe
file=$dir/axe.min.js
is_right() {
    echo "$sha256  $file" | sha256sum --check --status 2>/dev/null
}

! is_right || exit 0
command -v npm >/dev/null || {
    echo "axe: npm is missing; on Debian: apt-get install --no-install-recommends npm" >&2
    exit 3
}
mkdir -p "$dir"
packed=$(mktemp -d "$dir/fetch.XXXXXX")
trap 'rm -rf "$packed"' EXIT
npm pack --silent --pack-destination "$packed" "axe-core@$version" >/dev/null
tar -xzf "$packed/axe-core-$version.tgz" -C "$packed" package/axe.min.js
mv "$packed/package/axe.min.js" "$file"
is_right || {
    rm -f "$file"
    echo "axe: axe-core $version from npm has not the bytes that it should have; nothing was kept" >&2
    exit 1
}
echo "axe: axe-core $version"
