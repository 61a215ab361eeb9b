-- Assessments of cases, what decides them (analysts, hash lists, rules), and the staff. The event log is a
-- migration set of its own that runs first.

create table assessment (
    case_id            uuid        primary key,
    state              text        not null check (state in (
                           'queued', 'claimed', 'awaiting_second_opinion', 'actionable',
                           'not_actionable', 'needs_information', 'police_hold', 'under_review',
                           'withdrawn')),
    stage              text        check (stage in ('first', 'second', 'review')),
    held_from          text        check (held_from in (
                           'queued', 'awaiting_second_opinion', 'under_review', 'actionable',
                           'not_actionable', 'needs_information', 'withdrawn')),
    priority           integer     not null,
    version            bigint      not null check (version > 0),
    cause              uuid        not null,
    -- The first report.
    report_id          uuid        not null,
    received_at        timestamptz not null,
    media              text        check (media in ('image', 'video', 'text')),
    traceparent        text,
    wrapped_key        bytea       not null,
    sealed_content     bytea       not null,
    -- All reports.
    reports            integer     not null check (reports > 0),
    reports_withdrawn  integer     not null check (reports_withdrawn >= 0),
    self_reported      boolean     not null,
    under_13           boolean     not null,
    hash_kinds         smallint    not null,
    submitted_by       uuid[]      not null,
    matched_version    bigint      not null,
    -- The claim.
    claimed_by         uuid,
    claim_token        uuid,
    claimed_until      timestamptz,
    claim_attempts     integer     not null,
    ended_claim_token  uuid,
    ended_claim_result text,
    excluded_staff     uuid[]      not null,
    -- The decision.
    first_by           uuid,
    first_category     text        check (first_category in ('A', 'B', 'C')),
    decision_id        uuid,
    category           text        check (category in ('A', 'B', 'C')),
    reason             text        check (reason in ('not_illegal', 'not_found', 'out_of_scope')),
    basis              text,
    decided_by         text        generated always as (split_part(basis, ':', 1)) stored,
    approvers          uuid[]      not null,
    decided_at         timestamptz,
    withdrawn_bases    text[]      not null,
    proof_body         bytea,
    proof_signature    bytea,
    proof_key_id       text,
    proof_expires_at   timestamptz,
    -- Reviews, police holds and dispatch.
    review             text        check (review in (
                           'disputed', 'soft_404', 'no_contact', 'onion', 'reappeared_changed', 'replied')),
    needs_supervisor   boolean     not null,
    police_hold_id     uuid,
    police_hold_until  timestamptz,
    dispatch_opened    boolean     not null,
    dispatch_closed    boolean     not null,
    reannounce_due     boolean     not null,
    check ((state = 'claimed') = (stage is not null)),
    check ((state = 'police_hold') = (held_from is not null)),
    check ((claim_token is null) = (claimed_by is null) and (claim_token is null) = (claimed_until is null)),
    check (state <> 'claimed' or claim_token is not null),
    check (state <> 'actionable'
        or (decision_id is not null and category is not null and proof_body is not null)),
    check (state <> 'not_actionable' or (decision_id is not null and reason is not null))
) with (fillfactor = 80, autovacuum_vacuum_scale_factor = 0.02, autovacuum_analyze_scale_factor = 0.05);

comment on table assessment is
    'Verification''s record of each case. Every change of a case locks its row first.';
comment on column assessment.case_id is 'Assigned by intake; never changes.';
comment on column assessment.state is
    'queued: waits for a first analyst; claimed: an analyst has it, `stage` states for what; '
    'awaiting_second_opinion: passed on, or a first verdict that needs a second analyst; actionable: '
    'decided, illegal; not_actionable: decided, no action; needs_information: cannot be decided yet, the '
    'next report puts it back into the queue; police_hold: nothing happens until the hold ends, then it '
    'returns to `held_from`; under_review: an actionable verdict is being reviewed; withdrawn: an '
    'actionable verdict was withdrawn.';
comment on column assessment.stage is
    'Of a claimed case, what it was claimed for. first: a first verdict; second: a second opinion; review: '
    'the review of a verdict.';
comment on column assessment.held_from is 'State to which the case returns when its police hold ends.';
comment on column assessment.priority is
    'Higher is more urgent. Computed by src/priority.rs from other columns of the row.';
