-- Tables of dispatch: cases under removal, their notices and deliveries, checks of URLs, the provider directory and
-- providers' access. They are in the service's own schema, beside the tables of the event log.
--
-- The row of a case is the root: a transaction that changes a notice, a delivery or a scheduled check of a case holds
-- the lock of that row. Claims of deliveries and checks are guarded by a lease token.

create table dispatch_case (
    case_id              uuid        primary key,
    decision_id          uuid        not null,
    category             text        not null check (category in ('A', 'B', 'C')),
    media                text        check (media in ('image', 'video', 'text')),
    received_at          timestamptz not null,
    verified_at          timestamptz not null,
    content_status       text        not null check (content_status in ('online', 'offline', 'watched', 'held', 'exhausted', 'closed', 'withdrawn')),
    resumes_as           text        check (resumes_as in ('online', 'offline', 'watched', 'exhausted')),
    held_since           timestamptz,
    regime               text        not null,
    policy_version       text        not null,
    episode              integer     not null check (episode >= 0),
    steps                integer     not null check (steps >= 0),
    dispatched_at        timestamptz,
    delivered_at         timestamptz,
    acknowledged_at      timestamptz,
    removal_claimed_at   timestamptz,
    confirmed_at         timestamptz,
    closed_at            timestamptz,
    moves                integer     not null,
    review_id            uuid,
    review_reason        text        check (review_reason in ('disputed', 'soft_404', 'no_contact', 'onion', 'reappeared_changed', 'replied')),
    resolve_at           timestamptz,
    due_at               timestamptz,
    unsettled            boolean     not null
) with (fillfactor = 70);

comment on table dispatch_case is 'A case from its decision on: one URL under removal. Its row is locked before the rows of its notices.';
comment on column dispatch_case.case_id is 'Id of the case, assigned by intake.';
comment on column dispatch_case.decision_id is 'The decision of verification that the notices are based on.';
comment on column dispatch_case.category is 'Severity: A is the most severe.';
comment on column dispatch_case.media is 'image, video or text; null if the report did not state it.';
comment on column dispatch_case.received_at is 'Receipt of the first report: the start of the case''s clocks.';
comment on column dispatch_case.verified_at is 'Time of the decision (clock `verified`).';
comment on column dispatch_case.content_status is 'online; offline: removal confirmed, without a watch so far; watched: removal confirmed, and checked on a schedule; held: by the police; exhausted: online after every rung has fired; closed: the watch has ended; withdrawn: the verdict was withdrawn.';
comment on column dispatch_case.resumes_as is 'While held: the content status to return to.';
comment on column dispatch_case.held_since is 'While held: the start of the hold.';
comment on column dispatch_case.regime is 'Name of the regime of the policy that sets the deadlines.';
comment on column dispatch_case.policy_version is 'Version of the policy at the start of the episode.';
comment on column dispatch_case.episode is 'Number of the current episode, from 1; 0 before the first.';
comment on column dispatch_case.steps is 'Number of steps opened in this episode.';
comment on column dispatch_case.dispatched_at is 'When the first notice was opened (clock `dispatched`).';
comment on column dispatch_case.delivered_at is 'First delivery (clock `delivered`).';
comment on column dispatch_case.acknowledged_at is 'First answer (clock `acknowledged`).';
comment on column dispatch_case.removal_claimed_at is 'First claim of removal (clock `removal_claimed`).';
comment on column dispatch_case.confirmed_at is 'Confirmed removal in the current episode (clock `confirmed_removed`); null while online.';
comment on column dispatch_case.closed_at is 'End of the watch, or withdrawal of the verdict.';
comment on column dispatch_case.moves is 'Number of moves to another host.';
comment on column dispatch_case.review_id is 'The open review, if there is one.';
comment on column dispatch_case.review_reason is 'Reason of the open review. disputed: the provider disputes the notice; soft_404: another page after a claim of removal; no_contact: no provider is known; onion: a hidden service; reappeared_changed: another page after removal; replied: a person replied by mail.';
comment on column dispatch_case.resolve_at is 'When the host is resolved by DNS next; null if that is done or not needed.';
comment on column dispatch_case.due_at is 'The next timer: a rung, or the end of a pause.';
comment on column dispatch_case.unsettled is 'Work is still to come: a delivery, a timer, a check or a review.';

