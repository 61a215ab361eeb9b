-- What is to be sent, how the endpoints answer, and what is to be looked at.
-- Rows are made and taken away under the lock of their case; claims and records are guarded by a lease.

create table delivery (
    notice_id    uuid        primary key references notice,
    case_id      uuid        not null,
    provider_id  text        not null,
    channel      text        not null check (channel in ('webhook', 'email')),
    sequence     integer     not null check (sequence > 0),
    severity     smallint    not null check (severity >= 0),
    due_at       timestamptz not null,
    attempts     integer     not null check (attempts >= 0),
    in_doubt     boolean     not null,
    cancelled    boolean     not null,
    lease_token  uuid,
    lease_until  timestamptz,
    last_failure text
) with (fillfactor = 70);

comment on table delivery is 'The one message about a notice that is still to be handed over. No row: nothing to do.';
comment on column delivery.notice_id is 'The notice; its id is the same for every attempt.';
comment on column delivery.case_id is 'Its case, whose lock comes first.';
comment on column delivery.provider_id is 'The addressee.';
comment on column delivery.channel is 'webhook or email; who pulls is not delivered to.';
comment on column delivery.sequence is 'Of the message. A newer one takes the place of one that was not handed over.';
comment on column delivery.severity is 'From the category of the case: 0 is the most severe and goes first.';
comment on column delivery.due_at is 'When it may be claimed: next attempt, or the end of the running lease.';
comment on column delivery.attempts is 'Attempts of this message, counted when they begin.';
comment on column delivery.in_doubt is 'An attempt began whose outcome is not known, or that may have arrived although it failed.';
comment on column delivery.cancelled is 'Not to be sent any more; the row waits for its running attempt.';
comment on column delivery.lease_token is 'Whoever claimed it, by a random value.';
comment on column delivery.lease_until is 'Until when that claim holds.';
comment on column delivery.last_failure is 'Stable code of the last failed attempt.';

create index delivery_due on delivery (provider_id, channel, severity, due_at);
create index delivery_case on delivery (case_id);

create table endpoint_health (
    provider_id text        not null,
    channel     text        not null check (channel in ('webhook', 'email')),
    failures    integer     not null check (failures >= 0),
    open_until  timestamptz,
    asked_until timestamptz,
    primary key (provider_id, channel)
) with (fillfactor = 50);

comment on table endpoint_health is 'How the endpoint of a provider answers. No row: well.';
comment on column endpoint_health.provider_id is 'The provider.';
comment on column endpoint_health.channel is 'The channel.';
comment on column endpoint_health.failures is 'Failed attempts since the last good one.';
comment on column endpoint_health.open_until is 'The breaker is open until then; after it one attempt at a time is made.';
comment on column endpoint_health.asked_until is 'The provider asked for quiet until then (Retry-After).';

create table probe (
    case_id     uuid        primary key references case_file,
    due_at      timestamptz not null,
    lane        bigint,
    lease_token uuid
) with (fillfactor = 70);

comment on table probe is 'Cases whose place is to be looked at.';
comment on column probe.case_id is 'The case.';
comment on column probe.due_at is 'When; while it is looked at, the end of the claim.';
comment on column probe.lane is 'Keyed hash of the host, so that one host never takes every turn; null before the first look.';
comment on column probe.lease_token is 'Whoever looks at it now, by a random value; null when a new time was set.';

create index probe_due on probe (due_at);
