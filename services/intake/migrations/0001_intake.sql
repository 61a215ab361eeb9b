-- Intake's own tables: who sends, what was sent, and which case it belongs to.

create table partner (
    id          uuid        primary key,
    name        text        not null unique,
    channel     text        not null check (channel in ('partner_hotline', 'proactive', 'report_remove')),
    key_hash    bytea       not null check (octet_length(key_hash) = 32),
    daily_quota integer     not null default 0 check (daily_quota >= 0),
    created_at  timestamptz not null,
    revoked_at  timestamptz
);

comment on table partner is 'Organisations that may submit reports with a key of their own.';
comment on column partner.id is 'Part of the key, so that it is found by it.';
comment on column partner.name is 'For people.';
comment on column partner.channel is 'The one channel that this partner''s reports come by.';
comment on column partner.key_hash is 'SHA-256 of the secret part of the key; the key itself is shown once.';
comment on column partner.daily_quota is 'Reports a day (UTC); 0 is no limit.';
comment on column partner.created_at is 'When, by the database clock.';
comment on column partner.revoked_at is 'From then on the key is refused.';

create table quota_use (
    partner_id uuid    not null references partner (id),
    day        date    not null,
    used       integer not null check (used >= 0),
    primary key (partner_id, day)
);

comment on table quota_use is 'How much of its daily quota a partner has used. Only partners with a quota have rows.';
comment on column quota_use.partner_id is 'The partner.';
comment on column quota_use.day is 'The day in UTC, by the database clock.';
comment on column quota_use.used is 'Reports accepted on that day.';

create table case_identity (
    id          uuid        primary key,
    wrapped_key bytea       not null,
    opened_at   timestamptz not null
);

comment on table case_identity is 'A URL that was reported. Permanent and without a status: attaching a report is never refused. Its row is the lock for everything intake says about the case.';
comment on column case_identity.id is 'The case.';
comment on column case_identity.wrapped_key is 'The case''s data key, wrapped by the key of its retention epoch; names that key.';
comment on column case_identity.opened_at is 'When its first report was accepted.';

create table case_tag (
    key_id  text  not null,
    tag     bytea not null check (octet_length(tag) = 32),
    case_id uuid  not null,
    primary key (tag, key_id)
);

comment on table case_tag is 'Finds the case of a canonical URL. While index keys rotate a case has one tag for each key.';
comment on column case_tag.key_id is 'The index key.';
comment on column case_tag.tag is 'HMAC-SHA-256 of the canonical URL under that key, at full length.';
comment on column case_tag.case_id is 'The case; written in the same transaction.';
create index case_tag_case on case_tag (case_id);

create table case_outcome (
    case_id uuid        primary key references case_identity (id),
    outcome text        not null check (outcome in ('being_looked_at', 'being_removed', 'removed', 'not_against_the_law', 'could_not_find')),
    at      timestamptz not null
);

comment on table case_outcome is 'What was last heard about a case. A case without a row has been received and no more.';
comment on column case_outcome.case_id is 'The case.';
comment on column case_outcome.outcome is 'being_looked_at: a verdict was taken back. being_removed: illegal, and up. removed: confirmed gone. not_against_the_law, could_not_find: nothing is done.';
comment on column case_outcome.at is 'When it happened, by the event that told of it.';
create index case_outcome_outcome on case_outcome (outcome);

create table report (
    id              uuid        primary key,
    case_id         uuid        not null references case_identity (id),
    reference_tag   bytea       not null unique check (octet_length(reference_tag) = 32),
    channel         text        not null check (channel in ('public', 'partner_hotline', 'proactive', 'report_remove')),
    partner_id      uuid        references partner (id),
    external_tag    bytea       check (octet_length(external_tag) = 32),
    sealed_external bytea,
    sealed_spelling bytea       not null,
    sealed_item     bytea       not null,
    media           text        check (media in ('image', 'video', 'text')),
    age_band        text        check (age_band in ('under_13', '13_15', '16_17')),
    country         text        check (country ~ '^[A-Z]{2}$'),
    received_at     timestamptz not null,
    accepted_at     timestamptz not null,
    withdrawn_at    timestamptz,
    check ((external_tag is null) = (sealed_external is null)),
    check (channel = 'report_remove' or age_band is null),
    check (channel <> 'report_remove' or country is null)
);

comment on table report is 'Accepted reports, one for each item.';
comment on column report.id is 'The report.';
comment on column report.case_id is 'The case of its URL.';
comment on column report.reference_tag is 'HMAC-SHA-256 of the reference that the reporter was given.';
comment on column report.channel is 'public, partner_hotline, proactive, or report_remove: a young person reports an image of themselves.';
comment on column report.partner_id is 'Who sent it; null for the public and for staff.';
comment on column report.external_tag is 'HMAC-SHA-256 of the sender''s own number.';
comment on column report.sealed_external is 'That number, sealed: it may identify a child to the helpline.';
comment on column report.sealed_spelling is 'The URL as it was written, sealed.';
comment on column report.sealed_item is 'Canonical URL and hashes, sealed.';
comment on column report.media is 'What the reporter says it is.';
comment on column report.age_band is 'Report Remove only.';
comment on column report.country is 'The reporter''s, ISO 3166-1; never with Report Remove.';
comment on column report.received_at is 'When the sender received it.';
comment on column report.accepted_at is 'When we did.';
comment on column report.withdrawn_at is 'When the reporter took it back.';
create index report_case on report (case_id);
create index report_external on report (external_tag) where external_tag is not null;
create index report_withdrawn on report (withdrawn_at) where withdrawn_at is not null;

create table submission (
    id          uuid        not null,
    principal   text        not null,
    key         text        not null,
    body_mac    bytea       not null check (octet_length(body_mac) = 32),
    response    bytea,
    accepted_at timestamptz not null,
    primary key (principal, key)
);

comment on table submission is 'Idempotency: what was answered to a submission that carried a key.';
comment on column submission.id is 'Binds the sealed answer to this row.';
comment on column submission.principal is 'Whose key it is.';
comment on column submission.key is 'As the caller chose it.';
comment on column submission.body_mac is 'Keyed hash of the request, to know another body under the same key.';
comment on column submission.response is 'The encoded answer, sealed for the principal and this row: it holds references; null only inside the writing transaction.';
comment on column submission.accepted_at is 'When.';