create index dispatch_case_content_status on dispatch_case (content_status, received_at);
create index dispatch_case_due on dispatch_case (category, due_at) where due_at is not null;
create index dispatch_case_resolve on dispatch_case (resolve_at) where resolve_at is not null;
create index dispatch_case_unsettled on dispatch_case (case_id) where unsettled;
create index dispatch_case_moved on dispatch_case (moves) where moves > 0;
create index dispatch_case_reappeared on dispatch_case (episode) where episode > 1;

create table case_ladder (
    case_id         uuid        primary key references dispatch_case,
    episode_at      timestamptz,
    ladder_from     timestamptz,
    rungs_fired     text[]      not null check (rungs_fired <@ array['remind', 'next_contact', 'upstream', 'registrar', 'regulator', 'supervisor']),
    rungs_fired_ms  bigint[]    not null check (cardinality(rungs_fired_ms) = cardinality(rungs_fired)),
    last_rung       text        check (last_rung in ('host', 'remind', 'next_contact', 'upstream', 'registrar', 'regulator', 'supervisor')),
    next_contact_by timestamptz,
    paused_since    timestamptz,
    paused_until    timestamptz,
    pauses          integer     not null,
    paused_ms       bigint      not null,
    flagged_at      timestamptz
) with (fillfactor = 70);

comment on table case_ladder is 'How far the current episode of a case has got on the ladder of its regime. Every case has a row; it is read and written under the lock of the case.';
comment on column case_ladder.case_id is 'The case.';
comment on column case_ladder.episode_at is 'Start of the episode. The rungs of regulator and supervisor count from here and never pause.';
comment on column case_ladder.ladder_from is 'Start of the other rungs: dispatch of the first notices, moved later by each pause.';
comment on column case_ladder.rungs_fired is 'Rungs that have fired, or were skipped, in this episode, in that order. The values are those of last_rung.';
comment on column case_ladder.rungs_fired_ms is 'For each of rungs_fired, the time at which the ladder has it, in milliseconds since the start of the episode. Kind and time together identify a rung, also after the policy has changed.';
comment on column case_ladder.last_rung is 'The last rung that fired in this episode. host: first notice; remind: reminder; next_contact: another delivery channel of the same provider; upstream and registrar: the parties above the host; regulator: the regulator''s list; supervisor: flagged for a supervisor.';
comment on column case_ladder.next_contact_by is 'Latest time for the next contact after an automatic reply, until a person answers; null otherwise.';
comment on column case_ladder.paused_since is 'Start of the current pause of the ladder.';
comment on column case_ladder.paused_until is 'Latest end of the current pause, by policy.';
comment on column case_ladder.pauses is 'Number of pauses in this episode.';
comment on column case_ladder.paused_ms is 'Total length of the finished pauses of this episode, in milliseconds.';
comment on column case_ladder.flagged_at is 'When the ladder flagged the case for a supervisor.';

create table case_removal (
    case_id              uuid        primary key references dispatch_case,
    claim_since          timestamptz,
    claim_until          timestamptz,
    checks               integer     not null,
    checks_agreed        integer     not null,
    checks_changed       integer     not null,
    watch_step           integer     not null,
    online_status        integer,
    online_length        bigint,
    online_etag          text,
    online_type          text,
    reviewed_fingerprint text,
    offline_fingerprints text[]      not null
) with (fillfactor = 70);

