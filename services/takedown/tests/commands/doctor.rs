//! `doctor` on faulty systems: the problems that it finds, and the remedies that it names.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use platform::sealed::Keyring;
use roles::system::keyring_path;
use serde_json::Value;
use sqlx::PgPool;

use crate::operators::append_unreadable_event;
use crate::program::{RunningSystem, wait_for};

/// The problems that `doctor` finds: check and remedy.
fn problems(up: &RunningSystem, database_url: Option<&str>) -> Vec<(String, String)> {
    let mut command = up.command(&["doctor", "--json"]);
    match database_url {
        Some("") => command.env_remove("DATABASE_URL"),
        Some(url) => command.env("DATABASE_URL", url),
        None => &mut command,
    };
    let output = command.output().unwrap();
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    let checks = report["checks"].as_array().unwrap();
    let text = |check: &Value, name: &str| check[name].as_str().unwrap().to_owned();
    let problems: Vec<_> = checks
        .iter()
        .filter(|check| check["state"] == "problem")
        .map(|check| (text(check, "check"), text(check, "remedy")))
        .collect();
    assert_eq!(report["ok"], problems.is_empty(), "{report:#}");
    assert_eq!(output.status.success(), problems.is_empty());
    problems
}

/// Asserts that `doctor` finds this problem and, with `only`, no other.
fn assert_finds(up: &RunningSystem, check: &str, remedy: &str, only: bool) {
    let found = problems(up, None);
    let matches = |(c, t): &(String, String)| c == check && t.contains(remedy);
    assert!(found.iter().any(matches), "{check}: {found:?}");
    assert!(!only || found.len() == 1, "{check}: {found:?}");
}

fn mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

async fn sql(pool: &PgPool, statements: &str) {
    sqlx::raw_sql(sqlx::AssertSqlSafe(statements.to_owned()))
        .execute(pool)
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn problems_of_the_data_folder_are_found() {
    let up = RunningSystem::start().await;
    up.json(&["report", "submit", "--url", "https://h.example/p"]);
    let (profile, keyring) = (up.path("client.toml"), keyring_path(up.dir.path()));
    assert_eq!(problems(&up, None), []);

    mode(&profile, 0o644);
    assert_finds(&up, "client.toml", "chmod 600", true);
    mode(&profile, 0o600);
    mode(&keyring, 0o644);
    assert_finds(&up, "keyring", "with mode 600", true);
    mode(&keyring, 0o600);

    let aside = up.path("aside");
    fs::rename(&profile, &aside).unwrap();
    assert_finds(&up, "client.toml", "takedown up", true);
    fs::rename(&aside, &profile).unwrap();
    fs::rename(&keyring, &aside).unwrap();
    assert_finds(&up, "keyring", "from its backup", true);
    Keyring::create(&keyring).unwrap();
    assert_finds(&up, "keyring and data", "belongs to another", true);
    fs::rename(&aside, &keyring).unwrap();

    let unreachable = "postgresql://nobody@127.0.0.1:9/none";
    let down = problems(&up, Some(unreachable));
    assert_eq!(down.len(), 1, "{down:?}");
    assert_eq!(down[0].0, "database");
    assert!(down[0].1.contains("check its log"), "{down:?}");
    let unknown = problems(&up, Some(""));
    assert_eq!(unknown.len(), 1, "{unknown:?}");
    assert!(unknown[0].1.contains("set DATABASE_URL"), "{unknown:?}");
    assert_eq!(problems(&up, None), []);
}

/// A statement that breaks something in a service's schema, one that repairs it, and the problem between
/// them.
struct SchemaFault {
    schema: &'static str,
    breaks: &'static str,
    repairs: &'static str,
    check: &'static str,
    remedy: &'static str,
}

/// Applied while the system is stopped, so that it does not repair them.
const SCHEMA_FAULTS: [SchemaFault; 6] = [
    SchemaFault {
        schema: "intake",
        breaks: "alter table platform_migration rename to moved_away",
        repairs: "alter table moved_away rename to platform_migration",
        check: "migrations of intake",
        remedy: "takedown migrate",
    },
    SchemaFault {
        schema: "dispatch",
        breaks: "insert into event (id, case_id, shard, kind, occurred_at, payload, inserted_at)
            values (gen_random_uuid(), gen_random_uuid(), 0, 'Test', now(), '', now() - interval '1 minute')",
        repairs: "delete from event where kind = 'Test'",
        check: "log of dispatch",
        remedy: "check that dispatch is running",
    },
    SchemaFault {
        schema: "dispatch",
        breaks: "insert into event (id, case_id, shard, kind, occurred_at, payload, position, inserted_at)
            values (gen_random_uuid(), gen_random_uuid(), 0, 'Test', now(), '', 1000, now() - interval '9 years')",
        repairs: "delete from event where kind = 'Test'",
        check: "partitions of dispatch",
        remedy: "it creates partitions ahead",
    },
    SchemaFault {
        schema: "ledger",
        breaks: "insert into cursor (consumer, producer, shard, position, event_id)
            select 'ledger', 'dispatch', s, 1000, gen_random_uuid() from generate_series(0, 15) s
            on conflict (consumer, producer, shard) do update set position = 1000, event_id = excluded.event_id",
        repairs: "delete from cursor where producer = 'dispatch'",
        check: "ledger consumes dispatch",
        remedy: "from the same backup",
    },
    SchemaFault {
        schema: "verification",
        breaks: "update intake.event set inserted_at = now() - interval '2 minutes';
            update cursor set position = 0, event_id = null where producer = 'intake'",
        repairs: "update cursor c set position = s.position, event_id = s.event_id
            from intake.log_shard s where s.shard = c.shard and c.producer = 'intake'",
        check: "verification consumes intake",
        remedy: "its log for events that it cannot apply",
    },
    SchemaFault {
        schema: "verification",
        breaks: "insert into parked_event (consumer, producer, shard, position, id, case_id, kind, occurred_at, payload,
                reason, parked_at)
            values ('verification', 'intake', 0, 1, gen_random_uuid(), gen_random_uuid(), 'Test', now(), '', 'x', now())",
        repairs: "delete from parked_event",
        check: "parked by verification",
        remedy: "takes two people",
    },
];

