-- Dispatch: cases as far as their removal goes, the notices about them, who can remove what, and the clocks.
-- Runs in the service's own schema behind the event log's tables. The case row is the root: whoever changes a
-- notice holds its lock.

create table case_file (
    case_id             uuid        primary key,
    decision_id         uuid        not null,
    category            text        not null check (category in ('A', 'B', 'C')),
    media               text        check (media in ('image', 'video', 'text')),
    received_at         timestamptz not null,
    verified_at         timestamptz not null,
    live                text        not null check (live in ('up', 'gone', 'watched', 'held', 'exhausted', 'closed', 'withdrawn')),
    resumes             text        check (resumes in ('up', 'gone', 'watched', 'exhausted')),
    held_since          timestamptz,
    regime              text        not null,
    policy_version      text        not null,
    episode             integer     not null check (episode >= 0),
    steps               integer     not null check (steps >= 0),
    episode_at          timestamptz,
    ladder_from         timestamptz,
    rungs_fired         integer     not null,
    last_rung           text        check (last_rung in ('host', 'remind', 'next_contact', 'upstream', 'registrar', 'regulator', 'supervisor')),
    paused_since        timestamptz,
    paused_until        timestamptz,
    pauses              integer     not null,
    paused_ms           bigint      not null,
    claim_since         timestamptz,
    claim_until         timestamptz,
    checks              integer     not null,
    agreed              integer     not null,
    changed             integer     not null,
    watch_step          integer     not null,
    seen_status         integer,
    seen_length         bigint,
    seen_etag           text,
    seen_type           text,
    dispatched_at       timestamptz,
    delivered_at        timestamptz,
    acknowledged_at     timestamptz,
    removal_claimed_at  timestamptz,
    confirmed_at        timestamptz,
    closed_at           timestamptz,
    flagged_at          timestamptz,
    moves               integer     not null,
    review_id           uuid,
    review_reason       text        check (review_reason in ('disputed', 'soft_404', 'no_contact', 'onion', 'reappeared_changed')),
    resolve_at          timestamptz,
    due_at              timestamptz,
    unsettled           boolean     not null
) with (fillfactor = 70);