comment on table case_removal is 'What the checks of a case have found: the claim under check, the watch, and the pages that were seen. No row: nothing yet. It is read and written under the lock of the case.';
comment on column case_removal.case_id is 'The case.';
comment on column case_removal.claim_since is 'Since when a claim of removal, or a new report of removed content, is being checked; null if none is.';
comment on column case_removal.claim_until is 'Until when a claim under check defers the providers'' rungs.';
comment on column case_removal.checks is 'Checks counted since the last claim or the last contradicting result.';
comment on column case_removal.checks_agreed is 'How many of these found the URL offline.';
comment on column case_removal.checks_changed is 'How many of these found another page at the URL.';
comment on column case_removal.watch_step is 'Number of the next check of the watch, from 0.';
comment on column case_removal.online_status is 'Fingerprint while online: HTTP status.';
comment on column case_removal.online_length is 'Fingerprint while online: Content-Length in bytes.';
comment on column case_removal.online_etag is 'Fingerprint while online: digest of the ETag.';
comment on column case_removal.online_type is 'Fingerprint while online: Content-Type.';
comment on column case_removal.reviewed_fingerprint is 'Digest of the fingerprint of the changed page that the latest review is about; null if it had none.';
comment on column case_removal.offline_fingerprints is 'Digests of the fingerprints of pages that a person decided are not the material, the newest last.';

create table case_seal (
    case_id           uuid  primary key references dispatch_case,
    proof_body        bytea not null,
    proof_signature   bytea not null,
    proof_key         text  not null,
    wrapped_key       bytea not null,
    sealed_content    bytea not null,
    content_report_id uuid  not null,
    traceparent       text
);

comment on table case_seal is 'The part of a case that is fixed while its decision stands, in a table of its own so that dispatch_case stays narrow.';
comment on column case_seal.case_id is 'The case.';
comment on column case_seal.proof_body is 'The signed bytes of the approval proof.';
comment on column case_seal.proof_signature is 'Ed25519 signature by verification.';
comment on column case_seal.proof_key is 'Id of the key that signed.';
comment on column case_seal.wrapped_key is 'The case''s data key, wrapped by the key of its epoch.';
comment on column case_seal.sealed_content is 'URL and hashes, sealed under the data key and bound to content_report_id.';
comment on column case_seal.content_report_id is 'The report that the sealed content is bound to.';
comment on column case_seal.traceparent is 'W3C Trace Context of the decision''s event, if it was traced; the first delivery continues it.';

create table notice (
    id                  uuid        primary key,
    case_id             uuid        not null references dispatch_case,
    provider_id         text        not null,
    episode             integer     not null check (episode > 0),
    step                integer     not null check (step > 0),
    rung                text        not null check (rung in ('host', 'remind', 'next_contact', 'upstream', 'registrar', 'regulator', 'supervisor')),
    state               text        not null check (state in ('queued', 'sent', 'delivered', 'acknowledged', 'removal_claimed', 'removed', 'watched', 'closed', 'bounced', 'not_ours', 'need_information', 'need_time', 'preserved', 'disputed', 'no_action', 'escalated', 'moved', 'withdrawn')),
    sequence            integer     not null check (sequence > 0),
    message             text        not null check (message in ('notice', 'reminder', 'information', 'upheld', 'retraction')),
    channel             text        not null check (channel in ('api', 'webhook', 'email')),
    channels_tried      smallint    not null check (channels_tried between 0 and 7),
    listing_position    bigint      not null,
    opened_at           timestamptz not null,
    sent_at             timestamptz,
    delivered_at        timestamptz,
    acknowledged_at     timestamptz,
    removal_claimed_at  timestamptz,
    confirmed_at        timestamptz,
    acknowledge_due_at  timestamptz not null,
    due_at              timestamptz not null,
    overdue_from        timestamptz,
    answer              text        check (answer in ('acknowledged', 'removed', 'unavailable', 'moved', 'not_ours', 'preserved', 'need_information', 'need_time', 'disputed', 'no_action')),
    granted_until       timestamptz,
    preserved_at        timestamptz,
    named_provider_id   text,
    follow_up_done      boolean     not null,
    note                bytea,
    text                bytea,
    escalated_to        text        check (escalated_to in ('remind', 'next_contact', 'upstream', 'registrar', 'regulator', 'supervisor')),
    attempts            integer     not null check (attempts >= 0),
    false_claims        integer     not null check (false_claims >= 0),
    last_failure        text,
    returned_at         timestamptz,
    delayed_at          timestamptz,
    auto_replied_at     timestamptz,
    replied_at          timestamptz,
    unique (case_id, provider_id, episode, step)
) with (fillfactor = 70);

