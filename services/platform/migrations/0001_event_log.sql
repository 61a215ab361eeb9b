-- The event log of one service, and the cursors and parked events of its consumers. Run into each core service's
-- schema before the service's own migrations. The search path selects the schema, so no name here is qualified.

create table event (
    seq         bigint generated always as identity,
    id          uuid        not null,
    case_id     uuid        not null,
    shard       smallint    not null check (shard between 0 and 15),
    kind        text        not null,
    caused_by   uuid,
    occurred_at timestamptz not null,
    traceparent text,
    payload     bytea       not null,
    position    bigint check (position > 0),
    inserted_at timestamptz not null default now()
) partition by range (inserted_at);

comment on table event is 'Every event this service has appended, inserted in the transaction that made it true (a transactional outbox). Partitioned by day of insertion.';
comment on column event.seq is 'Drawn by the insert, under the lock of the case row, so within a case it is the commit order. The relay assigns positions in this order; nothing reads events by it.';
comment on column event.id is 'Id of the event (UUID). It carries no order.';
comment on column event.case_id is 'The case that the event is about. Order is kept per case.';
comment on column event.shard is 'Hash of the case id, 0 to 15. Never changes.';
comment on column event.kind is 'Name of the event in the protobuf schema, for example CaseActionable.';
comment on column event.caused_by is 'Id of the event that caused this one, if any.';
comment on column event.occurred_at is 'When it happened, by the clock of the producing command.';
comment on column event.traceparent is 'W3C Trace Context of the command; null when it was not traced.';
comment on column event.payload is 'Protobuf message. Carries ids and sealed values, never an unsealed URL.';
comment on column event.position is 'Dense number within (service, shard), assigned by the relay after commit. Null until then; never changes afterwards.';
comment on column event.inserted_at is 'Start of the inserting transaction by the database clock. Selects the partition and nothing else.';

create index event_unpositioned on event (shard, seq) where position is null;
create index event_position on event (shard, position) where position is not null;

create table event_default partition of event default;
comment on table event_default is 'Receives events whose day has no partition. A row here raises an alarm: partitions were not created ahead.';

create table log_shard (
    shard        smallint    primary key check (shard between 0 and 15),
    position     bigint      not null default 0 check (position >= 0),
    event_id     uuid,
    floor        bigint      not null default 1 check (floor > 0),
    published_to bigint      not null default 0 check (published_to >= 0),
    owner        uuid,
    epoch        bigint      not null default 0,
    lease_until  timestamptz,
    check ((position = 0) = (event_id is null))
) with (fillfactor = 50);

comment on table log_shard is 'One row per shard: its head, the oldest position kept, how far it is published, and the relay that owns it.';
comment on column log_shard.shard is '0 to 15.';
comment on column log_shard.position is 'Head: the highest position assigned so far; 0 before the first.';
comment on column log_shard.event_id is 'Id of the event at the head; null before the first.';
comment on column log_shard.floor is 'Every position from here to the head is kept; partitions below it may have been dropped.';
comment on column log_shard.published_to is 'Kafka bus: every record up to this position is acknowledged, or was skipped with an alarm. Advanced by the owner of the shard under its epoch; a new owner continues from here. 0 before the first, and on the Local bus.';
comment on column log_shard.owner is 'The relay that assigns positions in this shard; null when no relay owns it.';
comment on column log_shard.epoch is 'Fencing token: increases with each change of owner. A relay with an older epoch is refused.';
comment on column log_shard.lease_until is 'End of the lease by the database clock; after it any relay may take the shard.';

insert into log_shard (shard) select s from generate_series(0, 15) as s;

create table log_relay (
    owner       uuid        primary key,
    alive_until timestamptz not null
);

comment on table log_relay is 'Relays that are running, so that each can compute its fair share of the shards.';
comment on column log_relay.owner is 'Random id that the relay draws when it starts.';
comment on column log_relay.alive_until is 'By the database clock; after it the relay counts as stopped.';

create table log_consumer (
    consumer text     not null,
    shard    smallint not null check (shard between 0 and 15),
    position bigint   not null check (position >= 0),
    primary key (consumer, shard)
);

comment on table log_consumer is 'The consumers of this log and their last reported positions. Only retention reads it. A row may lag behind the consumer''s cursor but is never ahead of it.';
comment on column log_consumer.consumer is 'Name of the consuming service.';
comment on column log_consumer.shard is '0 to 15.';
comment on column log_consumer.position is 'The consumer has processed every event up to here.';

