-- Cases under assessment, what decides them, and the staff who do. The event log is set up before this one.

create table assessment (
    case_id           uuid        primary key,               -- from intake; permanent
    state             text        not null check (state in (
                          'queued',             -- waits for a first analyst
                          'claimed',            -- an analyst has it; `desk` says for what
                          'awaiting_second',    -- passed on, or a first verdict that needs a second analyst
                          'actionable',         -- decided: against the law
                          'not_actionable',     -- decided: nothing is done
                          'needs_information',  -- cannot be decided on what is there; the next report re-opens it
                          'police_hold',        -- nothing happens until the hold ends; `held_from` says where it goes then
                          'under_review',       -- an actionable verdict is looked at once more
                          'withdrawn')),        -- an actionable verdict was taken back
    desk              text        check (desk in ('first', 'second', 'review')),
    held_from         text        check (held_from in ('queued', 'awaiting_second', 'under_review', 'actionable', 'not_actionable', 'needs_information', 'withdrawn')),
    priority          integer     not null,                  -- higher is more urgent; computed from the facts below
    reports           integer     not null check (reports > 0),           -- reports of this URL, withdrawn ones too
    reports_withdrawn integer     not null check (reports_withdrawn >= 0), -- of them, taken back by the reporter
    self_reported     boolean     not null,                  -- a young person reported an image of themselves
    under_13          boolean     not null,                  -- a report said that the child is under 13
    hash_kinds        smallint    not null,                  -- kinds of hash that came with the reports: bits md5 1, sha1 2, sha256 4, pdq 8
    claimed_by        uuid,                                  -- subject of the analyst who has it
    claim_token       uuid,                                  -- names the claim; a decision needs it
    claimed_until     timestamptz,                           -- when the claim falls back by itself
    claim_attempts    integer     not null,                  -- claims so far
    spent_token       uuid,                                  -- the last claim that ended, so that a repeated decision is recognised
    spent_verdict     text,                                  -- how it ended
    not_for           uuid[]      not null,                  -- subjects who must not claim it now: they passed it on or decided it
    first_by          uuid,                                  -- whose first verdict waits for a second analyst
    first_category    text        check (first_category in ('A', 'B', 'C')),
    decision_id       uuid,                                  -- the standing or last decision
    category          text        check (category in ('A', 'B', 'C')),
    reason            text        check (reason in ('not_illegal', 'not_found', 'out_of_scope')),
    basis             text,                                  -- `analyst`, `list:<name>@<version>` or `rule:<id>@<version>`
    decided_by        text        generated always as (split_part(basis, ':', 1)) stored, -- analyst, list or rule
    approvers         uuid[]      not null,                  -- subjects who stand behind the decision
    decided_at        timestamptz,
    proof_body        bytea,                                 -- the signed bytes of the approval proof
    proof_signature   bytea,                                 -- Ed25519
    proof_key_id      text,
    proof_expires_at  timestamptz,
    review            text        check (review in ('disputed', 'soft_404', 'no_contact', 'onion', 'reappeared_changed')), -- why it is under review
    for_supervisor    boolean     not null,                  -- the review asks for a supervisor, not for another look at the page
    dispatch_closed   boolean     not null,                  -- dispatch has closed the case; a new report makes it look again
    hold_id           uuid,                                  -- the present or last police hold
    hold_until        timestamptz,                           -- when the present hold ends by itself
    matched_epoch     bigint      not null,                  -- state of lists and rules that it was last matched against
    version           bigint      not null check (version > 0), -- grows with each change that a decision rests on; a joining report is none
    cause             uuid        not null,                  -- the last event heard about the case: the cause of what is said of it next
    media             text        check (media in ('image', 'video', 'text')), -- where the first report said so
    received_at       timestamptz not null,                  -- of the first report: the case's `received` clock
    wrapped_key       bytea       not null,                  -- the case's data key, wrapped by its epoch
    sealed_item       bytea       not null,                  -- URL and hashes of the first report, sealed
    report_id         uuid        not null,                  -- the first report, to which the item is bound
    check ((state = 'claimed') = (desk is not null)),
    check ((state = 'police_hold') = (held_from is not null)),
    check ((claim_token is null) = (claimed_by is null) and (claim_token is null) = (claimed_until is null)),
    check (state <> 'claimed' or claim_token is not null),
    check (state <> 'actionable' or (decision_id is not null and category is not null and proof_body is not null)),
    check (state <> 'not_actionable' or (decision_id is not null and reason is not null))
) with (fillfactor = 80, autovacuum_vacuum_scale_factor = 0.02, autovacuum_analyze_scale_factor = 0.05);

comment on table assessment is 'One row a case: where it stands with verification. The root that every change of a case locks first.';

-- The order in which the queue is worked.
create index assessment_queue on assessment (priority desc, received_at, case_id)
    where state in ('queued', 'claimed', 'awaiting_second', 'under_review');
-- Lists by state, and the counts without reading the rows.
create index assessment_state on assessment (state, priority desc, received_at, case_id) include (decided_by);
create index assessment_claims on assessment (claimed_until) where state = 'claimed';
create index assessment_holds on assessment (hold_until) where state = 'police_hold';
create index assessment_unmatched on assessment (matched_epoch) where state in ('queued', 'needs_information');

create table report (
    report_id    uuid    primary key,
    case_id      uuid    not null,     -- written with its case, under its lock: a foreign key would only check that again
    withdrawn    boolean not null,     -- taken back by its reporter
    sealed_item  bytea                 -- kept only where it has a hash that is matched by nearness
);
comment on table report is 'Reports heard from intake: each counts once.';
create index report_case on report (case_id);

