-- Replays that two people have asked for: done by the consumer itself, which alone knows what an event means.

create table asked_replay (
    id          uuid        primary key,
    consumer    text        not null,
    producer    text        not null,
    case_id     uuid        not null,
    asked_by    uuid        not null,
    approved_by uuid        not null check (approved_by <> asked_by),
    asked_at    timestamptz not null,
    refused     text
);

comment on table asked_replay is 'Replays that two people have asked for. A row goes when its consumer has done it; then the act is in parked_act.';
comment on column asked_replay.id is 'Name of the act.';
comment on column asked_replay.consumer is 'The consumer that had parked the events.';
comment on column asked_replay.producer is 'The service that had said them.';
comment on column asked_replay.case_id is 'The case to let flow again.';
comment on column asked_replay.asked_by is 'Subject of the person who asks for it.';
comment on column asked_replay.approved_by is 'Subject of the person who agrees; never the same.';
comment on column asked_replay.asked_at is 'When, by the database clock.';
comment on column asked_replay.refused is 'Why the consumer could not apply them again; null while it has not tried.';

create index asked_replay_waiting on asked_replay (consumer, producer, asked_at) where refused is null;
