-- The ledger: the events of all services as the leaves of one Merkle tree, and the facts that conservation is counted
-- from. The tables of the event log are created before this.

create table tree (
    singleton boolean primary key default true check (singleton),
    size      bigint  not null check (size >= 0),
    frontier  bytea   not null check (octet_length(frontier) % 32 = 0)
) with (fillfactor = 50);

comment on table tree is 'The Merkle tree, in one row. The lock of this row is the right to append leaves: all processes append in one sequence.';
comment on column tree.singleton is 'Always true: there is only one row.';
comment on column tree.size is 'Number of leaves, which is the index of the next leaf.';
comment on column tree.frontier is 'Hashes of the largest complete subtrees, left to right: one for each bit set in size. The root is computed from them.';

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
    recorded_at timestamptz not null,
    format      smallint    not null check (format in (1, 2))
);

comment on table leaf is 'Every event that was received, exactly once, in the order in which it was recorded. Append-only.';
comment on column leaf.index is 'Index of the leaf in the tree: dense, from 0.';
comment on column leaf.event_id is 'Id of the event.';
comment on column leaf.producer is 'The service that emitted the event.';
comment on column leaf.shard is 'Shard of the event in the log of its producer.';
comment on column leaf.position is 'Position of the event in that shard.';
comment on column leaf.kind is 'Name of the event in the protobuf schema.';
comment on column leaf.case_id is 'The case that the event is about.';
comment on column leaf.occurred_at is 'When the producer emitted the event, by the producer''s clock.';
comment on column leaf.caused_by is 'The event that caused this one; null if there is none.';
comment on column leaf.payload is 'The encoded event as it was received: ids and sealed values.';
comment on column leaf.salt is 'Random. Prevents guessing the event from the commitment in the leaf.';
comment on column leaf.leaf_hash is 'RFC 6962 section 2.1: SHA-256 of a zero byte and the commitment to the fields of the format.';
comment on column leaf.recorded_at is 'When the event got its index, by the clock of this service''s database.';
comment on column leaf.format is 'The fields that leaf_hash commits to. 1: index to salt; 2: index to salt, and recorded_at. New leaves have format 2.';

create index leaf_case on leaf (case_id, index);

create table node (
    level smallint not null check (level > 0 and level % 8 = 0),
    index bigint   not null check (index >= 0),
    hash  bytea    not null check (octet_length(hash) = 32),
    primary key (level, index)
);

comment on table node is 'Hashes of the complete subtrees of every eighth level. Other hashes are computed from at most 256 nodes of the stored level below. Append-only.';
comment on column node.level is 'The subtree has 2^level leaves.';
comment on column node.index is 'Index of the subtree within its level, from 0.';
comment on column node.hash is 'RFC 6962 hash of the subtree.';

create table checkpoint (
    size    bigint      primary key check (size > 0),
    root    bytea       not null check (octet_length(root) = 32),
    note    text        not null,
    made_at timestamptz not null
);

comment on table checkpoint is 'Signed heads of the tree, at most one for each size. Append-only.';
comment on column checkpoint.size is 'Number of leaves that the checkpoint covers.';
comment on column checkpoint.root is 'Root hash of the tree of that size.';
comment on column checkpoint.note is 'The signed note: origin, size, root hash, signatures.';
comment on column checkpoint.made_at is 'When it was signed, by the clock of this service''s database.';

create table report (
    report_id uuid    primary key,
    case_id   uuid    not null,
    withdrawn boolean not null
);

comment on table report is 'Every accepted report, counted independently of case_fact: the other side of the conservation check.';
comment on column report.report_id is 'Id of the report, from ReportReceived.';
comment on column report.case_id is 'The case of the report.';
comment on column report.withdrawn is 'The reporter has withdrawn it.';

create table case_fact (
    case_id uuid    primary key,
    verdict text    not null check (verdict in ('none', 'being_assessed', 'actionable', 'not_actionable', 'withdrawn')),
    held    boolean not null,
    removal text    not null check (removal in ('none', 'notified', 'exhausted', 'removed', 'closed')),
    reports integer not null check (reports >= 0)
) with (fillfactor = 70);

comment on table case_fact is 'The latest facts about each case, each from one service. The stage of a case is derived from them, so it does not depend on the order in which events of different services arrive.';
comment on column case_fact.case_id is 'The case.';
comment on column case_fact.verdict is 'From verification. none: not assessed yet; being_assessed: the URL was revealed; actionable; not_actionable; withdrawn: an actionable verdict was withdrawn.';
comment on column case_fact.held is 'From verification: the case is on police hold.';
comment on column case_fact.removal is 'From dispatch. none: no notice yet; notified: a provider was notified; exhausted: passed to the regulator or a supervisor, with no provider left to notify; removed: removal was confirmed; closed: the watch period is over.';
comment on column case_fact.reports is 'Number of reports that are not withdrawn.';
