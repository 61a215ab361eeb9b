//! One process per role, on either bus: a role refuses to start with a wrong schema or user, restarts in any order,
//! reports its health correctly, and serves its log only to the roles that consume it.

use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;

use platform::db;
use platform::error::Problem;
use platform::grpc::Transport;
use platform::tls::{self, Tls, TlsFiles};
use proto::v1;
use proto::v1::log_service_client::LogServiceClient;
use proto::v1::verification_service_client::VerificationServiceClient;
use roles::role::Role;
use roles::role::config::EgressConfig;
use secrecy::ExposeSecret as _;
use simulator::multi_process::{self, MultiProcessSystem, SystemPlan};
use sqlx::{Connection as _, PgConnection};
use tempfile::TempDir;
use testkit::Broker;
use toml::Table;
use tonic::Code;
use tonic::transport::Channel;

/// From SIGTERM to the end of a role.
const TERMINATE_TIMEOUT: Duration = Duration::from_secs(25);
const DEADLINE: Duration = Duration::from_mins(1);

/// A folder that the operating system user of Postgres can enter.
fn data_folder() -> TempDir {
    tempfile::Builder::new()
        .prefix("takedown-multi-process-")
        .permissions(std::fs::Permissions::from_mode(0o711))
        .tempdir()
        .unwrap()
}

async fn start(data_folder: &TempDir, bus: Table) -> MultiProcessSystem {
    let plan = SystemPlan {
        data_dir: data_folder.path().join("system"),
        program: multi_process::program().unwrap(),
        policy: roles::system::DEMO_POLICY.to_owned(),
        settings: Table::new(),
        egress: EgressConfig {
            production: false,
            ..EgressConfig::default()
        },
        bus,
        doubled_roles: Vec::new(),
        environment: Vec::new(),
    };
    MultiProcessSystem::start(plan, &|line| eprintln!("{line}"))
        .await
        .unwrap()
}

/// Stops the system, and deletes database files that are outside of the data folder.
async fn stop(system: MultiProcessSystem) {
    let home = system.database().home().to_owned();
    system.stop().await.unwrap();
    let _ = std::fs::remove_dir_all(home);
}

async fn connect_as_administrator(system: &MultiProcessSystem) -> PgConnection {
    PgConnection::connect(system.database_url().expose_secret())
        .await
        .unwrap()
}

async fn execute(admin: &mut PgConnection, sql: &'static str) {
    sqlx::raw_sql(sql).execute(admin).await.unwrap();
}

async fn wait_until(what: &str, mut condition: impl AsyncFnMut() -> bool) {
    tokio::time::timeout(DEADLINE, async {
        while !condition().await {
            tokio::task::yield_now().await;
        }
    })
    .await
    .unwrap_or_else(|_| panic!("not in time: {what}"));
}