comment on table notice is 'A notice, unique for (case, provider, episode, step). A rung opens a new step; a message that is sent again belongs to the same notice.';
comment on column notice.id is 'UUID version 4, as XARF requires of report ids.';
comment on column notice.case_id is 'The case.';
comment on column notice.provider_id is 'The addressee.';
comment on column notice.episode is 'The episode of the case.';
comment on column notice.step is 'Number within (case, episode), from 1.';
comment on column notice.rung is 'The rung that opened the notice; host for the first. The values are those of case_ladder.last_rung.';
comment on column notice.state is 'queued: to be sent; sent: handed over, for the pull API listed; delivered: received, for the pull API read; acknowledged, removal_claimed, not_ours, need_information, need_time, preserved, disputed, no_action and moved: as answered; removed: removal confirmed; watched: during the watch; closed: the case or the episode ended; bounced: no delivery channel is left; escalated: the ladder went past it; withdrawn: the verdict was withdrawn.';
comment on column notice.sequence is 'Number of the newest message, from 1.';
comment on column notice.message is 'Kind of the newest message. notice: the first; reminder: the first message of a step that is a reminder or a next contact; information: answer to a question; upheld: the verdict was upheld; retraction: the verdict was withdrawn.';
comment on column notice.channel is 'Delivery channel. api: the provider pulls; webhook; email.';
comment on column notice.channels_tried is 'Delivery channels used so far, as bits: 1 api, 2 webhook, 4 email.';
comment on column notice.listing_position is 'Position in the provider''s listing, dense within the provider and assigned under the lock of provider_listing. It is the cursor of the listing.';
comment on column notice.opened_at is 'When the notice was opened.';
comment on column notice.sent_at is 'When it was handed over (pull API: listed).';
comment on column notice.delivered_at is 'When the provider received it (pull API: first read).';
comment on column notice.acknowledged_at is 'First answer of the provider.';
comment on column notice.removal_claimed_at is 'First claim of removal by the provider.';
comment on column notice.confirmed_at is 'When the removal was confirmed.';
comment on column notice.acknowledge_due_at is 'Deadline of the first answer.';
comment on column notice.due_at is 'Deadline of the removal.';
comment on column notice.overdue_from is 'The next deadline that applies to the notice; null if none does.';
comment on column notice.answer is 'The current answer, in the vocabulary of the provider API.';
comment on column notice.granted_until is 'With need_time: the time that was granted.';
comment on column notice.preserved_at is 'First answer that evidence is preserved.';
comment on column notice.named_provider_id is 'The provider that the addressee first named as the host, if the directory knew it.';
comment on column notice.follow_up_done is 'Whether the follow-up of the answers not_ours, moved and no_action was done; false before. A police hold defers it.';
comment on column notice.note is 'The provider''s question or dispute, sealed under the data key (purpose note, row id = notice).';
comment on column notice.text is 'Our text with the newest message, sealed under the data key (purpose answer, row id = notice).';
comment on column notice.escalated_to is 'The rung that escalated past the notice. The values are those of case_ladder.last_rung.';
comment on column notice.attempts is 'Attempts of finished deliveries.';
comment on column notice.false_claims is 'Claims of removal that checks refuted.';
comment on column notice.last_failure is 'Stable code of the failure that ended a delivery.';
comment on column notice.returned_at is 'When the newest message bounced.';
comment on column notice.delayed_at is 'When a mail server first reported a delay.';
comment on column notice.auto_replied_at is 'First automatic reply by mail; not an acknowledgement.';
comment on column notice.replied_at is 'First reply of a person by mail.';

