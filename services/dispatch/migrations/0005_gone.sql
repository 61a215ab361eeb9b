-- What a person has called gone: a page that answers in place of the material is not asked about again and again.
-- Additive: the version before this one goes on beside it, and asks once more.

alter table case_file add column asked_print text;
alter table case_file add column gone_prints text;
comment on column case_file.asked_print is 'Digest of status, length, ETag and type of the page that the last question about a changed page was asked for; null where it had none.';
comment on column case_file.gone_prints is 'Digests, in the same way, of pages that a person has called gone, the newest last, with blanks between; null where there is none.';
