-- Partitions are made and dropped with the rights of the schema's owner: the role that serves owns no table. The search
-- path is pinned, so that nothing that a caller's session may have set decides which tables are meant.
do $$
declare
    schema name := current_schema();
begin
    execute format('alter function make_event_partitions(date) security definer set search_path = %I, pg_temp', schema);
    execute format('alter function drop_event_partitions(date) security definer set search_path = %I, pg_temp', schema);
    revoke execute on function make_event_partitions(date), drop_event_partitions(date) from public;
end
$$;
