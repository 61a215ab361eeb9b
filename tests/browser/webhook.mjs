// Verifies a webhook in another language: the shared-secret signature (`v1`) with the reference library of Standard
// Webhooks, the public-key signature (`v1a`) with Node's own Ed25519.
//
// Reads {headers, body, secrets, publicKey} as JSON from standard input and prints which signatures are valid, as JSON.
import { createPublicKey, verify } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';

const require = createRequire(import.meta.url);
const { Webhook } = require('standardwebhooks');

const { headers, body, secrets, publicKey } = JSON.parse(readFileSync(0, 'utf8'));

const isValid = (secret) => {
  try {
    new Webhook(secret).verify(body, headers);
    return true;
  } catch {
    return false;
  }
};

// The part of a SubjectPublicKeyInfo before a raw Ed25519 key (RFC 8410 section 4).
const prefix = Buffer.from('302a300506032b6570032100', 'hex');
const raw = Buffer.from(publicKey.replace(/^whpk_/, ''), 'base64');
const key = createPublicKey({ key: Buffer.concat([prefix, raw]), format: 'der', type: 'spki' });
const content = `${headers['webhook-id']}.${headers['webhook-timestamp']}.${body}`;
const v1a = headers['webhook-signature']
  .split(' ')
  .filter((one) => one.startsWith('v1a,'))
  .some((one) => verify(null, Buffer.from(content), key, Buffer.from(one.slice(4), 'base64')));

console.log(JSON.stringify({ v1: secrets.map(isValid), v1a }));
