#!/bin/sh
# Creates an authority and a certificate for each role and the operator, in a folder for each. The authority's
# key is deleted at the end, so that no further certificate can be issued. If one is missing, all are created
# again. Not for real reports: these certificates are not renewed.
# usage: certificates.sh FOLDER
set -eu

ROLES="intake verification dispatch ledger gateway console operator"
OWNER=65532 # the user of the image

folder=$1
missing=
for role in $ROLES; do
    [ -s "$folder/$role/tls/ca.crt" ] || missing=1
done
[ "$missing" ] || exit 0

umask 077
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 365 -subj "/CN=takedown" \
    -addext "basicConstraints=critical,CA:TRUE" -addext "keyUsage=critical,keyCertSign" -keyout ca.key -out ca.crt 2>/dev/null
for role in $ROLES; do
    openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj "/CN=takedown-$role" -keyout tls.key -out tls.csr 2>/dev/null
    # The role's identity: exactly one URI.
    printf '%s\n' "subjectAltName=URI:spiffe://takedown/$role" "extendedKeyUsage=serverAuth,clientAuth" "basicConstraints=CA:FALSE" >extensions
    openssl x509 -req -in tls.csr -CA ca.crt -CAkey ca.key -CAcreateserial -days 365 -extfile extensions -out tls.crt 2>/dev/null
    mkdir -p "$folder/$role/tls"
    # ca.crt last: if it exists, the set is complete (checked above).
    mv tls.crt tls.key "$folder/$role/tls/"
    cp ca.crt "$folder/$role/tls/"
    chown -R "$OWNER:$OWNER" "$folder/$role"
done