create table cursor (
    consumer text     not null,
    producer text     not null,
    shard    smallint not null check (shard between 0 and 15),
    position bigint   not null check (position >= 0),
    event_id uuid,
    primary key (consumer, producer, shard),
    check ((position = 0) = (event_id is null))
) with (fillfactor = 50);

comment on table cursor is 'How far this service has processed each log. Advanced in the transaction that applies the events, so this row is the whole inbox.';
comment on column cursor.consumer is 'Name of the consumer; a service may have several.';
comment on column cursor.producer is 'The service whose log is read.';
comment on column cursor.shard is '0 to 15.';
comment on column cursor.position is 'Position of the last event processed; 0 before the first.';
comment on column cursor.event_id is 'Id of that event. A log that has another event at this position was restored from a backup.';

create table blocked_case (
    consumer   text        not null,
    producer   text        not null,
    case_id    uuid        not null,
    blocked_at timestamptz not null,
    primary key (consumer, producer, case_id)
);

comment on table blocked_case is 'Cases with a parked event. Later events of such a case are parked too, until two people replay or drop the parked events.';
comment on column blocked_case.consumer is 'The consumer that could not apply an event.';
comment on column blocked_case.producer is 'The service that emitted the event.';
comment on column blocked_case.case_id is 'The blocked case.';
comment on column blocked_case.blocked_at is 'When its first event was parked, by the database clock.';

create table parked_event (
    consumer    text        not null,
    producer    text        not null,
    shard       smallint    not null check (shard between 0 and 15),
    position    bigint      not null check (position > 0),
    id          uuid        not null,
    case_id     uuid        not null,
    kind        text        not null,
    caused_by   uuid,
    occurred_at timestamptz not null,
    traceparent text,
    payload     bytea       not null,
    reason      text        not null,
    parked_at   timestamptz not null,
    primary key (consumer, producer, shard, position)
);

comment on table parked_event is 'Events that a consumer could not apply, and the later events of the same cases.';
comment on column parked_event.consumer is 'The consumer that parked it.';
comment on column parked_event.producer is 'The service that emitted it.';
comment on column parked_event.shard is 'Its shard.';
comment on column parked_event.position is 'Its position in the shard: the order of replay.';
comment on column parked_event.id is 'Its id.';
comment on column parked_event.case_id is 'The case it is about.';
comment on column parked_event.kind is 'Its kind.';
comment on column parked_event.caused_by is 'As in the log.';
comment on column parked_event.occurred_at is 'As in the log.';
comment on column parked_event.traceparent is 'As in the log.';
comment on column parked_event.payload is 'As in the log.';
comment on column parked_event.reason is 'A fixed phrase or an SQLSTATE, never a value. "follows a parked event" for later events of a blocked case.';
comment on column parked_event.parked_at is 'When it was parked, by the database clock.';

create index parked_event_case on parked_event (consumer, producer, case_id, position);

create table parked_act (
    id           uuid        primary key,
    act          text        not null check (act in ('replay', 'drop')),
    consumer     text        not null,
    producer     text        not null,
    case_id      uuid        not null,
    events       uuid[]      not null,
    requested_by uuid        not null,
    approved_by  uuid        not null check (approved_by <> requested_by),
    at           timestamptz not null
);

comment on table parked_act is 'What two people decided about parked events.';
comment on column parked_act.id is 'Id of the act.';
comment on column parked_act.act is 'replay: the events were applied in order and the case was unblocked. drop: the event was discarded.';
comment on column parked_act.consumer is 'The consumer that had parked the events.';
comment on column parked_act.producer is 'The service that emitted them.';
comment on column parked_act.case_id is 'The case they are about.';
comment on column parked_act.events is 'Their ids, in order.';
comment on column parked_act.requested_by is 'Subject of the person who requested the act.';
comment on column parked_act.approved_by is 'Subject of the person who approved it; never the same person.';
comment on column parked_act.at is 'When it was done, by the database clock.';

create table replay_request (
    id           uuid        primary key,
    consumer     text        not null,
    producer     text        not null,
    case_id      uuid        not null,
    requested_by uuid        not null,
    approved_by  uuid        not null check (approved_by <> requested_by),
    requested_at timestamptz not null,
    refused      text
);

