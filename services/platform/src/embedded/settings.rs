//! The configuration of the server, written before each start.
//!
//! It is tuned for two cores shared with the roles. Nothing may write a statement or a value to the server's
//! log, because error messages quote the failed row. The write-ahead log is not compressed, so that `./dev
//! leaks` can search it.

use std::path::Path;

/// What a power failure may destroy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durability {
    /// Nothing that is committed.
    Kept,
    /// Everything: nothing is synced to disk. For tests, whose databases are temporary.
    Scratch,
}

pub(super) fn text(
    durability: Durability,
    port: u16,
    sockets: Option<&Path>,
    log: &Path,
) -> String {
    let sockets = sockets.map_or_else(String::new, escape);
    let log = escape(log);
    let (connections, durable) = match durability {
        Durability::Kept => (200, ""),
        Durability::Scratch => (400, "fsync = off\nfull_page_writes = off\n"),
    };
    format!(
        "\
# Written at each start; changes are lost.
listen_addresses = '127.0.0.1'
port = {port}
unix_socket_directories = '{sockets}'
unix_socket_permissions = 0700
password_encryption = scram-sha-256
max_connections = {connections}
max_locks_per_transaction = 256

shared_buffers = 256MB
effective_cache_size = 2GB
work_mem = 8MB
maintenance_work_mem = 128MB
random_page_cost = 1.1
max_parallel_workers_per_gather = 0
jit = off

max_wal_size = 2GB
min_wal_size = 256MB
checkpoint_timeout = 10min
checkpoint_completion_target = 0.9
autovacuum_naptime = 20s
{durable}
timezone = 'UTC'
log_timezone = 'UTC'
logging_collector = on
log_directory = '{log}'
log_filename = 'postgres-%a.log'
log_truncate_on_rotation = on
log_rotation_age = 1d
log_rotation_size = 0
log_min_messages = log
log_min_error_statement = panic
log_error_verbosity = terse
log_parameter_max_length = 0
log_parameter_max_length_on_error = 0
log_statement = none
log_checkpoints = off
log_autovacuum_min_duration = -1
"
    )
}

/// Escapes a path for a quoted value.
fn escape(path: &Path) -> String {
    path.to_string_lossy().replace('\'', "''")
}
