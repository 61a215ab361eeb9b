-- What a host sets up by itself: keys with a name and an end, webhook endpoints with secrets, and what was sent to them.
-- The address of webhooks moves from the provider's row into a row of its own, under the id that its seal is bound to. The
-- version before this one goes on beside it with the address that it knew.

alter table provider_key add column name text not null default '';
alter table provider_key add column expires_at timestamptz;
comment on column provider_key.name is 'What it is for, in its owner''s words.';
comment on column provider_key.expires_at is 'Refused from then on: set when another took its place.';
comment on column provider_key.created_by is 'Subject of the member of staff, or the provider''s key that it was made with.';

create table webhook_endpoint (
    endpoint_id   uuid        primary key,
    provider_id   text        not null references provider,
    address       bytea       not null,
    secret        bytea,
    former_secret bytea,
    former_until  timestamptz,
    in_use        boolean     not null,
    used_since    timestamptz not null,
    created_at    timestamptz not null,
    gone_at       timestamptz
);

comment on table webhook_endpoint is 'Where providers take webhooks; at most one of each is used.';
comment on column webhook_endpoint.endpoint_id is 'What its sealed values are bound to.';
comment on column webhook_endpoint.provider_id is 'Whose it is.';
comment on column webhook_endpoint.address is 'The address, sealed (endpoint).';
comment on column webhook_endpoint.secret is 'Shared secret of Standard Webhooks'' v1 signatures, sealed (secret); null where none was asked for.';
comment on column webhook_endpoint.former_secret is 'The secret before it, sealed (secret).';
comment on column webhook_endpoint.former_until is 'Until when messages are signed with that too.';
comment on column webhook_endpoint.in_use is 'Notices go here.';
comment on column webhook_endpoint.used_since is 'When it was last chosen: an attempt from before does not retire it.';
comment on column webhook_endpoint.created_at is 'When it was made.';
comment on column webhook_endpoint.gone_at is 'When it said that it is gone for good (410); not used from then on, until it is chosen anew or takes a test.';

create unique index webhook_endpoint_in_use on webhook_endpoint (provider_id) where in_use;
create index webhook_endpoint_provider on webhook_endpoint (provider_id, created_at);

insert into webhook_endpoint (endpoint_id, provider_id, address, in_use, used_since, created_at, gone_at)
select row_id, provider_id, webhook, true, changed_at, changed_at, webhook_gone_at
from provider
where webhook is not null;

comment on column provider.webhook is 'Not read any more: see webhook_endpoint.';
comment on column provider.webhook_gone_at is 'Not read any more: see webhook_endpoint.';

alter table delivery add column asked boolean not null default false;
comment on column delivery.asked is 'The addressee asked for it again: it goes out also where nothing waits for an answer.';

create table delivery_attempt (
    attempt_id  bigint      generated always as identity primary key,
    provider_id text        not null,
    message_id  text        not null,
    notice_id   uuid,
    endpoint_id uuid,
    channel     text        not null check (channel in ('webhook', 'email')),
    attempt     integer     not null check (attempt > 0),
    outcome     text        not null,
    http_status integer,
    started_at  timestamptz not null,
    took_millis integer     not null check (took_millis >= 0)
);

comment on table delivery_attempt is 'What was sent to whom and what came of it, for its addressee to look at. Kept for thirty days.';
comment on column delivery_attempt.attempt_id is 'Grows; the cursor of the listing.';
comment on column delivery_attempt.provider_id is 'The addressee.';
comment on column delivery_attempt.message_id is 'As the addressee sees it.';
comment on column delivery_attempt.notice_id is 'The notice; null for a test.';
comment on column delivery_attempt.endpoint_id is 'Of a webhook: where it went.';
comment on column delivery_attempt.channel is 'webhook or email.';
comment on column delivery_attempt.attempt is 'Counts from 1 for each message.';
comment on column delivery_attempt.outcome is 'delivered, or the stable code of the failure.';
comment on column delivery_attempt.http_status is 'Of an answer over HTTP.';
comment on column delivery_attempt.started_at is 'When it began.';
comment on column delivery_attempt.took_millis is 'How long it took.';

create index delivery_attempt_provider on delivery_attempt (provider_id, attempt_id);
create index delivery_attempt_notice on delivery_attempt (notice_id, attempt_id) where notice_id is not null;
create index delivery_attempt_age on delivery_attempt (started_at);
