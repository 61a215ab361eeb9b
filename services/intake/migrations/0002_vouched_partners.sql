-- Partners are vouched for: a row that was written or changed by SQL opens nothing.

alter table partner add column vouched bytea;
comment on column partner.vouched is 'Keyed MAC over id, name, channel, key hash and quota, naming its format and key. A row without a true one is refused at use.';