comment on column assessment.version is
    'Grows with every change that a decision depends on; a further report is not one. A decision names the '
    'version that it was made on.';
comment on column assessment.cause is
    'Last event received about the case; recorded as the cause of the events that follow.';
comment on column assessment.report_id is 'The first report, to which `sealed_content` is bound.';
comment on column assessment.received_at is
    'When the first report was received; the received-to-confirmed clock starts here.';
comment on column assessment.media is 'image, video or text, if the first report stated it.';
comment on column assessment.traceparent is
    'W3C Trace Context of the first report, if it was traced; the decision continues that trace.';
comment on column assessment.wrapped_key is 'The case''s data key, wrapped by its epoch''s key.';
comment on column assessment.sealed_content is 'URL and hashes of the first report, sealed.';
comment on column assessment.reports is 'Number of reports of the URL, withdrawn ones included.';
comment on column assessment.reports_withdrawn is 'How many of them their reporters have withdrawn.';
comment on column assessment.self_reported is 'A young person reported an image of themselves.';
comment on column assessment.under_13 is 'A report stated that the child is under 13.';
comment on column assessment.hash_kinds is
    'Kinds of hash that came with the reports, as bits. 1: MD5; 2: SHA-1; 4: SHA-256; 8: PDQ.';
comment on column assessment.submitted_by is 'Staff who reported the URL. They never decide the case.';
comment on column assessment.matched_version is
    'The `matching_version` against which the case was last matched; 0 requests a new match.';
comment on column assessment.claimed_by is 'Subject of the analyst who has claimed the case.';
comment on column assessment.claim_token is 'Identifies the claim. A decision must carry it.';
comment on column assessment.claimed_until is 'When the claim expires.';
comment on column assessment.claim_attempts is 'Number of claims so far.';
comment on column assessment.ended_claim_token is
    'The last claim that ended, so that a repeated decision is recognised.';
comment on column assessment.ended_claim_result is
    'How that claim ended: the verdict with its category or reason, `released` (by the analyst, or '
    'expired), `held` or `withdrawn`.';
comment on column assessment.excluded_staff is
    'Subjects who must not claim the case as long as another person can: they passed it on, or decided it '
    'before.';
comment on column assessment.first_by is
    'Who gave the first of two verdicts; that person never gives the second.';
comment on column assessment.first_category is 'Category of that first verdict.';
comment on column assessment.decision_id is 'The decision in force, or the last one.';
comment on column assessment.category is 'Category of an actionable decision.';
comment on column assessment.reason is 'Reason of a decision that is not actionable.';
comment on column assessment.basis is
    'What decided: `analyst`, `list:<name>@<version>` or `rule:<id>@<version>`.';
comment on column assessment.decided_by is 'Kind of the basis: `analyst`, `list` or `rule`.';
comment on column assessment.approvers is
    'Subjects who approved the decision, or the list or rule that it rests on.';
comment on column assessment.decided_at is 'When the decision was made.';
comment on column assessment.withdrawn_bases is
    'Bases of withdrawn decisions. A list or rule that was wrong about the case does not decide it again.';
comment on column assessment.proof_body is 'The signed bytes of the approval proof.';
comment on column assessment.proof_signature is 'Ed25519 signature of `proof_body`.';
comment on column assessment.proof_key_id is 'The key that signed it.';
comment on column assessment.proof_expires_at is
    'Until when dispatch can open the case with this proof; without effect once it has.';
comment on column assessment.review is
    'Latest reason of the open reviews. disputed: a provider disputes the notice; soft_404: the page '
    'resembles an error page; no_contact: no provider has a contact; onion: the host is an onion service; '
    'reappeared_changed: the URL is online again with other content; replied: a person answered a notice by '
    'mail.';
comment on column assessment.needs_supervisor is
    'The open reviews ask for a supervisor, not for another assessment of the page.';
comment on column assessment.police_hold_id is 'The current or last police hold.';
comment on column assessment.police_hold_until is
    'When the current police hold ends by itself; null once it has ended.';
comment on column assessment.dispatch_opened is
    'Dispatch has opened the case: the expiry of its proof no longer matters.';
comment on column assessment.dispatch_closed is
    'Dispatch has closed the case: a new report has to be announced to it.';
