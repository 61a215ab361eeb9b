-- Providers' keys are vouched for: a row that was written or changed by SQL opens nothing.

alter table provider_key add column vouched bytea;
comment on column provider_key.vouched is 'Keyed MAC over key id, provider, secret hash and scopes, naming its format and key. A row without a true one is refused at use.';
