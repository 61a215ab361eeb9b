//! What operators do, through the program that they do it with, on a real database.

use std::os::unix::fs::PermissionsExt as _;

use crate::program::{Up, errors, until};
use platform::log::{self, NewEvent};
use proto::v1::CaseReopened;
use proto::v1::event::Body;
use serde_json::Value;
use sqlx::types::time::OffsetDateTime;
use uuid::Uuid;

const URL: &str = "https://pictures.host-one.example/a/1.jpg";

#[tokio::test(flavor = "multi_thread")]
async fn one_system_a_folder_and_it_ends_when_it_is_told() {
    let mut up = Up::start().await;
    assert!(up.said["password"].is_string(), "the first start shows it");
    let mode = std::fs::metadata(up.path("client.toml")).unwrap();
    assert_eq!(mode.permissions().mode() & 0o777, 0o600);
    assert_eq!(up.refusal(&["up"]), "folder_busy");

    let doctor = up.json(&["doctor"]);
    assert_eq!(doctor["ok"], true, "{doctor:#}");
    assert!(up.terminate().success());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_start_goes_on_where_the_first_was_killed() {
    let mut up = Up::start().await;
    let receipt = up.json(&["report", "submit", "--url", URL]);
    up.killed_and_started_again();
    assert!(up.said["password"].is_null(), "shown once");
    let reference = receipt["reference"].as_str().unwrap();
    let status = up.json(&["report", "status", reference]);
    assert!(status["outcome"].is_string());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_report_is_found_by_whatever_somebody_holds_of_it() {
    let up = Up::start().await;
    let receipt = up.json(&["report", "submit", "--url", URL, "--external-id", "PU-1"]);
    let case = receipt["case_id"].as_str().unwrap();
    let reference = receipt["reference"].as_str().unwrap();
    for held in [case, reference, "PU-1"] {
        let shown = up.json(&["case", "show", held]);
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
async fn providers_and_staff_are_kept_by_operators() {
    let up = Up::start().await;
    let file = up.path("providers.json");
    std::fs::write(
        &file,
        r#"[{"id":"host-one","role":"host","channel":"api","domains":["host-one.example"],"behaviour":"prompt"},
            {"id":"host-two","role":"host","channel":"email","cidrs":["198.51.100.0/29","2001:db8:1::/48"],
             "abuse_contact":"abuse@host-two.example","upstream":"host-one"}]"#,
    )
    .unwrap();
    let put = up.json(&["provider", "put", file.to_str().unwrap()]);
    assert_eq!(put["written"], 2, "{put}");
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

/// An event of intake's that nobody can read: its case and its id.
pub async fn rotten(up: &Up) -> (String, String) {
    let (case_id, id) = (Uuid::new_v4(), Uuid::new_v4());
    let intake = up.database().pool("intake").await;
    let mut conn = intake.acquire().await.unwrap();
    let rotten = NewEvent {
        id,
        case_id,
        kind: "ReportReceived",
        caused_by: None,
        traceparent: None,
        occurred_at: OffsetDateTime::UNIX_EPOCH,
        payload: b"\xff no message".to_vec(),
    };
    log::append(&mut conn, &[rotten]).await.unwrap();
    (case_id.to_string(), id.to_string())
}

fn parked_by_verification(up: &Up) -> Option<Value> {
    let parked = up.json(&["parked", "list"]);
    let all = parked.as_array().unwrap().clone();
    all.into_iter().find(|p| p["consumer"] == "verification")
}

/// Sam, a supervisor, and where the password is.
fn second_person(up: &Up) -> String {
    let second = up.path("second");
    std::fs::write(&second, "a long enough password of sam").unwrap();
    std::fs::set_permissions(&second, std::fs::Permissions::from_mode(0o600)).unwrap();
    let password = format!("file:{}", second.display());
    let add = ["staff", "add", "sam", "--role", "supervisor"];
    up.json(&[&add[..], &["--password", &password]].concat());
    password
}

fn strs(args: &[String]) -> Vec<&str> {
    args.iter().map(String::as_str).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_that_cannot_be_applied_waits_for_two_people() {
    let up = Up::start().await;
    let (case, event) = rotten(&up).await;
    let parked = || parked_by_verification(&up);
    let found = until(parked).await;
    assert_eq!(found["event_id"], event);
    let password = second_person(&up);
    let which = [
        "--consumer",
        "verification",
        "--producer",
        "intake",
        "--case",
        &case,
    ];
    let by_sam = ["--confirmed-by", "sam", "--password", &password];
    let replay = [&["parked", "replay"][..], &which, &by_sam].concat();
    assert_eq!(up.refusal(&replay), "replay_refused");
    assert!(parked().is_some(), "it stays parked");

    // The cause is mended: it can be read now, and verification has nothing to do about it.
    let verification = up.database().pool("verification").await;
    let put = |payload: Vec<u8>| {
        sqlx::query("update parked_event set payload = $1")
            .bind(payload)
            .execute(&verification)
    };
    let readable = domain::event::encode(Body::CaseReopened(CaseReopened { episode: 2 }));
    put(readable).await.unwrap();
    let told = up.json(&replay);
    assert_eq!(told["replayed"], true, "{told}");
    assert!(parked().is_none(), "the case flows again");
    assert_eq!(up.refusal(&replay), "not_parked");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_that_nobody_can_read_is_dropped_by_two_people() {
    let up = Up::start().await;
    let (case, event) = rotten(&up).await;
    let parked = || parked_by_verification(&up);
    until(parked).await;
    let password = second_person(&up);
    let which = [
        "--consumer",
        "verification",
        "--producer",
        "intake",
        "--case",
        &case,
    ];
    let by_sam = ["--confirmed-by", "sam", "--password", &password];

    let by_nobody = ["--confirmed-by", "tom", "--password", &password];
    let drop = |by: &[&str]| {
        let args = [&["parked", "drop"][..], &which, &["--event", &event], by].concat();
        args.into_iter().map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(up.refusal(&strs(&drop(&by_nobody))), "sign_in_refused");
    let dropped: Value = up.json(&strs(&drop(&by_sam)));
    assert_eq!(dropped["dropped"], true);
    assert!(parked().is_none());
    assert_eq!(up.refusal(&strs(&drop(&by_sam))), "not_parked");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_ledger_holds_until_one_leaf_is_changed_by_sql() {
    let up = Up::start().await;
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
    let verified = until(covered).await;
    assert_eq!(verified["ok"], true, "{verified:#}");

    // Whoever holds the database can write anything, and is found out all the same.
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
