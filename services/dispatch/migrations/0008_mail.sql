-- What came back to notices that went by mail. Additive: the version before this one goes on beside it, and heeds none of it.

alter table notice
    add column returned_at     timestamptz,
    add column delayed_at      timestamptz,
    add column auto_replied_at timestamptz,
    add column replied_at      timestamptz;

comment on column notice.returned_at is 'When the newest message about it came back: it could not be delivered.';
comment on column notice.delayed_at is 'When a mail server first said that a message about it waits.';
comment on column notice.auto_replied_at is 'When a machine first answered it; no acknowledgement.';
comment on column notice.replied_at is 'When a person first answered it by mail.';

alter table case_file add column hurried_to timestamptz;

comment on column case_file.hurried_to is 'When the next contact is told at the latest: a machine has answered for the last one, and no person yet. Null where nothing hurries.';

alter table case_file
    drop constraint case_file_review_reason_check,
    -- Holds for every row already: the former check was narrower.
    add constraint case_file_review_reason_check check (review_reason in ('disputed', 'soft_404', 'no_contact', 'onion', 'reappeared_changed', 'replied')) not valid;
