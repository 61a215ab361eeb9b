#!/bin/sh
# Rebuilds assets/vendor from npm, by name and version. Needs npm and sha256sum; not part of any build.
set -eu

HTMX=4.0.1

vendor=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)/assets/vendor
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
(cd "$work" && npm pack --silent "htmx.org@$HTMX" >/dev/null && tar xzf "htmx.org-$HTMX.tgz")
mkdir -p "$vendor"
cp "$work/package/dist/htmx.min.js" "$work/package/dist/ext/hx-sse.min.js" "$vendor/"
cp "$work/package/LICENSE" "$vendor/htmx.LICENSE"
printf 'htmx.org %s\n' "$HTMX" >"$vendor/VERSION"
(cd "$vendor" && sha256sum htmx.min.js hx-sse.min.js htmx.LICENSE >SHA256SUMS)
