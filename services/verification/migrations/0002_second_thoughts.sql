-- What a case has to remember beyond its standing decision: who must not decide it, what was taken back, and what
-- dispatch still has to hear.

alter table assessment
    add column submitted_by    uuid[]  not null default '{}',    -- staff who reported it: they never decide it
    add column withdrawn       text[]  not null default '{}',    -- bases of decisions that were taken back: they do not decide it again
    add column announce_due    boolean not null default false,   -- a report came that dispatch has to hear of once the verdict is neither held nor questioned
    add column dispatch_opened boolean not null default false;   -- dispatch has spoken of it: the proof's end no longer counts

-- Standing verdicts that dispatch has not opened, by the end of their proofs.
create index assessment_unopened on assessment (proof_expires_at) where state = 'actionable' and not dispatch_opened;

-- The counts tell what a case in somebody's hand, or on hold, is about: without reading the rows.
drop index assessment_state;
create index assessment_state on assessment (state, priority desc, received_at, case_id) include (decided_by, desk, held_from);
