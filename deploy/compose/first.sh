#!/bin/sh
# What an installation has once: a keyring, the first account for the console, and a credential for the operators' commands.
# `takedown up` makes all three on an empty database; it is started for that and ended. Each further start leaves keyring
# and account as they are and renews the credential.
# usage: DATABASE_URL=… first.sh FOLDER
set -eu
umask 077

folder=$1
operator=$folder/operator

rm -f "$operator/client.toml"
takedown up --data-dir "$operator" &
up=$!
until [ -s "$operator/client.toml" ]; do
    kill -0 "$up" 2>/dev/null || exit 1 # it has said why
    sleep 0.2
done
kill -TERM "$up"
wait "$up"

# As `up` wrote it, with the addresses of the roles in place of its own.
{
    sed -n '/^\[addresses\]/q; p' "$operator/client.toml"
    cat <<'TEXT'
[tls]
cert = "/etc/takedown/tls/tls.crt"
key = "/etc/takedown/tls/tls.key"
ca = "/etc/takedown/tls/ca.crt"

[addresses]
intake = "https://intake:7410"
verification = "https://verification:7411"
dispatch = "https://dispatch:7412"
ledger = "https://ledger:7413"
gateway = "http://gateway:7401"
console = "http://console:7400"
TEXT
} >"$operator/client.toml.new"
mv "$operator/client.toml.new" "$operator/client.toml"

for role in intake verification dispatch ledger; do
    cp "$operator/keyring.json" "$folder/$role/keyring.json"
done
