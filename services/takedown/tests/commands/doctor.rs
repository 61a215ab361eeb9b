//! `doctor` on systems that something is wrong with: what it finds, and what it says to do.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use platform::sealed::Keyring;
use serde_json::Value;
use sqlx::PgPool;
use takedown::system::keyring_path;

use crate::operators::rotten;
use crate::program::{Up, until};

/// What `doctor` finds wrong: check and todo.
fn problems(up: &Up, database_url: Option<&str>) -> Vec<(String, String)> {
    let mut command = up.command(&["doctor", "--json"]);
    match database_url {
        Some("") => command.env_remove("DATABASE_URL"),
        Some(url) => command.env("DATABASE_URL", url),
        None => &mut command,
    };
    let output = command.output().unwrap();
    let said: Value = serde_json::from_slice(&output.stdout).unwrap();
    let checks = said["checks"].as_array().unwrap();
    let text = |check: &Value, name: &str| check[name].as_str().unwrap().to_owned();
    let wrong: Vec<_> = checks
        .iter()
        .filter(|check| check["state"] == "problem")
        .map(|check| (text(check, "check"), text(check, "todo")))
        .collect();
    assert_eq!(said["ok"], wrong.is_empty(), "{said:#}");
    assert_eq!(output.status.success(), wrong.is_empty());
    wrong
}

/// Whether this, and where `alone` nothing else, was found.
fn finds(up: &Up, check: &str, todo: &str, alone: bool) {
    let found = problems(up, None);
    let is_it = |(c, t): &(String, String)| c == check && t.contains(todo);
    assert!(found.iter().any(is_it), "{check}: {found:?}");
    assert!(!alone || found.len() == 1, "{check}: {found:?}");
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
async fn a_folder_that_is_not_right() {
    let up = Up::start().await;
    up.json(&["report", "submit", "--url", "https://h.example/p"]);
    let (profile, keyring) = (up.path("client.toml"), keyring_path(up.dir.path()));
    assert_eq!(problems(&up, None), []);

    mode(&profile, 0o644);
    finds(&up, "client.toml", "chmod 600", true);
    mode(&profile, 0o600);
    mode(&keyring, 0o644);
    finds(&up, "keyring", "with mode 600", true);
    mode(&keyring, 0o600);

    let aside = up.path("aside");
    fs::rename(&profile, &aside).unwrap();
    finds(&up, "client.toml", "takedown up", true);
    fs::rename(&aside, &profile).unwrap();
    fs::rename(&keyring, &aside).unwrap();
    finds(&up, "keyring", "from its backup", true);
    Keyring::create(&keyring).unwrap();
    finds(&up, "keyring and data", "belongs to another", true);
    fs::rename(&aside, &keyring).unwrap();

    let nobody = "postgresql://nobody@127.0.0.1:9/none";
    let away = problems(&up, Some(nobody));
    assert_eq!(away.len(), 1, "{away:?}");
    assert_eq!(away[0].0, "database");
    assert!(away[0].1.contains("look at its log"), "{away:?}");
    let unknown = problems(&up, Some(""));
    assert_eq!(unknown.len(), 1, "{unknown:?}");
    assert!(unknown[0].1.contains("set DATABASE_URL"), "{unknown:?}");
    assert_eq!(problems(&up, None), []);
}

/// A statement that breaks something in a service's schema, one that mends it, and what must be found between them.
struct Trouble {
    schema: &'static str,
    breaks: &'static str,
    mends: &'static str,
    check: &'static str,
    todo: &'static str,
}

/// With the system at rest, so that nobody mends it meanwhile.
const TROUBLES: [Trouble; 6] = [
    Trouble {
        schema: "intake",
        breaks: "alter table platform_migration rename to gone",
        mends: "alter table gone rename to platform_migration",
        check: "migrations of intake",
        todo: "takedown migrate",
    },
    Trouble {
        schema: "dispatch",
        breaks: "insert into event (id, case_id, shard, kind, occurred_at, payload, inserted_at)
            values (gen_random_uuid(), gen_random_uuid(), 0, 'Test', now(), '', now() - interval '1 minute')",
        mends: "delete from event where kind = 'Test'",
        check: "log of dispatch",
        todo: "see whether dispatch is running",
    },
    Trouble {
        schema: "dispatch",
        breaks: "insert into event (id, case_id, shard, kind, occurred_at, payload, position, inserted_at)
            values (gen_random_uuid(), gen_random_uuid(), 0, 'Test', now(), '', 1000, now() - interval '9 years')",
        mends: "delete from event where kind = 'Test'",
        check: "partitions of dispatch",
        todo: "it makes the days ahead",
    },
    Trouble {
        schema: "ledger",
        breaks: "insert into cursor (consumer, producer, shard, position, event_id)
            select 'ledger', 'dispatch', s, 1000, gen_random_uuid() from generate_series(0, 15) s
            on conflict (consumer, producer, shard) do update set position = 1000, event_id = excluded.event_id",
        mends: "delete from cursor where producer = 'dispatch'",
        check: "ledger hears dispatch",
        todo: "from the same backup",
    },
    Trouble {
        schema: "verification",
        breaks: "update intake.event set inserted_at = now() - interval '2 minutes';
            update cursor set position = 0, event_id = null where producer = 'intake'",
        mends: "update cursor c set position = s.position, event_id = s.event_id
            from intake.log_shard s where s.shard = c.shard and c.producer = 'intake'",
        check: "verification hears intake",
        todo: "its log for what it cannot apply",
    },
    Trouble {
        schema: "verification",
        breaks: "insert into parked_event (consumer, producer, shard, position, id, case_id, kind, occurred_at, payload,
                reason, parked_at)
            values ('verification', 'intake', 0, 1, gen_random_uuid(), gen_random_uuid(), 'Test', now(), '', 'x', now())",
        mends: "delete from parked_event",
        check: "parked by verification",
        todo: "takes two people",
    },
];

#[tokio::test(flavor = "multi_thread")]
async fn a_system_that_does_not_go_on() {
    let mut up = Up::start().await;
    let parked = || {
        let found = problems(&up, None);
        let parked = found
            .iter()
            .find(|(check, _)| check == "parked by verification");
        parked.map(|(_, todo)| todo.clone())
    };
    rotten(&up).await;
    assert!(until(parked).await.contains("takedown parked list"));
    let verification = up.database().pool("verification").await;
    sql(&verification, "delete from session").await;
    let signed_out = || {
        let found = problems(&up, None);
        let operator = found.iter().find(|(check, _)| check == "local operator");
        operator.map(|(_, todo)| todo.clone())
    };
    assert!(
        until(signed_out)
            .await
            .contains("each start opens a new one")
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
        finds(&up, role, "start `takedown up`", false);
    }
    let at_rest = problems(&up, None).len();
    for Trouble {
        schema,
        breaks,
        mends,
        check,
        todo,
    } in TROUBLES
    {
        let pool = up.database().pool(schema).await;
        sql(&pool, breaks).await;
        finds(&up, check, todo, false);
        sql(&pool, mends).await;
        assert_eq!(problems(&up, None).len(), at_rest, "{check} stays");
    }
}