create index notice_opened on notice (opened_at, id);
create index notice_listing on notice (provider_id, listing_position);
create index notice_state on notice (state, channel, opened_at);
create index notice_provider_state on notice (provider_id, state, opened_at);
create index notice_overdue on notice (overdue_from, id) where overdue_from is not null;
create index notice_false_claim on notice (provider_id, false_claims) where false_claims > 0;

create table regulator_list (
    case_id   uuid        not null references dispatch_case,
    episode   integer     not null,
    regime    text        not null,
    due_at    timestamptz not null,
    listed_at timestamptz not null,
    primary key (case_id, episode)
);

comment on table regulator_list is 'Cases to report to the regulator.';
comment on column regulator_list.case_id is 'The case.';
comment on column regulator_list.episode is 'The episode of the case.';
comment on column regulator_list.regime is 'The regime of the policy.';
comment on column regulator_list.due_at is 'When the rung was due.';
comment on column regulator_list.listed_at is 'When the rung fired.';

create table provider (
    provider_id text        primary key,
    role        text        not null check (role in ('host', 'cdn', 'registrar', 'upstream')),
    country     text        not null,
    asn         bigint      not null,
    cidrs       text[]      not null,
    domains     text[]      not null,
    upstream    text,
    registrar   text,
    origin      text,
    channel     text        not null check (channel in ('api', 'webhook', 'email')),
    row_id      uuid        not null,
    contact     bytea,
    changed_at  timestamptz not null
);

comment on table provider is 'The provider directory.';
comment on column provider.provider_id is 'Short name of lower-case letters, digits and hyphens.';
comment on column provider.role is 'host: stores the content; cdn: serves it for an origin; registrar: registered the domain; upstream: provides connectivity.';
comment on column provider.country is 'ISO 3166-1 alpha-2, or empty.';
comment on column provider.asn is 'Autonomous system number; 0 if not known.';
comment on column provider.cidrs is 'Its networks.';
comment on column provider.domains is 'Its domains, each with every name below it.';
comment on column provider.upstream is 'Its upstream provider.';
comment on column provider.registrar is 'The registrar of its domains.';
comment on column provider.origin is 'For a CDN: the provider of the origin.';
comment on column provider.channel is 'Preferred delivery channel. api: it pulls; webhook; email.';
comment on column provider.row_id is 'Id that the sealed values of the row are bound to.';
comment on column provider.contact is 'Abuse mailbox, sealed (purpose contact).';
comment on column provider.changed_at is 'Last change.';

create table directory_version (
    only_row boolean primary key default true check (only_row),
    version  bigint  not null
);
insert into directory_version (version) values (0);

comment on table directory_version is 'Version of the provider directory, so that readers know when to reload it. One row.';
comment on column directory_version.only_row is 'Always true.';
comment on column directory_version.version is 'Grows with each change.';

create table provider_listing (
    provider_id   text   primary key,
    last_position bigint not null check (last_position >= 0)
) with (fillfactor = 50);

comment on table provider_listing is 'The last position of each provider''s listing. Rows are locked last in a transaction and in ascending order, so that positions become visible in their order.';
comment on column provider_listing.provider_id is 'The provider.';
comment on column provider_listing.last_position is 'The highest position assigned to a notice.';

create table webhook_endpoint (
    endpoint_id           uuid        primary key,
    provider_id           text        not null references provider,
    address               bytea       not null,
    secret                bytea,
    previous_secret       bytea,
    previous_secret_until timestamptz,
    in_use                boolean     not null,
    used_since            timestamptz not null,
    created_at            timestamptz not null,
    retired_at            timestamptz
);

