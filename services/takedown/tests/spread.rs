//! A process for each role: it refuses what it must not start with, comes and goes in any order, says the truth about
//! itself, and shows its log to those alone who hear it. On either bus.

use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;

use platform::broker::Broker;
use platform::db;
use platform::error::Problem;
use platform::grpc::Transport;
use platform::tls::{self, Tls, TlsFiles};
use proto::v1;
use proto::v1::log_service_client::LogServiceClient;
use proto::v1::verification_service_client::VerificationServiceClient;
use secrecy::ExposeSecret as _;
use sqlx::{Connection as _, PgConnection};
use takedown::role::Role;
use takedown::role::config::Outside;
use takedown::spread::{self, Plan, Spread};
use tempfile::TempDir;
use toml::Table;
use tonic::Code;
use tonic::transport::Channel;

/// Of a role, from being asked to its end.
const END: Duration = Duration::from_secs(25);
const DEADLINE: Duration = Duration::from_mins(1);

/// A folder that the database's user may pass through.
fn folder() -> TempDir {
    tempfile::Builder::new()
        .prefix("takedown-spread-")
        .permissions(std::fs::Permissions::from_mode(0o711))
        .tempdir()
        .unwrap()
}

async fn start(folder: &TempDir, bus: Table) -> Spread {
    let plan = Plan {
        data_dir: folder.path().join("system"),
        program: spread::program().unwrap(),
        policy: takedown::system::DEMO_POLICY.to_owned(),
        settings: Table::new(),
        outside: Outside {
            production: false,
            ..Outside::default()
        },
        bus,
        second: Vec::new(),
        environment: Vec::new(),
    };
    Spread::start(plan, &|line| eprintln!("{line}"))
        .await
        .unwrap()
}

/// Ends the system, and removes the database's files where they lie outside the folder.
async fn end(spread: Spread) {
    let home = spread.database().home().to_owned();
    spread.stop().await.unwrap();
    let _ = std::fs::remove_dir_all(home);
}

async fn administrator(spread: &Spread) -> PgConnection {
    PgConnection::connect(spread.database_url().expose_secret())
        .await
        .unwrap()
}

async fn run(admin: &mut PgConnection, sql: &'static str) {
    sqlx::raw_sql(sql).execute(admin).await.unwrap();
}

async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    tokio::time::timeout(DEADLINE, async {
        while !holds().await {
            tokio::task::yield_now().await;
        }
    })
    .await
    .unwrap_or_else(|_| panic!("not in time: {what}"));
}