comment on table case_file is 'One URL under removal. Root of its notices: its lock comes first.';
comment on column case_file.case_id is 'Identity, given by intake.';
comment on column case_file.decision_id is 'The decision of verification that the notices stand on.';
comment on column case_file.category is 'Severity: A is the worst.';
comment on column case_file.media is 'image, video or text, where the report said so.';
comment on column case_file.received_at is 'Clock `received`: the first report of the case.';
comment on column case_file.verified_at is 'Clock `verified`: the decision.';
comment on column case_file.live is 'up; gone: confirmed and no watch yet; watched: confirmed, looked at again on a schedule; held: by the police; exhausted: every rung has fired and it is up; closed: the watch is over; withdrawn: the verdict was taken back.';
comment on column case_file.resumes is 'While held: the state to return to.';
comment on column case_file.held_since is 'While held: since when.';
comment on column case_file.regime is 'The regime of the policy whose clocks hold.';
comment on column case_file.policy_version is 'The version of the policy at the opening of the episode.';
comment on column case_file.episode is 'Counts appearances; 0 before the first notice.';
comment on column case_file.steps is 'Steps opened in this episode.';
comment on column case_file.episode_at is 'When the episode was dispatched; the rungs of regulator and supervisor count from here and never pause.';
comment on column case_file.ladder_from is 'As episode_at, moved later by each pause: the other rungs count from here.';
comment on column case_file.rungs_fired is 'Bit n: rung n of the regime has fired, or was skipped, in this episode.';
comment on column case_file.last_rung is 'The last rung that fired in this episode.';
comment on column case_file.paused_since is 'Since when the ladder is paused by a provider''s word.';
comment on column case_file.paused_until is 'When the pause ends at the latest, by policy.';
comment on column case_file.pauses is 'Pauses taken in this episode.';
comment on column case_file.paused_ms is 'Milliseconds of pauses that are over, in this episode.';
comment on column case_file.claim_since is 'Since when a removal is being checked; null when none is.';
comment on column case_file.claim_until is 'Until when a claim under check keeps provider rungs from firing.';
comment on column case_file.checks is 'Checks counted since the last claim or the last contradiction.';
comment on column case_file.agreed is 'Of these, how many found it gone.';
comment on column case_file.changed is 'Of these, how many found something else at the same place.';
comment on column case_file.watch_step is 'Which look of the watch comes next.';
comment on column case_file.seen_status is 'HTTP status when it was seen up.';
comment on column case_file.seen_length is 'Content-Length when it was seen up, bytes.';
comment on column case_file.seen_etag is 'Digest of the ETag when it was seen up.';
comment on column case_file.seen_type is 'Content-Type when it was seen up.';
comment on column case_file.dispatched_at is 'Clock `dispatched`: the first notice was opened.';
comment on column case_file.delivered_at is 'Clock `delivered`: the first delivery.';
comment on column case_file.acknowledged_at is 'Clock `acknowledged`: the first answer.';
comment on column case_file.removal_claimed_at is 'Clock `removal_claimed`: the first claim.';
comment on column case_file.confirmed_at is 'Clock `confirmed_removed` of the present episode; null while it is up.';
comment on column case_file.closed_at is 'When the watch ended, or the verdict was withdrawn.';
comment on column case_file.flagged_at is 'When the ladder called a supervisor.';
comment on column case_file.moves is 'How often the host changed.';
comment on column case_file.review_id is 'A question to verification that has no answer yet.';
comment on column case_file.review_reason is 'What that question is.';
comment on column case_file.resolve_at is 'When the host is looked up by DNS next; null when that is done or not needed.';
comment on column case_file.due_at is 'The next timer: a rung, the end of a pause.';
comment on column case_file.unsettled is 'Work is still to come: a delivery, a timer, a check or a question.';

create index case_file_live on case_file (live, received_at);
create index case_file_due on case_file (category, due_at) where due_at is not null;
create index case_file_resolve on case_file (resolve_at) where resolve_at is not null;
create index case_file_unsettled on case_file (case_id) where unsettled;
create index case_file_escalated on case_file (last_rung) where live = 'exhausted';
create index case_file_moved on case_file (moves) where moves > 0;
create index case_file_again on case_file (episode) where episode > 1;

create table case_seal (
    case_id         uuid  primary key references case_file,
    proof_body      bytea not null,
    proof_signature bytea not null,
    proof_key       text  not null,
    wrapped_key     bytea not null,
    sealed_item     bytea not null,
    item_report_id  uuid  not null
);

comment on table case_seal is 'What never changes while a decision stands, kept apart so that the hot row stays small.';
comment on column case_seal.case_id is 'The case.';
comment on column case_seal.proof_body is 'The approval proof as it was signed.';
comment on column case_seal.proof_signature is 'Ed25519, by verification.';
comment on column case_seal.proof_key is 'The key that signed.';
comment on column case_seal.wrapped_key is 'The case''s data key, wrapped by its epoch''s key.';
comment on column case_seal.sealed_item is 'URL and hashes under the data key, bound to item_report_id.';
comment on column case_seal.item_report_id is 'The report that the sealed item is bound to.';