create table report_tag (
    tag     bytea not null,            -- keyed hash of a hash; never the hash
    case_id uuid  not null,
    primary key (case_id, tag)
);
comment on table report_tag is 'Hashes that reports of a case came with, as tags.';

create table review (
    review_id    uuid        primary key,   -- drawn by dispatch
    case_id      uuid        not null references assessment,
    reason       text        not null,      -- as in assessment.review
    notice_id    uuid,                      -- the notice that gave rise to it, if one did
    sealed_note  bytea,                     -- the provider's words, sealed under the case's key
    requested_at timestamptz not null,
    closed_at    timestamptz,
    outcome      text        check (outcome in ('upheld', 'withdrawn'))
);
comment on table review is 'Questions about a standing verdict.';
create index review_open on review (case_id) where closed_at is null;

create table judgement (
    id          uuid        primary key,
    case_id     uuid        not null,
    act         text        not null,  -- actionable, first_of_two, not_actionable, second_look, needs_information, uphold, withdraw, hold, release
    actor       text        not null,  -- `staff:<subject>` or `system:<name>`
    basis       text,                  -- for a verdict: what it rests on
    finding     text,                  -- for a verdict: category or reason
    decision_id uuid,                  -- for a verdict: its decision
    sealed_note bytea,                 -- a person's reason, sealed under the case's key; row = id
    at          timestamptz not null
);
comment on table judgement is 'Every act on a case, in order of id: who, what, on what ground. Only ever added to.';
create index judgement_case on judgement (case_id, id);

create table reveal (
    id      uuid        primary key,
    subject uuid        not null,      -- who saw it
    case_id uuid        not null,
    at      timestamptz not null
);
comment on table reveal is 'Each opening of a URL by a person, counted against the exposure budget of their shift.';
create index reveal_subject on reveal (subject, at);

create table knowledge (
    one   boolean primary key default true check (one),
    epoch bigint  not null
);
comment on table knowledge is 'One row: how often the approved lists and rules have changed. Who holds them in memory compares.';
insert into knowledge (epoch) values (1);

create table hash_list (
    list        text        not null,
    version     integer     not null check (version > 0),
    entries     bigint      not null,   -- hashes added by this version
    imported_by uuid[]      not null,   -- subjects who added to it
    approved_by uuid,                   -- null while open; never one of the importers
    approved_at timestamptz,
    primary key (list, version),
    check (approved_by is null or not (approved_by = any (imported_by)))
);
comment on table hash_list is 'Versions of lists of known material. A version is open until another person approves it; a later version adds to and corrects the earlier ones.';

create table hash_entry (
    tag         bytea   not null,       -- keyed hash of (kind, hash)
    list        text    not null,
    version     integer not null,
    category    text    check (category in ('A', 'B', 'C')),
    reason      text    check (reason in ('not_illegal', 'not_found', 'out_of_scope')),
    entry_id    uuid    not null,       -- to which the sealed hash is bound
    sealed_hash bytea,                  -- only where the kind is matched by nearness
    primary key (tag, list, version),
    foreign key (list, version) references hash_list (list, version),
    check ((category is null) <> (reason is null))
);
comment on table hash_entry is 'What the lists say of each hash.';
create index hash_entry_near on hash_entry (list, version) where sealed_hash is not null;

create table rule (
    rule_id      uuid        not null,
    version      integer     not null check (version > 0),
    sealed_match bytea       not null,  -- host and path prefix, sealed
    sealed_note  bytea       not null,  -- why, in the proposer's words, sealed
    category     text        check (category in ('A', 'B', 'C')),
    reason       text        check (reason in ('not_illegal', 'not_found', 'out_of_scope')),
    proposed_by  uuid        not null,
    proposed_at  timestamptz not null,
    approved_by  uuid        check (approved_by <> proposed_by),
    approved_at  timestamptz,
    retired_at   timestamptz,           -- with all its versions
    retired_by   uuid,
    primary key (rule_id, version),
    check ((category is null) <> (reason is null))
);
comment on table rule is 'Standing rules by host. The highest approved version of a rule that is not retired decides.';

create table staff (
    subject       uuid        primary key,
    name          text        not null,
    password_hash text        not null,      -- argon2id, PHC form
    roles         text[]      not null check (roles <@ array['analyst', 'supervisor', 'operator', 'auditor'] and roles <> '{}'),
    created_at    timestamptz not null,
    revoked_at    timestamptz                -- signed out everywhere, for good
);
comment on table staff is 'Local accounts.';
create unique index staff_name on staff (lower(name));

create table session (
    session_hash bytea       primary key,    -- SHA-256 of the opaque id (256 random bits)
    session_id   uuid        not null unique,-- names the session in tokens
    subject      uuid        not null references staff,
    created_at   timestamptz not null,
    used_at      timestamptz not null,       -- to the minute
    expires_at   timestamptz not null,       -- moves on with use
    revoked_at   timestamptz
);
comment on table session is 'Signed-in staff.';
create index session_subject on session (subject) where revoked_at is null;
create index session_expiry on session (expires_at);

create table sign_in_failure (
    name_hash   bytea       primary key,     -- SHA-256 of the name as asked for, known or not
    failures    integer     not null,
    began_at    timestamptz not null         -- start of the window in which they are counted
);
comment on table sign_in_failure is 'Failed sign-ins by name.';
create index sign_in_failure_age on sign_in_failure (began_at);