#[tokio::test(flavor = "multi_thread")]
async fn roles_end_in_time_and_restart_in_any_order() {
    let data_folder = data_folder();
    let system = start(&data_folder, Table::new()).await;
    let mut order = Role::ALL;
    for _ in 0..2 {
        let started = tokio::time::Instant::now();
        let ends = order.map(|role| system.terminate(role));
        for (status, role) in futures::future::join_all(ends).await.iter().zip(order) {
            assert!(status.as_ref().unwrap().success(), "{role}");
        }
        assert!(
            started.elapsed() < TERMINATE_TIMEOUT,
            "{:?}",
            started.elapsed()
        );
        order.reverse();
        for role in order {
            system.launch(role).await.unwrap();
        }
        for role in order {
            system.wait_until_ready(role, DEADLINE).await.unwrap();
        }
    }
    for role in order {
        system.kill(role).await.unwrap();
    }
    // One role at a time, each ready before the next one starts.
    for role in order {
        system.launch(role).await.unwrap();
        if matches!(
            role,
            Role::Verification | Role::Dispatch | Role::Ledger | Role::Intake
        ) {
            system.wait_until_ready(role, DEADLINE).await.unwrap();
        }
    }
    for role in Role::ALL {
        system.wait_until_ready(role, DEADLINE).await.unwrap();
    }
    stop(system).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_role_stays_alive_without_its_dependencies_and_is_ready_again_with_them() {
    let data_folder = data_folder();
    let system = start(&data_folder, Table::new()).await;
    let mut admin = connect_as_administrator(&system).await;

    // Intake loses its database and reconnects.
    execute(&mut admin, "alter role takedown_intake nologin").await;
    execute(
        &mut admin,
        "select pg_terminate_backend(pid) from pg_stat_activity where usename = 'takedown_intake'",
    )
    .await;
    wait_until("intake is not ready", async || {
        !system.is_ready(Role::Intake).await
    })
    .await;
    assert!(system.is_alive(Role::Intake).await);
    execute(&mut admin, "alter role takedown_intake login").await;
    system
        .wait_until_ready(Role::Intake, DEADLINE)
        .await
        .unwrap();

    // The gateway loses intake and reconnects.
    system.kill(Role::Intake).await.unwrap();
    wait_until("the gateway is not ready", async || {
        !system.is_ready(Role::Gateway).await
    })
    .await;
    assert!(system.is_alive(Role::Gateway).await);
    system.launch(Role::Intake).await.unwrap();
    system
        .wait_until_ready(Role::Gateway, DEADLINE)
        .await
        .unwrap();
    stop(system).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_role_refuses_a_schema_without_its_migrations_and_a_foreign_database_user() {
    let data_folder = data_folder();
    let system = start(&data_folder, Table::new()).await;
    let mut admin = connect_as_administrator(&system).await;
    system.kill(Role::Dispatch).await.unwrap();
    execute(
        &mut admin,
        "create table public.kept as select * from dispatch.dispatch_migration where version = 1;
         delete from dispatch.dispatch_migration where version = 1",
    )
    .await;
    system.launch(Role::Dispatch).await.unwrap();
    let refused = system
        .wait_until_ready(Role::Dispatch, DEADLINE)
        .await
        .unwrap_err();
    let log = system.log(Role::Dispatch);
    assert!(
        log.contains("lacks 1 migrations") && log.contains("run `takedown migrate`"),
        "{refused:#}\n{log}"
    );
    execute(
        &mut admin,
        "insert into dispatch.dispatch_migration select * from public.kept; drop table public.kept",
    )
    .await;
    system.launch(Role::Dispatch).await.unwrap();
    system
        .wait_until_ready(Role::Dispatch, DEADLINE)
        .await
        .unwrap();

    // The administrator's URL would give the role every right.
    system.kill(Role::Ledger).await.unwrap();
    let address = data_folder.path().join("system/config/ledger.database");
    let own = std::fs::read(&address).unwrap();
    std::fs::write(&address, system.database_url().expose_secret()).unwrap();
    system.launch(Role::Ledger).await.unwrap();
    assert!(
        system
            .wait_until_ready(Role::Ledger, DEADLINE)
            .await
            .is_err()
    );
    let log = system.log(Role::Ledger);
    assert!(
        log.contains("must log in to the database as `takedown_ledger`"),
        "{log}"
    );
    std::fs::write(&address, own).unwrap();
    system.launch(Role::Ledger).await.unwrap();
    system
        .wait_until_ready(Role::Ledger, DEADLINE)
        .await
        .unwrap();
    stop(system).await;
}

/// A channel to `to` with the certificate of another role.
fn channel(data_folder: &TempDir, system: &MultiProcessSystem, name: &str, to: Role) -> Channel {
    let tls = data_folder.path().join("system/tls");
    let files = TlsFiles {
        cert: tls.join(format!("{name}.crt")),
        key: tls.join(format!("{name}.key")),
        ca: tls.join("ca.crt"),
    };
    let tls = Tls::open(files, &tls::ServiceRole::parse(name).unwrap()).unwrap();
    let addresses = system.addresses();
    let address = match to {
        Role::Intake => &addresses.intake,
        Role::Verification => &addresses.verification,
        other => panic!("this test reads no log of {other}"),
    };
    Transport::MutualTls(tls)
        .channel(to.name(), address)
        .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_is_served_by_the_certificate_of_a_consumer_and_not_by_a_claimed_caller_name() {
    let data_folder = data_folder();
    let system = start(&data_folder, Table::new()).await;
    let read = async |name: &str, claimed: &'static str, from: Role| {
        let mut request = tonic::Request::new(v1::ReadLogRequest::default());
        let claimed = tonic::metadata::MetadataValue::from_static(claimed);
        request.metadata_mut().insert("takedown-caller", claimed);
        let mut client = LogServiceClient::new(channel(&data_folder, &system, name, from));
        let response = client.read_log(request).await;
        response.map(drop).map_err(|status| {
            let code = status.code();
            (code, Problem::from(status).code.into_owned())
        })
    };
    assert_eq!(read("ledger", "gateway", Role::Intake).await, Ok(()));
    assert_eq!(read("intake", "intake", Role::Verification).await, Ok(()));
    let refused = |code: &str| Err((Code::PermissionDenied, code.to_owned()));
    // A consumer of other logs; then roles that consume none.
    let other = read("dispatch", "ledger", Role::Intake).await;
    assert_eq!(other, refused("reader_not_registered"));
    for name in ["gateway", "console", "operator"] {
        let stranger = read(name, "ledger", Role::Intake).await;
        assert_eq!(stranger, refused("role_not_allowed"), "{name}");
    }
    // Every role checks access: the gateway must not call verification.
    let channel = channel(&data_folder, &system, "gateway", Role::Verification);
    let response = VerificationServiceClient::new(channel)
        .list_queue(v1::ListQueueRequest::default())
        .await;
    let problem = Problem::from(response.unwrap_err());
    assert_eq!(problem.code, "role_not_allowed");
    stop(system).await;
}

mod on_a_broker {
    use super::*;

    /// The same processes on Kafka: events reach their consumers, and no role has rights in the schema of another.
    #[tokio::test(flavor = "multi_thread")]
    async fn roles_exchange_events_over_kafka() {
        let data_folder = data_folder();
        let mut broker = Broker::start(&data_folder.path().join("kafka"), &|line| {
            eprintln!("{line}");
        })
        .await
        .unwrap();
        let bus = format!(
            "kind = \"kafka\"\nbootstrap = \"{}\"\ncompare_millis = 2000",
            broker.bootstrap()
        );
        let system = start(&data_folder, bus.parse().unwrap()).await;
        let mut admin = connect_as_administrator(&system).await;
        for (reader, other) in roles::system::SHARED_LOGS.map(|(from, to)| (to, from)) {
            let may: bool = sqlx::query_scalar("select has_schema_privilege($1, $2, 'usage')")
                .bind(db::runtime_role(reader))
                .bind(other)
                .fetch_one(&mut admin)
                .await
                .unwrap();
            assert!(!may, "{reader} can access the schema {other}");
        }

        let submit = async |url: &str| {
            let request = v1::SubmitReportsRequest {
                channel: v1::ReportChannel::Public.into(),
                reports: vec![v1::NewReport {
                    url: url.to_owned(),
                    ..v1::NewReport::default()
                }],
                ..v1::SubmitReportsRequest::default()
            };
            let answer = system.client().intake().submit_reports(request).await;
            let result = answer.unwrap().into_inner().results.remove(0).result;
            let Some(v1::report_result::Result::Receipt(receipt)) = result else {
                panic!("not accepted: {result:?}");
            };
            receipt.case_id
        };
        let is_known = async |case_id: &str| {
            let (mut ledger, mut queue) =
                (system.client().ledger(), system.client().verification());
            let timeline = v1::GetTimelineRequest {
                case_id: case_id.to_owned(),
            };
            let assessment = v1::GetAssessmentRequest {
                case_id: case_id.to_owned(),
            };
            let timeline = ledger.get_timeline(timeline).await;
            timeline.is_ok_and(|timeline| !timeline.get_ref().entries.is_empty())
                && queue.get_assessment(assessment).await.is_ok()
        };
        let case = submit("https://lotus.test/1").await;
        wait_until("verification and the ledger know the report", async || {
            is_known(&case).await
        })
        .await;

        // Without the broker, consumers read the producers' logs.
        broker.kill().await;
        let case = submit("https://lotus.test/2").await;
        wait_until("the event is read from the log", async || {
            is_known(&case).await
        })
        .await;
        stop(system).await;
    }
}