create table notice (
    id                  uuid        primary key,
    case_id             uuid        not null references case_file,
    provider_id         text        not null,
    episode             integer     not null check (episode > 0),
    step                integer     not null check (step > 0),
    rung                text        not null check (rung in ('host', 'remind', 'next_contact', 'upstream', 'registrar', 'regulator', 'supervisor')),
    state               text        not null check (state in ('queued', 'sent', 'delivered', 'acknowledged', 'removal_claimed', 'removed', 'watched', 'closed', 'bounced', 'not_ours', 'need_information', 'need_time', 'preserved', 'disputed', 'no_action', 'escalated', 'moved', 'withdrawn')),
    sequence            integer     not null check (sequence > 0),
    message             text        not null check (message in ('notice', 'reminder', 'information', 'upheld', 'retraction')),
    channel             text        not null check (channel in ('api', 'webhook', 'email')),
    tried               smallint    not null,
    feed                bigint      not null,
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
    until               timestamptz,
    preserved_at        timestamptz,
    note                bytea,
    text                bytea,
    escalated_to        text        check (escalated_to in ('remind', 'next_contact', 'upstream', 'registrar', 'regulator', 'supervisor')),
    attempts            integer     not null check (attempts >= 0),
    false_claims        integer     not null check (false_claims >= 0),
    last_failure        text,
    unique (case_id, provider_id, episode, step)
) with (fillfactor = 70);

comment on table notice is 'One notice: unique for (case, provider, episode, step). A rung opens a new step; a resend is the same notice.';
comment on column notice.id is 'UUID version 4, as XARF asks of report ids.';
comment on column notice.case_id is 'The case.';
comment on column notice.provider_id is 'The addressee.';
comment on column notice.episode is 'The appearance of the case that it is about.';
comment on column notice.step is 'Counts up within (case, episode).';
comment on column notice.rung is 'The rung that opened it; host for the first.';
comment on column notice.state is 'Where it stands; see the lifecycle.';
comment on column notice.sequence is 'Grows with each message about it; the first is 1.';
comment on column notice.message is 'What the newest message is.';
comment on column notice.channel is 'How it goes out.';
comment on column notice.tried is 'Channels used so far: 1 api, 2 webhook, 4 email.';
comment on column notice.feed is 'Dense within the provider, drawn under the lock of provider_feed: the cursor of the provider''s listing.';
comment on column notice.opened_at is 'When it was opened.';
comment on column notice.sent_at is 'When it was handed over (pull API: listed).';
comment on column notice.delivered_at is 'When the provider had it (pull API: first read).';
comment on column notice.acknowledged_at is 'When the provider first answered.';
comment on column notice.removal_claimed_at is 'When the provider first said that it is gone.';
comment on column notice.confirmed_at is 'When checks agreed that it is gone.';
comment on column notice.acknowledge_due_at is 'When an answer is due.';
comment on column notice.due_at is 'When removal is due.';
comment on column notice.overdue_from is 'The next clock of it to run out; null when none runs.';
comment on column notice.answer is 'The answer that stands.';
comment on column notice.until is 'With need_time: as granted.';
comment on column notice.preserved_at is 'When the provider said that evidence is kept.';
comment on column notice.note is 'The provider''s question or dispute, sealed under the data key (note, row = notice).';
comment on column notice.text is 'Our words with the newest message, sealed under the data key (answer, row = notice).';
comment on column notice.escalated_to is 'The rung that went past it.';
comment on column notice.attempts is 'Attempts of deliveries that are over.';
comment on column notice.false_claims is 'Claims of removal that checks refuted.';
comment on column notice.last_failure is 'Stable code of the failure that ended a delivery.';

create index notice_opened on notice (opened_at, id);
create index notice_feed on notice (provider_id, feed);
create index notice_state on notice (state, channel, opened_at);
create index notice_provider_state on notice (provider_id, state, opened_at);
create index notice_overdue on notice (overdue_from, id) where overdue_from is not null;
create index notice_false_claim on notice (provider_id, false_claims) where false_claims > 0;

create table regulator_list (
    case_id   uuid        not null references case_file,
    episode   integer     not null,
    regime    text        not null,
    due_at    timestamptz not null,
    listed_at timestamptz not null,
    primary key (case_id, episode)
);