comment on column assessment.reannounce_due is
    'A report arrived that dispatch must be notified of as soon as the verdict is neither on hold nor under '
    'review.';

-- The order in which the queue is worked.
create index assessment_queue on assessment (priority desc, received_at, case_id)
    where state in ('queued', 'claimed', 'awaiting_second_opinion', 'under_review');
-- Lists by state; the included columns let the counts be answered from the index alone.
create index assessment_state on assessment (state, priority desc, received_at, case_id)
    include (decided_by, stage, held_from);
create index assessment_claims on assessment (claimed_until) where state = 'claimed';
create index assessment_police_holds on assessment (police_hold_until) where state = 'police_hold';
create index assessment_unmatched on assessment (matched_version)
    where state in ('queued', 'needs_information');
-- Actionable verdicts that dispatch has not opened yet, by the expiry of their proofs.
create index assessment_unopened on assessment (proof_expires_at)
    where state = 'actionable' and not dispatch_opened;

create table report (
    report_id      uuid    primary key,
    case_id        uuid    not null,
    withdrawn      boolean not null,
    sealed_content bytea
);
comment on table report is 'Reports received from intake; each is counted once.';
comment on column report.report_id is 'Assigned by intake.';
comment on column report.case_id is
    'No foreign key: the row is written together with its case, under the lock of the case.';
comment on column report.withdrawn is 'Its reporter has withdrawn it.';
comment on column report.sealed_content is
    'URL and hashes, sealed. Kept only if the report has a PDQ hash, which is matched by distance.';
create index report_case on report (case_id);

create table report_tag (
    tag     bytea not null,
    case_id uuid  not null,
    primary key (case_id, tag)
);
comment on table report_tag is 'Hashes that came with the reports of a case, as tags.';
comment on column report_tag.tag is 'Keyed hash of (kind, hash); never the hash itself.';
comment on column report_tag.case_id is 'The case.';

create table review (
    review_id    uuid        primary key,
    case_id      uuid        not null references assessment,
    reason       text        not null,
    notice_id    uuid,
    sealed_note  bytea,
    requested_at timestamptz not null,
    closed_at    timestamptz,
    outcome      text        check (outcome in ('upheld', 'withdrawn', 'offline'))
);
comment on table review is 'Reviews of verdicts that dispatch has requested.';
comment on column review.review_id is 'Assigned by dispatch.';
comment on column review.case_id is 'The case.';
comment on column review.reason is 'As in assessment.review.';
comment on column review.notice_id is 'The notice that led to the review, if there is one.';
comment on column review.sealed_note is 'What the provider wrote, sealed with the case''s key.';
comment on column review.requested_at is 'When the request was received.';
comment on column review.closed_at is 'When the review was decided; null while it is open.';
comment on column review.outcome is
    'upheld: the verdict stands; withdrawn: the verdict was withdrawn; offline: the verdict stands, and the '
    'page no longer shows the material.';
create index review_open on review (case_id) where closed_at is null;

create table case_act (
    id          uuid        primary key,
    case_id     uuid        not null,
    act         text        not null,
    actor       text        not null,
    basis       text,
    verdict     text,
    decision_id uuid,
    sealed_note bytea,
    at          timestamptz not null
);
comment on table case_act is 'Every act on a case, in the order of its id. Append-only.';
comment on column case_act.id is 'UUID version 7.';
comment on column case_act.case_id is 'The case.';
comment on column case_act.act is
    'actionable, not_actionable: a verdict; first_of_two: the first of two verdicts; second_opinion: passed '
    'on to another analyst; needs_information: waits for the next report; uphold, offline, withdraw: the '
    'decision of a review, or a withdrawal outside one; assess_again: put back into the queue after a '
    'withdrawal; hold, release: start and end of a police hold.';
comment on column case_act.actor is '`staff:<subject>` or `system:<name>`.';
comment on column case_act.basis is 'Of a decision: what it rests on, as in assessment.basis.';
comment on column case_act.verdict is 'Of a decision or a first verdict: its category or reason.';
comment on column case_act.decision_id is 'Of a decision or its withdrawal: the decision.';
comment on column case_act.sealed_note is
    'The reason that a person gave, sealed with the case''s key and bound to `id`.';
