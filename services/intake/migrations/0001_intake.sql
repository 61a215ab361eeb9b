-- Intake's own tables: partners and their quotas, cases by URL, reports with their outcomes, and idempotency keys.

create table partner (
    id          uuid        primary key,
    name        text        not null unique,
    channel     text        not null check (channel in ('partner_hotline', 'proactive', 'report_remove')),
    key_hash    bytea       not null check (octet_length(key_hash) = 32),
    daily_quota integer     not null check (daily_quota >= 0),
    vouched     bytea,
    created_at  timestamptz not null,
    revoked_at  timestamptz
);

comment on table partner is 'Organisations that may submit reports with a key.';
comment on column partner.id is 'The partner. Contained in the key, which is looked up by it.';
comment on column partner.name is 'Display name.';
comment on column partner.channel is 'The report channel of the key. partner_hotline: another hotline. proactive: a crawler or other proactive search. report_remove: a helpline that forwards young people''s reports.';
comment on column partner.key_hash is 'SHA-256 of the secret part of the key. The key itself is shown once and not stored.';
comment on column partner.daily_quota is 'Maximum number of reports per day (UTC); 0 for no limit.';
comment on column partner.vouched is 'Keyed MAC of id, name, channel, key hash and quota, with its format and key id. A key is refused unless this MAC is valid, so a row that was inserted or changed by SQL gives no access.';
comment on column partner.created_at is 'When the partner was created, by the database clock.';
comment on column partner.revoked_at is 'When the key was revoked; null while it is valid.';

create table quota_usage (
    partner_id uuid    not null references partner (id),
    day        date    not null,
    used       integer not null check (used >= 0),
    primary key (partner_id, day)
);

comment on table quota_usage is 'Usage of the daily quotas. Only partners with a quota have rows.';
comment on column quota_usage.partner_id is 'The partner.';
comment on column quota_usage.day is 'The day in UTC, by the database clock.';
comment on column quota_usage.used is 'Reports accepted on that day.';

create table case_identity (
    id          uuid        primary key,
    wrapped_key bytea       not null,
    opened_at   timestamptz not null
);

comment on table case_identity is 'One row for each reported canonical URL. Rows are permanent and have no status, so that a further report can always be attached. The row is the lock for all changes to the case in intake.';
comment on column case_identity.id is 'The case.';
comment on column case_identity.wrapped_key is 'The case''s data key, wrapped with the key of its retention epoch; contains the id of that key.';
comment on column case_identity.opened_at is 'When the first report was accepted.';

create table case_tag (
    key_id  text  not null,
    tag     bytea not null check (octet_length(tag) = 32),
    case_id uuid  not null,
    primary key (tag, key_id)
);

comment on table case_tag is 'Finds the case of a canonical URL. While index keys are rotated, a case has one tag for each key.';
comment on column case_tag.key_id is 'The index key.';
comment on column case_tag.tag is 'HMAC-SHA-256 of the canonical URL with that key, untruncated.';
comment on column case_tag.case_id is 'The case. Inserted in the same transaction, after its tags.';
create index case_tag_case on case_tag (case_id);

create table case_outcome (
    case_id    uuid        primary key references case_identity (id),
    outcome    text        not null check (outcome in ('being_assessed', 'being_removed', 'removed', 'not_against_the_law', 'could_not_find')),
    changed_at timestamptz not null
);

comment on table case_outcome is 'The outcome of a case by the events of verification and dispatch. A case without a row has the outcome received.';
comment on column case_outcome.case_id is 'The case.';
comment on column case_outcome.outcome is 'being_assessed: a verdict was withdrawn. being_removed: illegal and online. removed: the removal is confirmed. not_against_the_law, could_not_find: no action is taken.';
comment on column case_outcome.changed_at is 'When the outcome changed: the time of the event.';
create index case_outcome_outcome on case_outcome (outcome);

create table report (
    id                  uuid        primary key,
    case_id             uuid        not null references case_identity (id),
    reference_tag       bytea       not null unique check (octet_length(reference_tag) = 32),
    channel             text        not null check (channel in ('public', 'partner_hotline', 'proactive', 'report_remove')),
    partner_id          uuid        references partner (id),
    external_ref_tag    bytea       check (octet_length(external_ref_tag) = 32),
    sealed_external_ref bytea,
    sealed_reported_url bytea       not null,
    sealed_content      bytea       not null,
    media               text        check (media in ('image', 'video', 'text')),
    age_band            text        check (age_band in ('under_13', '13_15', '16_17')),
    country             text        check (country ~ '^[A-Z]{2}$'),
    received_at         timestamptz not null,
    accepted_at         timestamptz not null,
    withdrawn_at        timestamptz,
    check ((external_ref_tag is null) = (sealed_external_ref is null)),
    check (channel = 'report_remove' or age_band is null),
    check (channel <> 'report_remove' or country is null)
);

comment on table report is 'Accepted reports.';
comment on column report.id is 'The report.';
comment on column report.case_id is 'The case of its canonical URL.';
comment on column report.reference_tag is 'HMAC-SHA-256 of the reference in the receipt.';
comment on column report.channel is 'The report channel. public: the public form. partner_hotline: another hotline. proactive: found by a proactive search. report_remove: a young person reports an image of themselves.';
comment on column report.partner_id is 'The partner that submitted it; null for the public and for staff.';
comment on column report.external_ref_tag is 'HMAC-SHA-256 of the reporter''s own id for the report.';
comment on column report.sealed_external_ref is 'The reporter''s own id, sealed, because it may identify a child to the helpline.';
comment on column report.sealed_reported_url is 'The reported URL, sealed.';
comment on column report.sealed_content is 'The canonical URL and the hashes (CaseContent), sealed.';
comment on column report.media is 'The kind of content by the reporter''s statement: image, video or text.';
comment on column report.age_band is 'The age of the young person: under_13, 13_15 or 16_17. Only with report_remove.';
comment on column report.country is 'The reporter''s country, ISO 3166-1 alpha-2. Never with report_remove.';
comment on column report.received_at is 'When the partner received the report; the time of acceptance if it gave none.';
comment on column report.accepted_at is 'When intake accepted the report.';
comment on column report.withdrawn_at is 'When the reporter withdrew the report.';
create index report_case on report (case_id);
create index report_external_ref on report (external_ref_tag) where external_ref_tag is not null;
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

comment on table submission is 'Idempotency keys of submissions, with the response that a repeat returns.';
comment on column submission.id is 'Row id that the sealed response is bound to.';
comment on column submission.principal is 'The caller that used the key.';
comment on column submission.key is 'The idempotency key, chosen by the caller.';
comment on column submission.body_mac is 'Keyed MAC of the request, to detect a different body with the same key.';
comment on column submission.response is 'The encoded response, sealed for the principal and this row because it contains references. Null only within the transaction that inserts the row.';
comment on column submission.accepted_at is 'When the submission was accepted.';
