//! The operators' commands on a real database.

use std::os::unix::fs::PermissionsExt as _;

use crate::program::{RunningSystem, errors, wait_for};
use platform::log::{self, NewEvent};
use proto::v1::CaseReopened;
use proto::v1::event::Body;
use serde_json::Value;
use sqlx::types::time::OffsetDateTime;
use uuid::Uuid;

const URL: &str = "https://pictures.host-one.example/a/1.jpg";

#[tokio::test(flavor = "multi_thread")]
async fn a_data_folder_has_one_system_which_stops_on_sigterm() {
    let mut up = RunningSystem::start().await;
    assert!(
        up.output["password"].is_string(),
        "the first start shows it"
    );
    let mode = std::fs::metadata(up.path("client.toml")).unwrap();
    assert_eq!(mode.permissions().mode() & 0o777, 0o600);
    assert_eq!(up.refusal(&["up"]), "folder_busy");

    let doctor = up.json(&["doctor"]);
    assert_eq!(doctor["ok"], true, "{doctor:#}");
    assert!(up.terminate().success());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_after_a_kill_continues_with_the_same_data() {
    let mut up = RunningSystem::start().await;
    let receipt = up.json(&["report", "submit", "--url", URL]);
    up.kill_and_restart();
    assert!(up.output["password"].is_null(), "shown once");
    let reference = receipt["reference"].as_str().unwrap();
    let status = up.json(&["report", "status", reference]);
    assert!(status["outcome"].is_string());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_case_is_found_by_its_id_a_reference_or_an_external_id() {
    let up = RunningSystem::start().await;
    let receipt = up.json(&["report", "submit", "--url", URL, "--external-id", "PU-1"]);
    let case = receipt["case_id"].as_str().unwrap();
    let reference = receipt["reference"].as_str().unwrap();
    for identifier in [case, reference, "PU-1"] {
        let shown = up.json(&["case", "show", identifier]);
        assert_eq!(shown["case_id"], case);
        assert_eq!(shown["timeline_truncated"], false);
        assert!(
            !shown.to_string().contains("/a/1.jpg"),
            "addresses are masked"
        );
    }
    assert_eq!(up.refusal(&["case", "show", "PU-2"]), "case_not_found");
    assert_eq!(
        up.refusal(&["report", "submit", "--url", "ftp://x.example/"]),
        "url_scheme_not_allowed"
    );
    let people = up.command(&["case", "show", case]).output().unwrap();
    assert!(people.status.success(), "{}", errors(&people));
    assert_eq!(
        up.command(&["case"]).output().unwrap().status.code(),
        Some(2)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn operators_maintain_providers_and_staff() {
    let up = RunningSystem::start().await;
    let file = up.path("providers.json");
    std::fs::write(
        &file,
        r#"[{"id":"host-one","role":"host","channel":"api","domains":["host-one.example"],"behaviour":"prompt"},
            {"id":"host-two","role":"host","channel":"email","cidrs":["198.51.100.0/29","2001:db8:1::/48"],
             "abuse_contact":"abuse@host-two.example","upstream":"host-one"}]"#,
    )
    .unwrap();
    let imported = up.json(&["provider", "import", file.to_str().unwrap()]);
    assert_eq!(imported["written"], 2, "{imported}");
    assert_eq!(up.json(&["provider", "list"]).as_array().unwrap().len(), 2);
    let key = up.json(&["provider", "key", "create", "host-one", "--scope", "read"]);
    assert!(key["key"].as_str().unwrap().starts_with("tdh_"));
    assert_eq!(
        up.json(&["provider", "show", "host-two"])["upstream"],
        "host-one"
    );
    assert!(up.json(&["notice", "list"]).as_array().unwrap().is_empty());

    let staff = up.json(&["staff", "add", "sam", "--role", "analyst"]);
    assert!(staff["password"].is_string());
    let all = up.json(&["staff", "list"]);
    assert_eq!(all.as_array().unwrap().len(), 2);
    up.json(&["staff", "revoke", staff["subject"].as_str().unwrap()]);
}

/// Appends an event to intake's log that cannot be decoded; returns its case id and its id.
pub async fn append_unreadable_event(up: &RunningSystem) -> (String, String) {
    let (case_id, id) = (Uuid::new_v4(), Uuid::new_v4());
    let intake = up.database().pool("intake").await;
    let mut conn = intake.acquire().await.unwrap();
    let event = NewEvent {
        id,
        case_id,
        kind: "ReportReceived",
        caused_by: None,
        traceparent: None,
        occurred_at: OffsetDateTime::UNIX_EPOCH,
        payload: b"\xff no message".to_vec(),
    };
    log::append(&mut conn, &[event]).await.unwrap();
    (case_id.to_string(), id.to_string())
}

fn parked_by_verification(up: &RunningSystem) -> Option<Value> {
    let parked = up.json(&["parked", "list"]);
    let all = parked.as_array().unwrap().clone();
    all.into_iter().find(|p| p["consumer"] == "verification")
}

/// Creates a supervisor, sam; returns the reference to the password.
fn second_person(up: &RunningSystem) -> String {
    let second = up.path("second");
    std::fs::write(&second, "a long enough password of sam").unwrap();
    std::fs::set_permissions(&second, std::fs::Permissions::from_mode(0o600)).unwrap();
    let password = format!("file:{}", second.display());
    let add = ["staff", "add", "sam", "--role", "supervisor"];
    up.json(&[&add[..], &["--password", &password]].concat());
    password
}

fn as_strs(args: &[String]) -> Vec<&str> {
    args.iter().map(String::as_str).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn two_people_replay_a_parked_event() {
    let up = RunningSystem::start().await;
    let (case, event) = append_unreadable_event(&up).await;
    let parked = || parked_by_verification(&up);
    let parked_event = wait_for(parked).await;
    assert_eq!(parked_event["event_id"], event);
    let password = second_person(&up);
    let selection = [
        "--consumer",
        "verification",
        "--producer",
        "intake",
        "--case",
        &case,
    ];
    let by_sam = ["--confirmed-by", "sam", "--password", &password];
    let replay = [&["parked", "replay"][..], &selection, &by_sam].concat();
    assert_eq!(up.refusal(&replay), "replay_refused");
    assert!(parked().is_some(), "it stays parked");

    // The cause is fixed: the event can be decoded, and verification ignores its type.
    let verification = up.database().pool("verification").await;
    let set_payload = |payload: Vec<u8>| {
        sqlx::query("update parked_event set payload = $1")
            .bind(payload)
            .execute(&verification)
    };
    let readable = domain::event::encode(Body::CaseReopened(CaseReopened { episode: 2 }));
    set_payload(readable).await.unwrap();
    let result = up.json(&replay);
    assert_eq!(result["replayed"], true, "{result}");
    assert!(parked().is_none(), "the case is unblocked");
    assert_eq!(up.refusal(&replay), "not_parked");
}

#[tokio::test(flavor = "multi_thread")]
async fn two_people_drop_an_unreadable_event() {
    let up = RunningSystem::start().await;
    let (case, event) = append_unreadable_event(&up).await;
    let parked = || parked_by_verification(&up);
    wait_for(parked).await;
    let password = second_person(&up);
    let selection = [
        "--consumer",
        "verification",
        "--producer",
        "intake",
        "--case",
        &case,
    ];
    let by_sam = ["--confirmed-by", "sam", "--password", &password];

    let by_stranger = ["--confirmed-by", "tom", "--password", &password];
    let drop = |by: &[&str]| {
        let args = [
            &["parked", "drop"][..],
            &selection,
            &["--event", &event],
            by,
        ]
        .concat();
        args.into_iter().map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(up.refusal(&as_strs(&drop(&by_stranger))), "sign_in_refused");
    let dropped: Value = up.json(&as_strs(&drop(&by_sam)));
    assert_eq!(dropped["dropped"], true);
    assert!(parked().is_none());
    assert_eq!(up.refusal(&as_strs(&drop(&by_sam))), "not_parked");
}

#[tokio::test(flavor = "multi_thread")]
async fn ledger_verify_finds_a_leaf_that_was_changed_by_sql() {
    let up = RunningSystem::start().await;
    for n in 0..3 {
        up.json(&[
            "report",
            "submit",
            "--url",
            &format!("https://h{n}.example/p"),
        ]);
    }
    let covered = || {
        let verified = up.json(&["ledger", "verify"]);
        (verified["covered"].as_u64()? >= 3).then_some(verified)
    };
    let verified = wait_for(covered).await;
    assert_eq!(verified["ok"], true, "{verified:#}");

    // A change by someone with full access to the database is detected.
    let ledger = up.database().pool("ledger").await;
    sqlx::query("update leaf set occurred_at = occurred_at + interval '1 hour' where index = 1")
        .execute(&ledger)
        .await
        .unwrap();
    let output = up
        .command(&["ledger", "verify", "--json"])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", errors(&output));
    let verified: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(verified["first_fault"]["leaf"], 1, "{verified:#}");
    assert_eq!(verified["first_fault"]["code"], "leaf_changed");
}