comment on table webhook_endpoint is 'Webhook endpoints of providers; at most one of each provider is in use.';
comment on column webhook_endpoint.endpoint_id is 'Id, which the sealed values are bound to.';
comment on column webhook_endpoint.provider_id is 'The provider.';
comment on column webhook_endpoint.address is 'URL, sealed (purpose endpoint).';
comment on column webhook_endpoint.secret is 'Shared secret of the v1 signatures of Standard Webhooks, sealed (purpose secret); null if none was requested.';
comment on column webhook_endpoint.previous_secret is 'The secret before the last rotation, sealed (purpose secret).';
comment on column webhook_endpoint.previous_secret_until is 'Until when messages are also signed with the previous secret.';
comment on column webhook_endpoint.in_use is 'Whether notices are sent to it.';
comment on column webhook_endpoint.used_since is 'When it was last set in use: an attempt that began earlier does not retire it.';
comment on column webhook_endpoint.created_at is 'When it was created.';
comment on column webhook_endpoint.retired_at is 'When it answered 410 Gone. It stays unused until it is set in use again or accepts a test.';

create unique index webhook_endpoint_in_use on webhook_endpoint (provider_id) where in_use;
create index webhook_endpoint_provider on webhook_endpoint (provider_id, created_at);

create table provider_key (
    key_id      uuid        primary key,
    provider_id text        not null references provider,
    secret_hash bytea       not null check (octet_length(secret_hash) = 32),
    scopes      text[]      not null,
    name        text        not null,
    created_at  timestamptz not null,
    created_by  uuid        not null,
    expires_at  timestamptz,
    revoked_at  timestamptz,
    vouched     bytea
);

comment on table provider_key is 'API keys of providers. Only a digest of the secret is stored.';
comment on column provider_key.key_id is 'Public part of the key.';
comment on column provider_key.provider_id is 'The provider.';
comment on column provider_key.secret_hash is 'SHA-256 of the secret (256 random bits).';
comment on column provider_key.scopes is 'read: list and read notices; answer: answer them; settings: change preferences, endpoints and keys.';
comment on column provider_key.name is 'Purpose of the key, as its owner named it.';
comment on column provider_key.created_at is 'When it was created.';
comment on column provider_key.created_by is 'Subject of the member of staff, or the provider''s key, that created it.';
comment on column provider_key.expires_at is 'The key is refused from then on; set when it is rotated.';
comment on column provider_key.revoked_at is 'The key is refused from then on.';
comment on column provider_key.vouched is 'Keyed MAC over key id, provider, secret hash and scopes, with its format and key id. A row without a valid MAC is refused, so that a row written by SQL grants nothing.';

create table idempotency_receipt (
    actor      text        not null,
    key        text        not null,
    body_mac   bytea       not null,
    reply      bytea       not null,
    replied_at timestamptz not null,
    primary key (actor, key)
);

comment on table idempotency_receipt is 'Replies given under idempotency keys, so that a repeated call gets the same reply. Kept for seven days.';
comment on column idempotency_receipt.actor is 'The caller.';
comment on column idempotency_receipt.key is 'The idempotency key that the caller chose.';
comment on column idempotency_receipt.body_mac is 'Keyed hash of the request.';
comment on column idempotency_receipt.reply is 'The reply as protobuf: states and codes; sealed if it contains a secret.';
comment on column idempotency_receipt.replied_at is 'Time of the reply.';

create index idempotency_receipt_age on idempotency_receipt (replied_at);

create table delivery (
    notice_id            uuid        primary key references notice,
    case_id              uuid        not null,
    provider_id          text        not null,
    channel              text        not null check (channel in ('webhook', 'email')),
    sequence             integer     not null check (sequence > 0),
    severity             smallint    not null check (severity >= 0),
    redelivery_requested boolean     not null,
    due_at               timestamptz not null,
    attempts             integer     not null check (attempts >= 0),
    in_doubt             boolean     not null,
    cancelled            boolean     not null,
    lease_token          uuid,
    lease_until          timestamptz,
    last_failure         text
) with (fillfactor = 70);

