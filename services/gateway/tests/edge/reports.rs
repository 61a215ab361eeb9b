//! Partners and the public: reporting, outcome, withdrawal.

use platform::batch::fold::KEY_REUSED;
use proto::v1;
use serde_json::json;

use crate::backend::{Call, NOON, NOTICE, REFERENCE};
use crate::setup::{json, problem, start};

#[tokio::test]
async fn a_submission_goes_on_whole_and_each_item_has_its_result() {
    let gateway = start().await;
    let body = json!({
        "channel": "partner_hotline", "reporter_country": "GB",
        "items": [
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
    let (credential, Call::Submit(asked)) = gateway.asked.only() else {
        panic!("a submission was asked for");
    };
    assert_eq!(credential.unwrap(), "Bearer tdp_x");
    assert_eq!(asked.idempotency_key, "k");
    assert_eq!(asked.channel, v1::ReportChannel::PartnerHotline as i32);
    assert_eq!(asked.reporter_country, "GB");
    assert_eq!(
        asked.items[0],
        v1::ReportItem {
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
    // The recorder takes nothing that is not http, so the refanging stays intake's affair.
    assert_eq!(body["results"][0]["problem"]["field"], "items[0].url");
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
async fn items_that_cannot_be_read_keep_their_places() {
    let gateway = start().await;
    let body = json!({"channel": "public", "items": [
        {"external_id": "a", "url": "https://one.example/", "media": "audio"},
        {"external_id": "b", "url": 5},
        {"external_id": "c", "url": "ftp://three.example/"},
        {"external_id": "d", "url": "https://four.example/", "hashes": [{"kind": "crc", "value": "0"}]},
        {"external_id": "e", "url": "https://five.example/"},
        "nothing",
    ]});
    let said = json(gateway.request("POST", "/v1/reports").json(&body), 200).await;
    let short: Vec<_> = said["results"]
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
            ["a", "word_unknown", "items[0].media"],
            ["b", "field_type", "items[1].url"],
            ["c", "url_scheme", "items[2].url"],
            ["d", "word_unknown", "items[3].hashes[0].kind"],
            ["e", null, null],
            [null, "field_type", "items[5]"],
        ])
    );
    let (credential, Call::Submit(asked)) = gateway.asked.only() else {
        panic!("a submission was asked for");
    };
    assert_eq!((credential, asked.items.len()), (None, 2));
    // Which case it is, or whether it is a new one, the public is not told; not even wrongly.
    let receipt = said["results"][4]["receipt"].as_object().unwrap();
    assert_eq!(
        receipt.keys().collect::<Vec<_>>(),
        ["accepted_at", "reference", "report_id"]
    );
    assert!(!said.to_string().contains("example"));
}

#[tokio::test]
async fn where_nothing_was_accepted_the_answer_is_a_problem_with_the_results() {
    let gateway = start().await;
    let submit = |urls: &[&str]| {
        let items: Vec<_> = urls.iter().map(|url| json!({"url": url})).collect();
        let body = json!({"channel": "public", "items": items});
        gateway.request("POST", "/v1/reports").json(&body)
    };
    let said = problem(
        submit(&["ftp://a.example", "ftp://b.example"]),
        422,
        "no_item_accepted",
    )
    .await;
    assert_eq!(said["results"][1]["problem"]["field"], "items[1].url");
    assert_eq!(said["results"][0]["external_id"], json!(null));
    // A reason that passes is a status that says so, and when to come again.
    for (urls, code, after) in [
        (["quota", "ftp://b.example"], "quota_exceeded", "3600"),
        (["busy", "busy"], "no_item_accepted", "60"),
    ] {
        let response = submit(&urls).send().await.unwrap();
        assert_eq!(response.status(), 429);
        assert_eq!(response.headers()["retry-after"], after);
        problem(submit(&urls), 429, code).await;
    }
    let mixed = submit(&["busy", "ftp://b.example"]);
    problem(mixed, 422, "no_item_accepted").await;
    let conflict = submit(&["https://a.example/"]).header("idempotency-key", "used");
    problem(conflict, 409, KEY_REUSED).await;
}

#[tokio::test]
async fn what_cannot_be_read_is_still_somebodys_and_bound_to_the_key() {
    let gateway = start().await;
    let submit = |url: serde_json::Value| {
        let body = json!({"channel": "partner_hotline", "items": [{"url": url}]});
        let request = gateway.request("POST", "/v1/reports").json(&body);
        request.header("idempotency-key", "k")
    };
    problem(submit(json!(5)).bearer_auth("wrong"), 401, "key_invalid").await;
    assert_eq!(gateway.asked.seen(), 0);
    let mut digests = std::collections::BTreeSet::new();
    for url in [json!(5), json!(6), json!(5)] {
        let request = submit(url).bearer_auth("tdp_x");
        problem(request, 422, "no_item_accepted").await;
        let (_, Call::Submit(asked)) = gateway.asked.only() else {
            panic!("a submission was asked for");
        };
        assert!(asked.items.is_empty());
        assert_eq!(asked.body_digest.len(), 32);
        digests.insert(asked.body_digest);
    }
    assert_eq!(digests.len(), 2, "another body has another digest");
}

#[tokio::test]
async fn report_remove_carries_its_three_facts_and_no_more() {
    let gateway = start().await;
    let submit = |facts: serde_json::Value| {
        let body = json!({"channel": "report_remove", "report_remove": facts, "items": [{"url": "https://a.example/"}]});
        gateway.request("POST", "/v1/reports").json(&body)
    };
    let facts = json!({"under_18": true, "age_band": "13_15", "unique_number": "CH-1"});
    json(submit(facts), 200).await;
    let (_, Call::Submit(asked)) = gateway.asked.only() else {
        panic!("a submission was asked for");
    };
    assert_eq!(
        asked.report_remove.unwrap(),
        v1::ReportRemoveFacts {
            under_18: true,
            age_band: v1::AgeBand::AgeBand1315.into(),
            unique_number: "CH-1".into()
        }
    );
    let name = json!({"under_18": true, "age_band": "13_15", "unique_number": "CH-1", "name": "x"});
    let said = problem(submit(name), 400, "field_unknown").await;
    assert_eq!(said["field"], "report_remove.name");
    let band = json!({"under_18": true, "age_band": "18_20", "unique_number": "CH-1"});
    let said = problem(submit(band), 422, "word_unknown").await;
    assert_eq!(said["field"], "report_remove.age_band");
    assert_eq!(gateway.asked.seen(), 0);
}

#[tokio::test]
async fn whoever_holds_the_reference_hears_the_outcome_with_help() {
    let gateway = start().await;
    let told = json(
        gateway.request("GET", &format!("/v1/reports/{REFERENCE}")),
        200,
    )
    .await;
    assert_eq!(told["outcome"], "not_against_the_law");
    assert_eq!(told["received_at"], "2026-03-01T12:00:00Z");
    let help = told["help"].as_str().unwrap();
    assert!(
        help.contains("helpline") && help.contains("did anything wrong"),
        "{help}"
    );
    assert_eq!(told.as_object().unwrap().len(), 4, "nothing else is told");
    problem(
        gateway.request("GET", "/v1/reports/AAAAA"),
        404,
        "not_found",
    )
    .await;

    let path = format!("/v1/reports/{REFERENCE}/withdraw");
    let said = json(gateway.request("POST", &path), 200).await;
    assert_eq!(said["outcome"], "withdrawn");
}