#[tokio::test(flavor = "multi_thread")]
async fn problems_of_roles_and_schemas_are_found() {
    let mut up = RunningSystem::start().await;
    let parked = || {
        let found = problems(&up, None);
        let parked = found
            .iter()
            .find(|(check, _)| check == "parked by verification");
        parked.map(|(_, remedy)| remedy.clone())
    };
    append_unreadable_event(&up).await;
    assert!(wait_for(parked).await.contains("takedown parked list"));
    let verification = up.database().pool("verification").await;
    sql(&verification, "delete from session").await;
    let signed_out = || {
        let found = problems(&up, None);
        let operator = found.iter().find(|(check, _)| check == "local operator");
        operator.map(|(_, remedy)| remedy.clone())
    };
    assert!(
        wait_for(signed_out)
            .await
            .contains("each start opens a new session")
    );

    assert!(up.terminate().success());
    sql(&verification, "delete from parked_event").await;
    let ledger = up.database().pool("ledger").await;
    sql(&ledger, "delete from parked_event").await;
    for role in [
        "intake",
        "verification",
        "dispatch",
        "ledger",
        "gateway",
        "console",
    ] {
        assert_finds(&up, role, "start `takedown up`", false);
    }
    let when_stopped = problems(&up, None).len();
    for SchemaFault {
        schema,
        breaks,
        repairs,
        check,
        remedy,
    } in SCHEMA_FAULTS
    {
        let pool = up.database().pool(schema).await;
        sql(&pool, breaks).await;
        assert_finds(&up, check, remedy, false);
        sql(&pool, repairs).await;
        assert_eq!(problems(&up, None).len(), when_stopped, "{check} stays");
    }
}