comment on column case_act.at is 'When it happened.';
create index case_act_case on case_act (case_id, id);
-- What people did in a shift, without reading what lists and rules did.
create index case_act_staff on case_act (at) where actor like 'staff:%';

create table second_opinion (
    case_act_id uuid        primary key references case_act,
    case_id     uuid        not null,
    kind        text        not null check (kind in ('second', 'review', 'withdrawal', 'undo')),
    first_by    uuid[]      not null,
    first       text        not null,
    second_by   uuid        not null,
    second      text        not null,
    agreed      boolean     not null,
    at          timestamptz not null
);
comment on table second_opinion is
    'Every act that confirmed or contradicted an earlier verdict; shows how well verdicts agree. '
    'Append-only.';
comment on column second_opinion.case_act_id is 'The act.';
comment on column second_opinion.case_id is 'The case.';
comment on column second_opinion.kind is
    'second: the second of two verdicts; review: the decision of a review; withdrawal: another person '
    'withdrew the verdict; undo: a person withdrew their own verdict.';
comment on column second_opinion.first_by is
    'Subjects who gave the first verdict; empty if a list or a rule did.';
comment on column second_opinion.first is 'The first verdict: a category, or a reason of not_actionable.';
comment on column second_opinion.second_by is 'Subject of the person whose act confirmed or contradicted it.';
comment on column second_opinion.second is
    'A category, a reason, `needs_information`, `upheld` or `withdrawn`.';
comment on column second_opinion.agreed is 'Whether it confirmed the first verdict.';
comment on column second_opinion.at is 'When it was given.';
create index second_opinion_disagreed on second_opinion (case_act_id desc) where not agreed;
create index second_opinion_at on second_opinion (at) include (kind, agreed);

create table reveal (
    id      uuid        primary key,
    subject uuid        not null,
    case_id uuid        not null,
    at      timestamptz not null
);
comment on table reveal is
    'Reveals of a URL to a person, counted against the exposure budget of their shift.';
comment on column reveal.id is 'UUID version 7; the reason, in the event, is bound to it.';
comment on column reveal.subject is 'The person who saw the URL.';
comment on column reveal.case_id is 'The case.';
comment on column reveal.at is 'When.';
create index reveal_subject on reveal (subject, at);

create table matching_version (
    one     boolean primary key default true check (one),
    version bigint  not null
);
comment on table matching_version is
    'One row: how often the approved hash lists and rules have changed. A process that caches them compares '
    'it.';
comment on column matching_version.one is 'Limits the table to one row.';
comment on column matching_version.version is 'Grows with every approval and retirement.';
insert into matching_version (version) values (1);

create table hash_list (
    list        text        not null,
    version     integer     not null check (version > 0),
    entries     bigint      not null,
    imported_by uuid[]      not null,
    approved_by uuid,
    approved_at timestamptz,
    primary key (list, version),
    check (approved_by is null or not (approved_by = any (imported_by)))
);
comment on table hash_list is
    'Versions of hash lists. A version is open until another person approves it; later versions add to and '
    'correct earlier ones.';
comment on column hash_list.list is 'Name of the list.';
comment on column hash_list.version is 'Counts from 1.';
comment on column hash_list.entries is 'Number of hashes that this version adds.';
comment on column hash_list.imported_by is 'Subjects who added hashes to it.';
comment on column hash_list.approved_by is
    'Subject who approved it, never one of the importers; null while it is open.';
comment on column hash_list.approved_at is 'When it was approved.';

create table hash_entry (
    tag         bytea   not null,
    list        text    not null,
    version     integer not null,
    category    text    check (category in ('A', 'B', 'C')),
    reason      text    check (reason in ('not_illegal', 'not_found', 'out_of_scope')),
    entry_id    uuid    not null,
    sealed_hash bytea,
    primary key (tag, list, version),
    foreign key (list, version) references hash_list (list, version),
    check ((category is null) <> (reason is null))
);
comment on table hash_entry is 'The verdict of each list version on each of its hashes.';
comment on column hash_entry.tag is 'Keyed hash of (kind, hash).';
comment on column hash_entry.list is 'Name of the list.';
comment on column hash_entry.version is 'Version of the list.';
comment on column hash_entry.category is 'Verdict: actionable in this category.';
comment on column hash_entry.reason is 'Verdict: not actionable for this reason.';
comment on column hash_entry.entry_id is 'To which `sealed_hash` is bound.';
comment on column hash_entry.sealed_hash is
    'The hash itself, sealed. Only of PDQ hashes, which are matched by distance.';
