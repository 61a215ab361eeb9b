-- What second looks said of the verdicts before them, for those who watch how well the house judges; and who did how
-- much. What was said before this migration stands in `judgement` alone and is not told again. Additive.

create table second_look (
    judgement_id uuid        primary key references judgement, -- the act that it came with
    case_id      uuid        not null,
    look         text        not null check (look in (
                     'second',      -- the second of two verdicts
                     'review',      -- a second look at a verdict in question
                     'withdrawal',  -- a verdict taken back by somebody else
                     'undo')),      -- a verdict taken back by whoever gave it
    first_by     uuid[]      not null,  -- subjects behind the first verdict; none where a list or a rule gave it
    first        text        not null,  -- a category, or a reason of not_actionable
    second_by    uuid        not null,
    second       text        not null,  -- a category, a reason, needs_information, upheld or withdrawn
    agreed       boolean     not null,
    at           timestamptz not null
);
comment on table second_look is 'Each second look at a verdict, and whether it agreed. Only ever added to.';
create index second_look_disagreed on second_look (judgement_id desc) where not agreed;
create index second_look_at on second_look (at) include (look, agreed);

-- What people did in a shift, without reading what lists and rules did.
create index judgement_people on judgement (at) where actor like 'staff:%';
