-- A leaf commits to the moment of its hearing too: from format 2 on.

alter table leaf add column format smallint not null default 1 check (format in (1, 2));

comment on column leaf.format is 'Which list of fields its hash commits to: 1 is all above but the hearing, 2 is the hearing too.';
comment on column leaf.leaf_hash is 'RFC 6962: SHA-256 of a zero byte and the commitment to the fields of its format.';
