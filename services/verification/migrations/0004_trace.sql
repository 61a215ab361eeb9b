alter table assessment add column traceparent text;

comment on column assessment.traceparent is 'W3C Trace Context in which the first report came, if it was traced: the decision goes on in it.';
