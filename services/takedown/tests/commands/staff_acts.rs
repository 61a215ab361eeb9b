//! Acts of staff on cases and notices, and lists of notices.

use platform::clock::wall;
use proto::v1::{Category, ClaimCasesRequest, DecideCasesRequest, DecisionItem, Verdict, verdict};
use roles::client::Client;
use serde_json::{Value, json};
use time::format_description::well_known::Rfc3339;

use crate::program::{RunningSystem, start_and_wait, takedown, terminate, wait_for};

/// Adds a host with the pull API to the directory; returns its key.
fn create_host(up: &RunningSystem) -> Value {
    let file = up.path("providers.json");
    let providers =
        r#"[{"id":"host-one","role":"host","channel":"api","domains":["host-one.example"]}]"#;
    std::fs::write(&file, providers).unwrap();
    up.json(&["provider", "import", file.to_str().unwrap()]);
    up.json(&["provider", "key", "create", "host-one"])
}

/// Decides all waiting cases as actionable; returns their number.
async fn decide(client: &Client) -> usize {
    let request = ClaimCasesRequest {
        limit: 100,
        case_id: String::new(),
    };
    let claimed = client.verification().claim_cases(request).await.unwrap();
    let decisions: Vec<DecisionItem> = claimed
        .into_inner()
        .claimed
        .into_iter()
        .map(|claimed| {
            let case = claimed.assessment.unwrap();
            let verdict = verdict::Verdict::Actionable(Category::B.into());
            DecisionItem {
                case_id: case.case_id,
                version: case.version,
                claim_token: claimed.claim_token,
                verdict: Some(Verdict {
                    verdict: Some(verdict),
                }),
            }
        })
        .collect();
    let decided = decisions.len();
    if decided > 0 {
        let request = DecideCasesRequest { decisions };
        client.verification().decide_cases(request).await.unwrap();
    }
    decided
}

async fn decide_all(client: &Client, cases: usize) {
    let mut decided = 0;
    while decided < cases {
        decided += decide(client).await;
        tokio::task::yield_now().await;
    }
}

/// Reports a page of the host and waits for its notice; returns the ids of case and notice.
async fn case_with_notice(up: &RunningSystem, page: &str) -> (String, String) {
    let url = format!("https://host-one.example/{page}");
    let receipt = up.json(&["report", "submit", "--url", &url]);
    let case = receipt["case_id"].as_str().unwrap().to_owned();
    decide_all(&up.client(), 1).await;
    let notice = || {
        let notices = up.json(&["notice", "list", "--case", &case]);
        Some(notices[0]["notice_id"].as_str()?.to_owned())
    };
    let notice = wait_for(notice).await;
    (case, notice)
}

#[tokio::test(flavor = "multi_thread")]
async fn staff_answer_a_question_place_and_release_a_police_hold_and_withdraw_a_verdict() {
    let up = RunningSystem::start().await;
    let key = create_host(&up);
    let (case, notice) = case_with_notice(&up, "a").await;

    let gateway = up.output["gateway"].as_str().unwrap();
    let http = host_client::gateway_client::http_client().unwrap();
    let send_answer = || {
        http.post(format!("{gateway}/provider/v1/answers"))
            .bearer_auth(key["key"].as_str().unwrap())
            .header("idempotency-key", "one-question")
            .json(&json!({ "answers": [
                { "notice_id": notice, "answer": "need_information", "text": "which of them?" },
            ] }))
            .send()
    };
    assert!(send_answer().await.unwrap().status().is_success());
    let informed = up.json(&["case", "inform", &notice, "the first one"]);
    assert_ne!(informed["state"], "need_information", "{informed}");
    let unknown = "018f0000-0000-7000-8000-00000000ffff";
    assert_eq!(up.refusal(&["case", "inform", unknown, "x"]), "not_found");

    let until = wall() + time::Duration::hours(1);
    let until = until.format(&Rfc3339).unwrap();
    let on_police_hold = up.json(&[
        "case",
        "hold",
        &case,
        "--reason",
        "requested by the police",
        "--until",
        &until,
    ]);
    assert_eq!(on_police_hold["state"], "police_hold", "{on_police_hold}");
    let released = up.json(&["case", "release", &case]);
    assert_eq!(released["state"], "actionable", "{released}");
    let withdrawn = up.json(&["case", "withdraw", &case, "--reason", "our mistake"]);
    assert_eq!(withdrawn["state"], "withdrawn", "{withdrawn}");

    // A revoked key is refused.
    let revoked = up.json(&["provider", "key", "revoke", key["key_id"].as_str().unwrap()]);
    assert_eq!(revoked["revoked"], key["key_id"]);
    assert_eq!(send_answer().await.unwrap().status().as_u16(), 401);
}

#[tokio::test(flavor = "multi_thread")]
async fn overdue_notices_are_listed_up_to_the_limit() {
    const CASES: usize = 520; // more than one page of the server
    let policy = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../deploy/policies/demo.yaml"
    );
    let up = RunningSystem::start_with(&["--policy", policy]).await;
    create_host(&up);
    let rows: Vec<String> = (0..CASES)
        .map(|n| format!("R-{n},public,https://host-one.example/{n}"))
        .collect();
    let rows = rows.join("\n");
    let file = up.path("rows.csv");
    std::fs::write(&file, format!("external_id,channel,url\n{rows}\n")).unwrap();
    let out = up.path("out.csv");
    up.json(&[
        "report",
        "import",
        file.to_str().unwrap(),
        "--out",
        out.to_str().unwrap(),
    ]);
    decide_all(&up.client(), CASES).await;

    let all = || {
        let listed = up.json(&["notice", "list", "--overdue", "--limit", "1000"]);
        let shown = listed["overdue"].as_array().unwrap().len();
        (listed["total"].as_u64()? >= CASES as u64).then_some(shown)
    };
    assert!(wait_for(all).await >= CASES);
    let few = up.json(&["notice", "list", "--overdue", "--limit", "3"]);
    assert_eq!(few["overdue"].as_array().unwrap().len(), 3);
    assert!(few["overdue"][0]["deadline"].is_string(), "{few}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_reference_client_reports_its_addresses_as_json() {
    let up = RunningSystem::start().await;
    let key = create_host(&up);
    let mut command = takedown(None, up.dir.path());
    command
        .args(["provider", "serve", "--id", "host-one"])
        .args(["--gateway", up.output["gateway"].as_str().unwrap()])
        .args(["--behaviour", "bounces", "--smtp-listen", "127.0.0.1:0"])
        .env("TAKEDOWN_PROVIDER_KEY", key["key"].as_str().unwrap());
    let (mut child, addresses) = start_and_wait(command);
    assert!(
        addresses["smtp"]
            .as_str()
            .unwrap()
            .starts_with("127.0.0.1:"),
        "{addresses}"
    );
    assert_eq!(
        (&addresses["polls"], &addresses["webhook"]),
        (&json!(false), &Value::Null)
    );
    assert!(terminate(&mut child).success());
}
