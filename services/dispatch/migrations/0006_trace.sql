alter table case_seal add column traceparent text;

comment on column case_seal.traceparent is 'W3C Trace Context in which the decision was heard, if it was traced: the first delivery goes on in it.';
