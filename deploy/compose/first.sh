#!/bin/sh
# Creates what an installation needs once: a keyring, the first account for the console, and a credential for
# the operators' commands. Further runs keep keyring and account and renew the credential.
# usage: OWNER_DATABASE_URL=... first.sh FOLDER
set -eu
umask 077

folder=$1
takedown init --config /config/init.toml --data-dir "$folder/operator"
for role in intake verification dispatch ledger; do
    cp "$folder/operator/keyring.json" "$folder/$role/keyring.json"
done
