//! Reports by partners and the public: submission, outcome, withdrawal.

use platform::batch::fold::KEY_REUSED;
use proto::v1;
use serde_json::json;

use crate::backend::{NOON, NOTICE, REFERENCE, RecordedCall};
use crate::setup::{json, problem, start};

#[tokio::test]
async fn a_submission_is_forwarded_completely_and_each_report_has_a_result() {
    let gateway = start().await;
    let body = json!({
        "channel": "partner_hotline", "reporter_country": "GB",
        "reports": [
            {"external_id": "a", "url": "hxxps://one[.]example/", "media": "image", "received_at": "2026-03-01T12:00:00Z",
             "hashes": [{"kind": "md5", "value": "d41d8cd98f00b204e9800998ecf8427e"}]},
            {"external_id": "b", "url": "ftp://two.example/"},
            {"external_id": "c", "url": "https://three.example/"},
        ]
    });
    let request = gateway
        .request("POST", "/v1/reports")
        .bearer_auth("tdp_x")
        .header("idempotency-key", "k")
        .json(&body);
    let body = json(request, 200).await;
    let (credential, RecordedCall::Submit(request)) = gateway.backend.only() else {
        panic!("not a call to submit_reports");
    };
    assert_eq!(credential.unwrap(), "Bearer tdp_x");
    assert_eq!(request.idempotency_key, "k");
    assert_eq!(request.channel, v1::ReportChannel::PartnerHotline as i32);
    assert_eq!(request.reporter_country, "GB");
    assert_eq!(
        request.reports[0],
        v1::NewReport {
            external_id: "a".into(),
            url: "hxxps://one[.]example/".into(),
            hashes: vec![v1::Hash {
                kind: v1::HashKind::Md5.into(),
                value: "d41d8cd98f00b204e9800998ecf8427e".into()
            }],
            media: v1::Media::Image.into(),
            received_at: Some(NOON),
        }
    );
    // The gateway forwards `hxxps` unchanged, and the backend of the test accepts only `http` and `https`.
    assert_eq!(body["results"][0]["problem"]["field"], "reports[0].url");
    assert_eq!(body["results"][1]["problem"]["code"], "url_scheme");
    let receipt = &body["results"][2]["receipt"];
    assert_eq!(body["results"][2]["external_id"], "c");
    assert_eq!(receipt["reference"], REFERENCE);
    assert_eq!(receipt["accepted_at"], "2026-03-01T12:00:00Z");
    assert_eq!(
        json!([receipt["case_id"], receipt["opened_case"]]),
        json!([NOTICE, false])
    );
}

#[tokio::test]
async fn reports_that_cannot_be_read_keep_their_positions() {
    let gateway = start().await;
    let body = json!({"channel": "public", "reports": [
        {"external_id": "a", "url": "https://one.example/", "media": "audio"},
        {"external_id": "b", "url": 5},
        {"external_id": "c", "url": "ftp://three.example/"},
        {"external_id": "d", "url": "https://four.example/", "hashes": [{"kind": "crc", "value": "0"}]},
        {"external_id": "e", "url": "https://five.example/"},
        "nothing",
    ]});
    let body = json(gateway.request("POST", "/v1/reports").json(&body), 200).await;
    let short: Vec<_> = body["results"]
        .as_array()
        .unwrap()
        .iter()
        .map(|r| {
            json!([
                r["external_id"],
                r["problem"]["code"],
                r["problem"]["field"]
            ])
        })
        .collect();
    assert_eq!(
        json!(short),
        json!([
            ["a", "value_unknown", "reports[0].media"],
            ["b", "field_type", "reports[1].url"],
            ["c", "url_scheme", "reports[2].url"],
            ["d", "value_unknown", "reports[3].hashes[0].kind"],
            ["e", null, null],
            [null, "field_type", "reports[5]"],
        ])
    );
    let (credential, RecordedCall::Submit(request)) = gateway.backend.only() else {
        panic!("not a call to submit_reports");
    };
    assert_eq!((credential, request.reports.len()), (None, 2));
    // The public does not learn the case, nor whether it is new.
    let receipt = body["results"][4]["receipt"].as_object().unwrap();
    assert_eq!(
        receipt.keys().collect::<Vec<_>>(),
        ["accepted_at", "reference", "report_id"]
    );
    assert!(!body.to_string().contains("example"));
}

