-- What a later decision must know of an earlier one: which rungs have fired, where an answer pointed, and which
-- endpoints are gone. Additive: the version before this one goes on beside it.

alter table case_file add column fired text;
comment on column case_file.fired is 'Rungs that have fired, or were skipped, in this episode, as rung/milliseconds with blanks between; null in a row of an earlier version, where rungs_fired counts.';

alter table notice add column named text;
alter table notice add column followed boolean not null default true;
comment on column notice.named is 'Whom the addressee first named as the host, where the directory knew them.';
comment on column notice.followed is 'What follows from an answer that it is elsewhere, or that nothing will be done, was done; false until then, so that a hold only puts it off.';

alter table provider add column webhook_gone_at timestamptz;
comment on column provider.webhook_gone_at is 'When the webhook said that it is gone for good (410); not used from then on, until the provider is written anew.';
