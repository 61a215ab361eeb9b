-- How far each shard was published to Kafka. Unused on the Local bus, whose consumers read the log itself.

alter table log_shard add column published_to bigint not null default 0 check (published_to >= 0);

comment on column log_shard.published_to is 'Kafka: the position up to which every record is acknowledged, or skipped with an alarm. Moved by the owner of the shard under its epoch; a new owner goes on from here. 0 before the first.';