#[tokio::test(flavor = "multi_thread")]
async fn roles_end_in_time_and_come_back_in_any_order() {
    let folder = folder();
    let spread = start(&folder, Table::new()).await;
    let mut order = Role::ALL;
    for _ in 0..2 {
        let began = tokio::time::Instant::now();
        let ends = order.map(|role| spread.terminate(role));
        for (status, role) in futures::future::join_all(ends).await.iter().zip(order) {
            assert!(status.as_ref().unwrap().success(), "{role}");
        }
        assert!(began.elapsed() < END, "{:?}", began.elapsed());
        order.reverse();
        for role in order {
            spread.launch(role).await.unwrap();
        }
        for role in order {
            spread.ready(role, DEADLINE).await.unwrap();
        }
    }
    for role in order {
        spread.kill(role).await.unwrap();
    }
    // One after the other, the one that everything begins with last.
    for role in order {
        spread.launch(role).await.unwrap();
        if matches!(
            role,
            Role::Verification | Role::Dispatch | Role::Ledger | Role::Intake
        ) {
            spread.ready(role, DEADLINE).await.unwrap();
        }
    }
    for role in Role::ALL {
        spread.ready(role, DEADLINE).await.unwrap();
    }
    end(spread).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_role_lives_without_what_it_needs_and_is_ready_with_it() {
    let folder = folder();
    let spread = start(&folder, Table::new()).await;
    let mut admin = administrator(&spread).await;

    // Intake loses its database, and finds it again.
    run(&mut admin, "alter role takedown_intake nologin").await;
    run(
        &mut admin,
        "select pg_terminate_backend(pid) from pg_stat_activity where usename = 'takedown_intake'",
    )
    .await;
    until("intake is not ready", async || {
        !spread.is_ready(Role::Intake).await
    })
    .await;
    assert!(spread.is_alive(Role::Intake).await);
    run(&mut admin, "alter role takedown_intake login").await;
    spread.ready(Role::Intake, DEADLINE).await.unwrap();

    // The gateway loses intake, and finds it again.
    spread.kill(Role::Intake).await.unwrap();
    until("the gateway is not ready", async || {
        !spread.is_ready(Role::Gateway).await
    })
    .await;
    assert!(spread.is_alive(Role::Gateway).await);
    spread.launch(Role::Intake).await.unwrap();
    spread.ready(Role::Gateway, DEADLINE).await.unwrap();
    end(spread).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_role_refuses_a_schema_that_lacks_what_it_needs_and_a_user_that_is_not_its_own() {
    let folder = folder();
    let spread = start(&folder, Table::new()).await;
    let mut admin = administrator(&spread).await;
    spread.kill(Role::Dispatch).await.unwrap();
    run(
        &mut admin,
        "create table public.kept as select * from dispatch.dispatch_migration where version = 4;
         delete from dispatch.dispatch_migration where version = 4",
    )
    .await;
    spread.launch(Role::Dispatch).await.unwrap();
    let refused = spread.ready(Role::Dispatch, DEADLINE).await.unwrap_err();
    let log = spread.log(Role::Dispatch);
    assert!(
        log.contains("lacks 1 migrations") && log.contains("run `takedown migrate`"),
        "{refused:#}\n{log}"
    );
    run(
        &mut admin,
        "insert into dispatch.dispatch_migration select * from public.kept; drop table public.kept",
    )
    .await;
    spread.launch(Role::Dispatch).await.unwrap();
    spread.ready(Role::Dispatch, DEADLINE).await.unwrap();

    // With the administrator's address it would have every right there is.
    spread.kill(Role::Ledger).await.unwrap();
    let address = folder.path().join("system/config/ledger.database");
    let own = std::fs::read(&address).unwrap();
    std::fs::write(&address, spread.database_url().expose_secret()).unwrap();
    spread.launch(Role::Ledger).await.unwrap();
    assert!(spread.ready(Role::Ledger, DEADLINE).await.is_err());
    let log = spread.log(Role::Ledger);
    assert!(
        log.contains("must sign in to the database as `takedown_ledger`"),
        "{log}"
    );
    std::fs::write(&address, own).unwrap();
    spread.launch(Role::Ledger).await.unwrap();
    spread.ready(Role::Ledger, DEADLINE).await.unwrap();
    end(spread).await;
}

/// A channel to `to` with the certificate of another role.
fn channel(folder: &TempDir, spread: &Spread, name: &str, to: Role) -> Channel {
    let tls = folder.path().join("system/tls");
    let files = TlsFiles {
        cert: tls.join(format!("{name}.crt")),
        key: tls.join(format!("{name}.key")),
        ca: tls.join("ca.crt"),
    };
    let tls = Tls::open(files, &tls::Role::parse(name).unwrap()).unwrap();
    let addresses = spread.addresses();
    let address = match to {
        Role::Intake => &addresses.intake,
        Role::Verification => &addresses.verification,
        other => panic!("{other} serves no log that is asked for here"),
    };
    Transport::Proven(tls).channel(to.name(), address).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_is_shown_to_the_certificate_of_a_role_that_hears_it_whatever_a_caller_says() {
    let folder = folder();
    let spread = start(&folder, Table::new()).await;
    let read = async |name: &str, said: &'static str, from: Role| {
        let mut request = tonic::Request::new(v1::ReadLogRequest::default());
        let said = tonic::metadata::MetadataValue::from_static(said);
        request.metadata_mut().insert("takedown-caller", said);
        let mut client = LogServiceClient::new(channel(&folder, &spread, name, from));
        let answer = client.read_log(request).await;
        answer.map(drop).map_err(|status| {
            let code = status.code();
            (code, Problem::from(status).code.into_owned())
        })
    };
    assert_eq!(read("ledger", "gateway", Role::Intake).await, Ok(()));
    assert_eq!(read("intake", "intake", Role::Verification).await, Ok(()));
    let refused = |code: &str| Err((Code::PermissionDenied, code.to_owned()));
    // A hearer of other logs; and those who hear none.
    let other = read("dispatch", "ledger", Role::Intake).await;
    assert_eq!(other, refused("reader_not_registered"));
    for name in ["gateway", "console", "operator"] {
        let stranger = read(name, "ledger", Role::Intake).await;
        assert_eq!(stranger, refused("role_not_allowed"), "{name}");
    }
    // The table is held at every role: an edge to the outside asks nothing of verification.
    let channel = channel(&folder, &spread, "gateway", Role::Verification);
    let asked = VerificationServiceClient::new(channel)
        .list_queue(v1::ListQueueRequest::default())
        .await;
    let problem = Problem::from(asked.unwrap_err());
    assert_eq!(problem.code, "role_not_allowed");
    end(spread).await;
}

mod on_a_broker {
    use super::*;

    /// The same processes, told to use Kafka: events go from role to role, and nobody has a right in another's schema.
    #[tokio::test(flavor = "multi_thread")]
    async fn roles_hear_each_other_over_kafka() {
        let folder = folder();
        let mut broker = Broker::start(&folder.path().join("kafka"), &|line| eprintln!("{line}"))
            .await
            .unwrap();
        let bus = format!(
            "kind = \"kafka\"\nbootstrap = \"{}\"\ncompare_millis = 2000",
            broker.bootstrap()
        );
        let spread = start(&folder, bus.parse().unwrap()).await;
        let mut admin = administrator(&spread).await;
        for (reader, other) in takedown::system::SHARED_LOGS.map(|(from, to)| (to, from)) {
            let may: bool = sqlx::query_scalar("select has_schema_privilege($1, $2, 'usage')")
                .bind(db::runtime(reader))
                .bind(other)
                .fetch_one(&mut admin)
                .await
                .unwrap();
            assert!(!may, "{reader} reaches into {other}");
        }

        let submit = async |url: &str| {
            let request = v1::SubmitReportsRequest {
                channel: v1::ReportChannel::Public.into(),
                items: vec![v1::ReportItem {
                    url: url.to_owned(),
                    ..v1::ReportItem::default()
                }],
                ..v1::SubmitReportsRequest::default()
            };
            let answer = spread.client().intake().submit_reports(request).await;
            let result = answer.unwrap().into_inner().results.remove(0).result;
            let Some(v1::item_result::Result::Receipt(receipt)) = result else {
                panic!("not accepted: {result:?}");
            };
            receipt.case_id
        };
        let heard = async |case_id: &str| {
            let (mut ledger, mut queue) =
                (spread.client().ledger(), spread.client().verification());
            let timeline = v1::GetTimelineRequest {
                case_id: case_id.to_owned(),
            };
            let assessment = v1::GetAssessmentRequest {
                case_id: case_id.to_owned(),
            };
            let timeline = ledger.get_timeline(timeline).await;
            timeline.is_ok_and(|told| !told.get_ref().entries.is_empty())
                && queue.get_assessment(assessment).await.is_ok()
        };
        let case = submit("https://lotus.test/1").await;
        until(
            "verification and the ledger hear of the report",
            async || heard(&case).await,
        )
        .await;

        // Without the broker it comes by the log itself.
        broker.kill().await;
        let case = submit("https://lotus.test/2").await;
        until("it is read from the log", async || heard(&case).await).await;
        end(spread).await;
    }
}
