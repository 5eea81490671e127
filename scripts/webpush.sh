#!/bin/bash
# webpush.sh TARGET_DIR: http_ece, the judge of Web Push's encryption that the tests use, from npm into TARGET_DIR/webpush.
#
# It is pinned by its bytes; where they are there already nothing is fetched. Nothing of it is part of the product.
set -euo pipefail

version=1.2.1
sha256=fce1c268b8bc188f785a25bb95034b8cb4a86ad704bae36d74c4c1b719cfeb35

dir=$1/webpush
file=$dir/ece.js
is_right() {
    echo "$sha256  $file" | sha256sum --check --status 2>/dev/null
}

! is_right || exit 0
command -v npm >/dev/null || {
    echo "webpush: npm is missing; on Debian: apt-get install --no-install-recommends npm" >&2
    exit 3
}
mkdir -p "$dir"
packed=$(mktemp -d "$dir/fetch.XXXXXX")
trap 'rm -rf "$packed"' EXIT
npm pack --silent --pack-destination "$packed" "http_ece@$version" >/dev/null
tar -xzf "$packed/http_ece-$version.tgz" -C "$packed" package/ece.js
mv "$packed/package/ece.js" "$file"
is_right || {
    rm -f "$file"
    echo "webpush: http_ece $version from npm has not the bytes that it should have; nothing was kept" >&2
    exit 1
}
echo "webpush: http_ece $version"
