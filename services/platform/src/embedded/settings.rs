//! The server's configuration, written anew before each start.
//!
//! Tuned for two cores shared with the roles themselves. Nothing here may put a statement or a value
//! into the server's log: an error's text quotes the row that failed. Pages go into the write-ahead log as they are, so that
//! `./dev leaks` can read what is in them: compression would hide it.

use std::path::Path;

/// What a power cut may cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durability {
    /// Nothing that was committed.
    Kept,
    /// Everything: for tests, whose databases are thrown away. Only the sync to disk is left out.
    Scratch,
}

pub(super) fn text(
    durability: Durability,
    port: u16,
    sockets: Option<&Path>,
    log: &Path,
) -> String {
    let sockets = sockets.map_or_else(String::new, quoted);
    let log = quoted(log);
    let (connections, durable) = match durability {
        Durability::Kept => (200, ""),
        Durability::Scratch => (400, "fsync = off\nfull_page_writes = off\n"),
    };
    format!(
        "\
# Written at each start; changes made here are lost.
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

/// A path as the inside of a quoted value.
fn quoted(path: &Path) -> String {
    path.to_string_lossy().replace('\'', "''")
}
