-- A question about a changed page has a third answer: the verdict on the material stands, and what is there now is
-- something else. Additive: the version before this one says the first two only.

alter table review
    drop constraint review_outcome_check,
    -- Rows that are there were held to the narrower rule: nothing has to be read again under the lock.
    add constraint review_outcome_check check (outcome in ('upheld', 'withdrawn', 'gone')) not valid;