#[tokio::test]
async fn without_an_accepted_report_the_response_is_a_problem_with_the_results() {
    let gateway = start().await;
    let submit = |urls: &[&str]| {
        let reports: Vec<_> = urls.iter().map(|url| json!({"url": url})).collect();
        let body = json!({"channel": "public", "reports": reports});
        gateway.request("POST", "/v1/reports").json(&body)
    };
    let body = problem(
        submit(&["ftp://a.example", "ftp://b.example"]),
        422,
        "no_report_accepted",
    )
    .await;
    assert_eq!(body["results"][1]["problem"]["field"], "reports[1].url");
    assert_eq!(body["results"][0]["external_id"], json!(null));
    // A temporary reason has its own status and a `Retry-After`.
    for (urls, code, after) in [
        (["quota", "ftp://b.example"], "quota_exceeded", "3600"),
        (["busy", "busy"], "no_report_accepted", "60"),
    ] {
        let response = submit(&urls).send().await.unwrap();
        assert_eq!(response.status(), 429);
        assert_eq!(response.headers()["retry-after"], after);
        problem(submit(&urls), 429, code).await;
    }
    let mixed = submit(&["busy", "ftp://b.example"]);
    problem(mixed, 422, "no_report_accepted").await;
    let conflict = submit(&["https://a.example/"]).header("idempotency-key", "used");
    problem(conflict, 409, KEY_REUSED).await;
}

#[tokio::test]
async fn a_submission_that_cannot_be_read_is_still_authenticated_and_bound_to_its_key() {
    let gateway = start().await;
    let submit = |url: serde_json::Value| {
        let body = json!({"channel": "partner_hotline", "reports": [{"url": url}]});
        let request = gateway.request("POST", "/v1/reports").json(&body);
        request.header("idempotency-key", "k")
    };
    problem(submit(json!(5)).bearer_auth("wrong"), 401, "key_invalid").await;
    assert_eq!(gateway.backend.call_count(), 0);
    let mut digests = std::collections::BTreeSet::new();
    for url in [json!(5), json!(6), json!(5)] {
        let request = submit(url).bearer_auth("tdp_x");
        problem(request, 422, "no_report_accepted").await;
        let (_, RecordedCall::Submit(request)) = gateway.backend.only() else {
            panic!("not a call to submit_reports");
        };
        assert!(request.reports.is_empty());
        assert_eq!(request.body_digest.len(), 32);
        digests.insert(request.body_digest);
    }
    assert_eq!(digests.len(), 2, "different bodies have different digests");
}

#[tokio::test]
async fn report_remove_forwards_three_facts_and_no_more() {
    let gateway = start().await;
    let submit = |facts: serde_json::Value| {
        let body = json!({"channel": "report_remove", "report_remove": facts, "reports": [{"url": "https://a.example/"}]});
        gateway.request("POST", "/v1/reports").json(&body)
    };
    let facts = json!({"under_18": true, "age_band": "13_15", "unique_number": "CH-1"});
    json(submit(facts), 200).await;
    let (_, RecordedCall::Submit(request)) = gateway.backend.only() else {
        panic!("not a call to submit_reports");
    };
    assert_eq!(
        request.report_remove.unwrap(),
        v1::ReportRemoveFacts {
            under_18: true,
            age_band: v1::AgeBand::AgeBand1315.into(),
            unique_number: "CH-1".into()
        }
    );
    let name = json!({"under_18": true, "age_band": "13_15", "unique_number": "CH-1", "name": "x"});
    let body = problem(submit(name), 400, "field_unknown").await;
    assert_eq!(body["field"], "report_remove.name");
    let band = json!({"under_18": true, "age_band": "18_20", "unique_number": "CH-1"});
    let body = problem(submit(band), 422, "value_unknown").await;
    assert_eq!(body["field"], "report_remove.age_band");
    assert_eq!(gateway.backend.call_count(), 0);
}

#[tokio::test]
async fn the_reference_gives_the_outcome_with_an_explanation() {
    let gateway = start().await;
    let outcome = json(
        gateway.request("GET", &format!("/v1/reports/{REFERENCE}")),
        200,
    )
    .await;
    assert_eq!(outcome["outcome"], "not_against_the_law");
    assert_eq!(outcome["received_at"], "2026-03-01T12:00:00Z");
    let help = outcome["help"].as_str().unwrap();
    assert!(
        help.contains("helpline") && help.contains("did anything wrong"),
        "{help}"
    );
    assert_eq!(outcome.as_object().unwrap().len(), 4);
    problem(
        gateway.request("GET", "/v1/reports/AAAAA"),
        404,
        "not_found",
    )
    .await;

    let path = format!("/v1/reports/{REFERENCE}/withdraw");
    let body = json(gateway.request("POST", &path), 200).await;
    assert_eq!(body["outcome"], "withdrawn");
}
