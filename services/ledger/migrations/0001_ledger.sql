-- Everything that was heard, as leaves of one Merkle tree, and what it adds up to. The event log is set up before this one.

create table tree (
    one      boolean primary key default true check (one),
    size     bigint  not null check (size >= 0),
    frontier bytea   not null check (octet_length(frontier) % 32 = 0)
) with (fillfactor = 50);

comment on table tree is 'One row. Whoever holds its lock gives out leaf indexes: the one sequencer, whichever process it is in.';
comment on column tree.one is 'There is one tree.';
comment on column tree.size is 'How many leaves there are: the index of the next one.';
comment on column tree.frontier is 'Hashes of the largest complete subtrees on the right edge, left to right: one for each bit set in size. The root is folded from them.';

insert into tree (size, frontier) values (0, ''::bytea);

create table leaf (
    index       bigint      primary key check (index >= 0),
    event_id    uuid        not null unique,
    producer    text        not null,
    shard       smallint    not null check (shard between 0 and 15),
    position    bigint      not null check (position > 0),
    kind        text        not null,
    case_id     uuid        not null,
    occurred_at timestamptz not null,
    caused_by   uuid,
    payload     bytea       not null,
    salt        bytea       not null check (octet_length(salt) = 32),
    leaf_hash   bytea       not null check (octet_length(leaf_hash) = 32),
    heard_at    timestamptz not null
);

comment on table leaf is 'Each event that was heard, exactly once, in the order of hearing. Append-only.';
comment on column leaf.index is 'Its place in the tree: dense, from 0.';
comment on column leaf.event_id is 'Name of the event.';
comment on column leaf.producer is 'The service that said it.';
comment on column leaf.shard is 'Its shard in the log of that service.';
comment on column leaf.position is 'Its position in that shard.';
comment on column leaf.kind is 'Its name in the protobuf schema.';
comment on column leaf.case_id is 'The case that it is about.';
comment on column leaf.occurred_at is 'When it happened, by the clock of the producing command.';
comment on column leaf.caused_by is 'The event that led to it, if any.';
comment on column leaf.payload is 'Protobuf message as it was heard: ids and sealed values.';
comment on column leaf.salt is 'Random: without it the commitment in the leaf cannot be guessed at.';
comment on column leaf.leaf_hash is 'RFC 6962: SHA-256 of a zero byte and the commitment to all of the above but the hearing.';
comment on column leaf.heard_at is 'When it got its index, by this service''s clock.';

create index leaf_case on leaf (case_id, index);

create table node (
    level smallint not null check (level > 0 and level % 8 = 0),
    index bigint   not null check (index >= 0),
    hash  bytea    not null check (octet_length(hash) = 32),
    primary key (level, index)
);

comment on table node is 'Hashes of complete subtrees at every eighth level; what lies between is computed from at most 256 of the level below.';
comment on column node.level is 'The subtree has 2^level leaves.';
comment on column node.index is 'Its place among the subtrees of its level, from 0.';
comment on column node.hash is 'Its RFC 6962 hash.';

create table checkpoint (
    size    bigint      primary key check (size > 0),
    root    bytea       not null check (octet_length(root) = 32),
    note    text        not null,
    made_at timestamptz not null
);

comment on table checkpoint is 'What was signed of the tree, once for each size. Append-only.';
comment on column checkpoint.size is 'Leaves under it.';
comment on column checkpoint.root is 'Root of the tree of that size.';
comment on column checkpoint.note is 'The signed note: origin, size, root, signatures.';
comment on column checkpoint.made_at is 'When it was signed, by this service''s clock.';

create table report (
    report_id uuid    primary key,
    case_id   uuid    not null,
    withdrawn boolean not null
);

comment on table report is 'Each report that was accepted, counted apart from the stages: the other side of the conservation check.';
comment on column report.report_id is 'From ReportReceived.';
comment on column report.case_id is 'The case it belongs to.';
comment on column report.withdrawn is 'Its reporter took it back.';

create table case_fact (
    case_id uuid    primary key,
    verdict text    not null check (verdict in ('none', 'looked_at', 'actionable', 'not_actionable', 'withdrawn')),
    held    boolean not null,
    removal text    not null check (removal in ('none', 'noticed', 'exhausted', 'removed', 'closed')),
    reports integer not null check (reports >= 0)
) with (fillfactor = 70);

comment on table case_fact is 'What was last heard of each case from each service. Its stage follows from these facts alone, in whichever order the services were heard.';
comment on column case_fact.case_id is 'The case.';
comment on column case_fact.verdict is 'From verification: none yet; looked_at (an analyst opened it); actionable; not_actionable; withdrawn (an actionable verdict was taken back).';
comment on column case_fact.held is 'From verification: a police hold stands.';
comment on column case_fact.removal is 'From dispatch: none yet; noticed (somebody was told); exhausted (handed over, nobody is left to tell); removed (checks agreed); closed (the watch is over).';
comment on column case_fact.reports is 'Its reports that were not taken back.';