comment on table delivery is 'The message about a notice that is still to be delivered. A notice without a row has none.';
comment on column delivery.notice_id is 'The notice; every attempt is made under its id.';
comment on column delivery.case_id is 'Its case, whose row is locked first.';
comment on column delivery.provider_id is 'The addressee.';
comment on column delivery.channel is 'webhook or email; a provider that pulls has no deliveries.';
comment on column delivery.sequence is 'Sequence number of the message. A newer message replaces one that was not delivered.';
comment on column delivery.severity is 'From the category of the case: 0 is the most severe and is sent first.';
comment on column delivery.redelivery_requested is 'The addressee requested the message again: it is sent even if no answer is pending.';
comment on column delivery.due_at is 'When it may be claimed: the time of the next attempt, or the end of the current lease.';
comment on column delivery.attempts is 'Attempts of this message, counted when they start.';
comment on column delivery.in_doubt is 'An attempt started whose outcome is unknown, or that failed but may have arrived.';
comment on column delivery.cancelled is 'Not to be sent any more; the row remains until its current attempt ends.';
comment on column delivery.lease_token is 'Random token of the worker that claimed it.';
comment on column delivery.lease_until is 'End of that claim.';
comment on column delivery.last_failure is 'Stable code of the last failed attempt.';

create index delivery_due on delivery (provider_id, channel, severity, due_at);
create index delivery_case on delivery (case_id);

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

comment on table delivery_attempt is 'Finished delivery attempts, which their addressee can list. Kept for thirty days.';
comment on column delivery_attempt.attempt_id is 'Ascending; the cursor of the listing.';
comment on column delivery_attempt.provider_id is 'The addressee.';
comment on column delivery_attempt.message_id is 'Message id as the addressee sees it.';
comment on column delivery_attempt.notice_id is 'The notice; null for a test.';
comment on column delivery_attempt.endpoint_id is 'For a webhook: the endpoint.';
comment on column delivery_attempt.channel is 'webhook or email.';
comment on column delivery_attempt.attempt is 'Number of the attempt of this message, from 1.';
comment on column delivery_attempt.outcome is 'delivered, or the stable code of the failure.';
comment on column delivery_attempt.http_status is 'Status of the HTTP response, if there was one.';
comment on column delivery_attempt.started_at is 'When it started.';
comment on column delivery_attempt.took_millis is 'Duration in milliseconds.';

create index delivery_attempt_provider on delivery_attempt (provider_id, attempt_id);
create index delivery_attempt_notice on delivery_attempt (notice_id, attempt_id) where notice_id is not null;
create index delivery_attempt_age on delivery_attempt (started_at);

create table endpoint_health (
    provider_id text        not null,
    channel     text        not null check (channel in ('webhook', 'email')),
    failures    integer     not null check (failures >= 0),
    open_until  timestamptz,
    retry_after timestamptz,
    primary key (provider_id, channel)
) with (fillfactor = 50);

comment on table endpoint_health is 'Circuit breakers: health of each provider''s webhook and mailbox. No row: healthy.';
comment on column endpoint_health.provider_id is 'The provider.';
comment on column endpoint_health.channel is 'webhook or email.';
comment on column endpoint_health.failures is 'Consecutive failed attempts.';
comment on column endpoint_health.open_until is 'The breaker is open until then; afterwards one attempt at a time is made.';
comment on column endpoint_health.retry_after is 'The provider requested no attempts until then (Retry-After).';

create table url_check (
    case_id     uuid        primary key references dispatch_case,
    due_at      timestamptz not null,
    host_hash   bigint,
    lease_token uuid
) with (fillfactor = 70);

comment on table url_check is 'Scheduled checks: whether a case''s URL is still online.';
comment on column url_check.case_id is 'The case.';
comment on column url_check.due_at is 'When the check is due; during a check, the end of its claim.';
comment on column url_check.host_hash is 'Keyed hash of the host, by which concurrent checks of one host are limited; null before the first check.';
comment on column url_check.lease_token is 'Random token of the worker that claimed the check; cleared when a new time is set, so that the running check does not count.';

create index url_check_due on url_check (due_at);