create index hash_entry_pdq on hash_entry (list, version) where sealed_hash is not null;

create table rule (
    rule_id      uuid        not null,
    version      integer     not null check (version > 0),
    sealed_match bytea       not null,
    sealed_note  bytea       not null,
    category     text        check (category in ('A', 'B', 'C')),
    reason       text        check (reason in ('not_illegal', 'not_found', 'out_of_scope')),
    proposed_by  uuid        not null,
    proposed_at  timestamptz not null,
    approved_by  uuid        check (approved_by <> proposed_by),
    approved_at  timestamptz,
    retired_at   timestamptz,
    retired_by   uuid,
    primary key (rule_id, version),
    check ((category is null) <> (reason is null))
);
comment on table rule is
    'Rules by host. The highest approved version of a rule decides, as long as the rule is not retired.';
comment on column rule.rule_id is 'The rule; the same in all its versions.';
comment on column rule.version is 'Counts from 1.';
comment on column rule.sealed_match is 'Host and path prefix, sealed.';
comment on column rule.sealed_note is 'Why it was proposed, sealed.';
comment on column rule.category is 'Verdict: actionable in this category.';
comment on column rule.reason is 'Verdict: not actionable for this reason.';
comment on column rule.proposed_by is 'Subject who proposed this version.';
comment on column rule.proposed_at is 'When it was proposed.';
comment on column rule.approved_by is
    'Subject who approved this version, never its proposer; null until then.';
comment on column rule.approved_at is 'When it was approved.';
comment on column rule.retired_at is 'When the rule was retired, in all its versions.';
comment on column rule.retired_by is 'Subject who retired it.';

create table staff (
    subject       uuid        primary key,
    name          text        not null,
    password_hash text        not null,
    roles         text[]      not null check (
                      roles <@ array['analyst', 'supervisor', 'operator', 'auditor'] and roles <> '{}'),
    created_at    timestamptz not null,
    revoked_at    timestamptz
);
comment on table staff is 'Local staff accounts.';
comment on column staff.subject is 'Identifies the person in tokens, claims and acts.';
comment on column staff.name is 'Sign-in name; unique without regard to case.';
comment on column staff.password_hash is 'Argon2id, as a PHC string.';
comment on column staff.roles is
    'analyst: assesses cases; supervisor: approves, withdraws and holds; operator: manages accounts and the '
    'installation; auditor: reads only.';
comment on column staff.created_at is 'When the account was created.';
comment on column staff.revoked_at is 'When the account was revoked, for good, with all its sessions.';
create unique index staff_name on staff (lower(name));

create table session (
    session_hash bytea       primary key,
    session_id   uuid        not null unique,
    subject      uuid        not null references staff,
    created_at   timestamptz not null,
    used_at      timestamptz not null,
    expires_at   timestamptz not null,
    revoked_at   timestamptz
);
comment on table session is 'Sessions of signed-in staff.';
comment on column session.session_hash is 'SHA-256 of the opaque session id of 256 random bits.';
comment on column session.session_id is 'Identifies the session in tokens.';
comment on column session.subject is 'Whose session it is.';
comment on column session.created_at is 'When the person signed in.';
comment on column session.used_at is 'Last use, to the minute.';
comment on column session.expires_at is 'When the session ends if it is not used again.';
comment on column session.revoked_at is 'When the person signed out, or the account was revoked.';
create index session_subject on session (subject) where revoked_at is null;
create index session_expiry on session (expires_at);

create table sign_in_failure (
    name_hash   bytea       primary key,
    failures    integer     not null,
    began_at    timestamptz not null
);
comment on table sign_in_failure is 'Failed sign-ins by name, for the limit on attempts.';
comment on column sign_in_failure.name_hash is
    'SHA-256 of the name that was sent, whether an account has it or not.';
comment on column sign_in_failure.failures is 'Attempts in the current window.';
comment on column sign_in_failure.began_at is 'Start of that window.';
create index sign_in_failure_age on sign_in_failure (began_at);