comment on table replay_request is 'Replays that two people have requested. The consumer runs them itself, because only its handler can apply the events. A row is deleted when its replay is done; the act is then in parked_act.';
comment on column replay_request.id is 'Id of the act.';
comment on column replay_request.consumer is 'The consumer that parked the events.';
comment on column replay_request.producer is 'The service that emitted them.';
comment on column replay_request.case_id is 'The case whose parked events are to be applied.';
comment on column replay_request.requested_by is 'Subject of the person who requested the replay.';
comment on column replay_request.approved_by is 'Subject of the person who approved it; never the same person.';
comment on column replay_request.requested_at is 'When it was requested, by the database clock.';
comment on column replay_request.refused is 'Why the consumer could not apply the events; null while the request is pending.';

create index replay_request_pending on replay_request (consumer, producer, requested_at) where refused is null;

-- Creates the partitions of `today` and of the seven days after it (days are UTC). Rows that fell into the default
-- partition move to their day. A partition is built beside the table and then attached, because
-- `create table ... partition of` would block every append while it waits for its lock.
create function make_event_partitions(today date) returns integer language plpgsql as $$
declare
    ahead integer;
    lower timestamptz;
    upper timestamptz;
    name  text;
    made  integer := 0;
begin
    perform pg_advisory_xact_lock('event'::regclass::oid::bigint);
    for ahead in 0..7 loop
        lower := (today + ahead)::timestamp at time zone 'utc';
        upper := (today + ahead + 1)::timestamp at time zone 'utc';
        name := 'event_' || to_char(today + ahead, 'YYYYMMDD');
        continue when to_regclass(name) is not null;
        execute format('create table %I (like event including defaults including constraints including indexes)
            with (autovacuum_vacuum_scale_factor = 0.02, autovacuum_analyze_scale_factor = 0.05)', name);
        lock table event_default in access exclusive mode;
        execute format('with moved as (delete from event_default where inserted_at >= $1 and inserted_at < $2 returning *)
            insert into %I select * from moved', name) using lower, upper;
        execute format('alter table event attach partition %I for values from (%L) to (%L)', name, lower, upper);
        made := made + 1;
    end loop;
    return made;
end
$$;

comment on function make_event_partitions(date) is 'Creates the partitions of the given day (UTC) and of the seven days after it. Returns how many were missing.';

-- Drops every partition of a day before `oldest` in which each event has a position and was processed by every
-- registered consumer, and raises the floors. Lock order as when positions are assigned: shard rows, then the table.
create function drop_event_partitions(oldest date) returns integer language plpgsql as $$
declare
    name    text;
    free    boolean;
    dropped integer := 0;
begin
    for name in
        select c.relname from pg_inherits i join pg_class c on c.oid = i.inhrelid
        where i.inhparent = 'event'::regclass and c.relname ~ '^event_[0-9]{8}$'
          and to_date(substr(c.relname, 7), 'YYYYMMDD') < oldest
        order by c.relname
    loop
        perform 1 from log_shard order by shard for update;
        lock table event in access exclusive mode;
        execute format('select not exists (select from %1$I where position is null)
            and not exists (
                select from (select shard, max(position) as top from %1$I group by shard) t
                join log_consumer c on c.shard = t.shard
                where c.position < t.top)', name) into free;
        continue when not free;
        execute format('update log_shard s set floor = greatest(s.floor, t.top + 1)
            from (select shard, max(position) as top from %I group by shard) t
            where t.shard = s.shard', name);
        execute format('drop table %I', name);
        dropped := dropped + 1;
    end loop;
    return dropped;
end
$$;

comment on function drop_event_partitions(date) is 'Drops the partitions of days before the given one (UTC) that no consumer needs any more. Returns how many were dropped.';

-- Both functions run with the rights of the schema's owner, because the runtime role owns no table. The search path is
-- pinned so that settings of the caller's session cannot change which tables they use.
do $$
declare
    schema name := current_schema();
begin
    execute format('alter function make_event_partitions(date) security definer set search_path = %I, pg_temp', schema);
    execute format('alter function drop_event_partitions(date) security definer set search_path = %I, pg_temp', schema);
    revoke execute on function make_event_partitions(date), drop_event_partitions(date) from public;
end
$$;

select make_event_partitions((now() at time zone 'utc')::date);