comment on table regulator_list is 'Cases that the regulator is told of.';
comment on column regulator_list.case_id is 'The case.';
comment on column regulator_list.episode is 'The appearance.';
comment on column regulator_list.regime is 'Under which regime.';
comment on column regulator_list.due_at is 'When the rung was due.';
comment on column regulator_list.listed_at is 'When it fired.';

create table provider (
    provider_id    text        primary key,
    role           text        not null check (role in ('host', 'cdn', 'registrar', 'upstream')),
    country        text        not null,
    asn            bigint      not null,
    cidrs          text[]      not null,
    domains        text[]      not null,
    upstream       text,
    registrar      text,
    origin         text,
    channel        text        not null check (channel in ('api', 'webhook', 'email')),
    row_id         uuid        not null,
    contact        bytea,
    webhook        bytea,
    changed_at     timestamptz not null
);

comment on table provider is 'The directory: who can remove what.';
comment on column provider.provider_id is 'A short name.';
comment on column provider.role is 'What it is to a URL.';
comment on column provider.country is 'ISO 3166-1 alpha-2, or empty.';
comment on column provider.asn is 'Autonomous system; 0 where not known.';
comment on column provider.cidrs is 'Its networks.';
comment on column provider.domains is 'Its names, each with every name below it.';
comment on column provider.upstream is 'Who gives it connectivity.';
comment on column provider.registrar is 'Who registered its names.';
comment on column provider.origin is 'Of a CDN: who serves behind it.';
comment on column provider.channel is 'How it wants notices.';
comment on column provider.row_id is 'What its sealed values are bound to.';
comment on column provider.contact is 'Abuse mailbox, sealed (contact).';
comment on column provider.webhook is 'Webhook address, sealed (endpoint).';
comment on column provider.changed_at is 'When it was last written.';

create table provider_feed (
    provider_id text   primary key,
    position    bigint not null check (position >= 0)
) with (fillfactor = 50);

comment on table provider_feed is 'Heads of the providers'' listings. Locked last in a transaction, ascending, so that the order of positions is the order of commit.';
comment on column provider_feed.provider_id is 'The provider.';
comment on column provider_feed.position is 'The highest position given.';

create table directory_version (
    only_row boolean primary key default true check (only_row),
    version  bigint  not null
);
insert into directory_version (version) values (0);

comment on table directory_version is 'Grows with each change of the directory, so that readers know when to load it again.';
comment on column directory_version.only_row is 'Always true.';
comment on column directory_version.version is 'Counts changes.';

create table provider_key (
    key_id      uuid        primary key,
    provider_id text        not null references provider,
    secret_hash bytea       not null check (octet_length(secret_hash) = 32),
    scopes      text[]      not null,
    created_at  timestamptz not null,
    created_by  uuid        not null,
    revoked_at  timestamptz
);

comment on table provider_key is 'Keys of providers'' own access. Only a digest of the secret is kept.';
comment on column provider_key.key_id is 'Part of the key, public.';
comment on column provider_key.provider_id is 'Whose it is.';
comment on column provider_key.secret_hash is 'SHA-256 of the secret (256 random bits).';
comment on column provider_key.scopes is 'read, answer, settings.';
comment on column provider_key.created_at is 'When.';
comment on column provider_key.created_by is 'Subject of the member of staff.';
comment on column provider_key.revoked_at is 'Refused from then on.';

create table answer_receipt (
    actor    text        not null,
    key      text        not null,
    body_mac bytea       not null,
    reply    bytea       not null,
    given_at timestamptz not null,
    primary key (actor, key)
);

comment on table answer_receipt is 'What was said under an idempotency key, so that a repeat hears the same.';
comment on column answer_receipt.actor is 'Who.';
comment on column answer_receipt.key is 'The key that the caller chose.';
comment on column answer_receipt.body_mac is 'Keyed hash of the request under that key.';
comment on column answer_receipt.reply is 'The reply, as protobuf: states and codes only.';
comment on column answer_receipt.given_at is 'When; receipts are kept for seven days.';

create index answer_receipt_age on answer_receipt (given_at);
