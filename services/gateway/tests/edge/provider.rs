//! The provider API: listing, reading, answering and verifying notices, preferences, public keys.

use proto::v1;
use serde_json::json;

use crate::backend::{NOON, NOTICE, RecordedCall, UNKNOWN};
use crate::setup::{KEY, json, problem, start};

#[tokio::test]
async fn the_key_is_forwarded_and_without_one_nothing_is_called() {
    let gateway = start().await;
    let list = "/provider/v1/notices";
    json(gateway.keyed("GET", list), 200).await;
    assert_eq!(gateway.backend.only().0.unwrap(), format!("Bearer {KEY}"));

    let bare = gateway.request("GET", list).send().await.unwrap();
    assert_eq!(bare.status(), 401);
    assert_eq!(bare.headers()["www-authenticate"], "Bearer");
    problem(gateway.request("GET", list), 401, "credential_missing").await;
    let long = format!("Bearer {}", "x".repeat(1025));
    for wrong in ["Basic abc", "Bearer ", "Bearer", "tdh_x", &long] {
        let request = gateway.request("GET", list).header("authorization", wrong);
        problem(request, 401, "credential_malformed").await;
    }
    let two = gateway
        .keyed("GET", list)
        .header("authorization", "Bearer b");
    problem(two, 401, "credential_malformed").await;
    assert_eq!(gateway.backend.call_count(), 0);
}

#[tokio::test]
async fn the_query_of_a_listing_is_forwarded_and_validated() {
    let gateway = start().await;
    let path = format!(
        "/provider/v1/notices?state=sent,delivered&state=escalated&category=B,A&case_id={NOTICE}\
         &due_before=2026-03-01T12:00:00Z&cursor=17&limit=50"
    );
    let page = json(gateway.keyed("GET", &path), 200).await;
    assert_eq!(page["next_cursor"], "42");
    assert_eq!(
        gateway.backend.only().1,
        RecordedCall::List(v1::ListNoticesRequest {
            page_size: 50,
            page_token: "17".into(),
            states: vec![
                v1::NoticeState::Sent.into(),
                v1::NoticeState::Delivered.into(),
                v1::NoticeState::Escalated.into()
            ],
            categories: vec![v1::Category::A.into(), v1::Category::B.into()],
            case_id: NOTICE.into(),
            due_before: Some(NOON),
        })
    );
    let forged = gateway.keyed("GET", "/provider/v1/notices?cursor=13");
    let body = problem(forged, 422, "cursor_malformed").await;
    let sentence =
        "`cursor` is not a valid cursor; send `next_cursor` of the previous page, or leave it out";
    assert_eq!(
        (&body["field"], &body["detail"]),
        (&json!("cursor"), &json!(sentence))
    );
    gateway.backend.take();
    for (query, status, code, field) in [
        ("state=gone", 422, "value_unknown", "state"),
        ("category=D", 422, "value_unknown", "category"),
        ("due_before=soon", 422, "time_malformed", "due_before"),
        ("limit=0", 422, "limit_out_of_range", "limit"),
        ("limit=1001", 422, "limit_out_of_range", "limit"),
        ("limit=many", 422, "limit_out_of_range", "limit"),
        ("limit=1&limit=2", 400, "parameter_repeated", "limit"),
        ("page=2", 400, "parameter_unknown", "page"),
        ("cursor=a%00b", 422, "cursor_malformed", "cursor"),
        ("cursor=", 400, "parameter_empty", "cursor"),
    ] {
        let path = format!("/provider/v1/notices?{query}");
        let body = problem(gateway.keyed("GET", &path), status, code).await;
        assert_eq!(body["field"], field);
    }
    assert_eq!(gateway.backend.call_count(), 0);
}

#[tokio::test]
async fn a_notice_has_the_fields_of_a_webhook() {
    let gateway = start().await;
    let path = format!("/provider/v1/notices/{NOTICE}");
    let read = json(gateway.keyed("GET", &path), 200).await;
    assert_eq!(
        read,
        json!({
            "notice_id": NOTICE,
            "case_id": "01890a5d-ac96-774b-bcce-b302099a8057",
            "provider_id": "amber-host",
            "episode": 1, "step": 2, "sequence": 3,
            "state": "delivered", "rung": "remind", "category": "B", "media": "video",
            "url": "https://img.amber.example/a/1?x=<b>&y=\"2\"",
            "issued_at": "2026-03-01T12:00:00Z", "due_at": "2026-03-02T12:00:00Z",
            "legal_basis": "Online Safety Act 2023, <section> 10",
            "message": "notice", "text": null,
            "signed": "eyJmb3JtYXQiOjF9",
            "signature": format!("{}Bw==", "BwcH".repeat(21)),
            "key_id": "n1",
            "salt": format!("{}CQk=", "CQkJ".repeat(10)),
        })
    );
    let unknown = format!("/provider/v1/notices/{UNKNOWN}");
    let body = problem(gateway.keyed("GET", &unknown), 404, "not_found").await;
    assert_eq!(body["detail"], "A sentence of the service.");
    problem(
        gateway.keyed("GET", &format!("{path}?x=1")),
        400,
        "parameter_unknown",
    )
    .await;
}

#[tokio::test]
async fn one_answer_is_forwarded_with_its_idempotency_key_and_its_problem_is_returned() {
    let gateway = start().await;
    let answer = |id: &str, body: serde_json::Value| {
        gateway
            .keyed("POST", &format!("/provider/v1/notices/{id}/answers"))
            .json(&body)
    };
    let body = json!({"answer": "need_time", "until": "2026-03-01T13:00:00+01:00", "text": "t"});
    let body = json(answer(NOTICE, body).header("idempotency-key", "k1"), 200).await;
    assert_eq!(body, json!({"notice_id": NOTICE, "state": "acknowledged"}));
    assert_eq!(
        gateway.backend.only().1,
        RecordedCall::Answer(v1::AnswerNoticesRequest {
            idempotency_key: "k1".into(),
            answers: vec![v1::AnswerItem {
                notice_id: NOTICE.into(),
                answer: v1::Answer::NeedTime.into(),
                until: Some(NOON),
                named: String::new(),
                text: "t".into(),
            }],
            ..v1::AnswerNoticesRequest::default()
        })
    );

    let body = problem(
        answer(NOTICE, json!({"answer": "need_time"})),
        422,
        "field_missing",
    )
    .await;
    assert_eq!(body["field"], "until");
    problem(
        answer(UNKNOWN, json!({"answer": "removed"})),
        404,
        "not_found",
    )
    .await;
    let used = answer(NOTICE, json!({"answer": "removed"})).header("idempotency-key", "used");
    problem(used, 409, platform::batch::fold::KEY_REUSED).await;
    gateway.backend.take();

    for (body, status, code, field) in [
        (json!({"answer": "maybe"}), 422, "value_unknown", "answer"),
        (json!({"answer": ""}), 422, "field_missing", "answer"),
        (json!({}), 400, "field_missing", "answer"),
        (json!({"answer": 1}), 400, "field_type", "answer"),
        (
            json!({"answer": "removed", "why": 1}),
            400,
            "field_unknown",
            "why",
        ),
        (
            json!({"answer": "need_time", "until": "soon"}),
            422,
            "time_malformed",
            "until",
        ),
    ] {
        let body = problem(answer(NOTICE, body), status, code).await;
        assert_eq!(body["field"], field);
    }
    let long =
        answer(NOTICE, json!({"answer": "removed"})).header("idempotency-key", "k".repeat(129));
    problem(long, 400, "idempotency_key_malformed").await;
    assert_eq!(gateway.backend.call_count(), 0);
}

#[tokio::test]
async fn invalid_answers_of_a_batch_do_not_affect_the_others() {
    let gateway = start().await;
    let many = |body: serde_json::Value| gateway.keyed("POST", "/provider/v1/answers").json(&body);
    let body = json(
        many(json!({"answers": [
            {"notice_id": NOTICE, "answer": "maybe"},
            {"notice_id": NOTICE, "answer": "acknowledged"},
            {"notice_id": 7},
            {"notice_id": UNKNOWN, "answer": "removed"},
            {"notice_id": NOTICE, "answer": "need_time"},
            {"notice_id": NOTICE, "answer": "removed"},
        ]})),
        200,
    )
    .await;
    let short: Vec<_> = body["results"]
        .as_array()
        .unwrap()
        .iter()
        .map(|r| {
            (
                &r["notice_id"],
                &r["state"],
                &r["problem"]["code"],
                &r["problem"]["field"],
            )
        })
        .map(|(id, state, code, field)| json!([id, state, code, field]))
        .collect();
    assert_eq!(
        json!(short),
        json!([
            [NOTICE, null, "value_unknown", "answers[0].answer"],
            [NOTICE, "acknowledged", null, null],
            [null, null, "field_type", "answers[2].notice_id"],
            [UNKNOWN, null, "not_found", "answers[3].notice_id"],
            [NOTICE, null, "field_missing", "answers[4].until"],
            [NOTICE, "acknowledged", null, null],
        ])
    );
    let (_, RecordedCall::Answer(request)) = gateway.backend.only() else {
        panic!("not a call to answer_notices");
    };
    assert_eq!(request.answers.len(), 4);

    let empty = problem(many(json!({"answers": []})), 422, "field_missing").await;
    assert_eq!(empty["field"], "answers");
    // If all answers are invalid, dispatch still checks the credential and the idempotency key.
    gateway.backend.take();
    let invalid = json!({"answers": [{"answer": "x"}]});
    let body = json(many(invalid.clone()), 200).await;
    assert_eq!(body["results"][0]["problem"]["code"], "field_missing");
    let (_, RecordedCall::Answer(request)) = gateway.backend.only() else {
        panic!("not a call to answer_notices");
    };
    assert_eq!((request.answers.len(), request.body_digest.len()), (0, 32));
    let wrong_key = gateway.request("POST", "/provider/v1/answers");
    let wrong_key = wrong_key.bearer_auth("wrong").json(&invalid);
    problem(wrong_key, 401, "key_invalid").await;
}

#[tokio::test]
async fn a_notice_is_verified_byte_for_byte() {
    let gateway = start().await;
    let path = format!("/provider/v1/notices/{NOTICE}/verify");
    let body = json!({"signed": "eyJmb3JtYXQiOjF9", "signature": "BwcHBw=="});
    let body = json(gateway.keyed("POST", &path).json(&body), 200).await;
    assert_eq!(
        body,
        json!({"authentic": true, "superseded": true, "retracted": false})
    );
    assert_eq!(
        gateway.backend.only().1,
        RecordedCall::Verify(v1::VerifyNoticeRequest {
            notice_id: NOTICE.into(),
            signed: b"{\"format\":1}".to_vec().into(),
            signature: vec![7; 4].into(),
        })
    );
    let wrong = json!({"signed": "eyJmb3JtYXQiOjF9", "signature": "not base64"});
    let body = problem(
        gateway.keyed("POST", &path).json(&wrong),
        422,
        "base64_malformed",
    )
    .await;
    assert_eq!(body["field"], "signature");
}

#[tokio::test]
async fn preferences_are_read_and_replaced() {
    let gateway = start().await;
    let path = "/provider/v1/preferences";
    let read = json(gateway.keyed("GET", path), 200).await;
    assert_eq!(
        read,
        json!({"channel": "api", "webhook_url": null, "webhook_endpoint_id": null, "abuse_contact": null, "webhook_public_key": "whpk_x"})
    );
    gateway.backend.take();
    let body = json!({"channel": "webhook", "webhook_url": "https://hook.amber.example/in"});
    let written = json(gateway.keyed("PUT", path).json(&body), 200).await;
    assert_eq!(written["channel"], "webhook");
    assert_eq!(written["webhook_url"], "https://hook.amber.example/in");
    assert_eq!(
        gateway.backend.only().1,
        RecordedCall::WritePreferences(v1::SetPreferencesRequest {
            preferences: Some(v1::Preferences {
                channel: v1::DeliveryChannel::Webhook.into(),
                webhook_url: "https://hook.amber.example/in".into(),
                ..v1::Preferences::default()
            })
        })
    );
    let wrong = gateway
        .keyed("PUT", path)
        .json(&json!({"channel": "pigeon"}));
    problem(wrong, 422, "value_unknown").await;
}

#[tokio::test]
async fn the_key_set_contains_only_notice_keys() {
    let gateway = start().await;
    let response = gateway
        .request("GET", "/.well-known/takedown-keys.json")
        .send()
        .await
        .unwrap();
    assert_eq!(
        response.headers()["content-type"],
        "application/jwk-set+json"
    );
    assert_eq!(response.headers()["cache-control"], "public, max-age=300");
    let set: serde_json::Value = serde_json::from_str(&response.text().await.unwrap()).unwrap();
    assert_eq!(
        set,
        json!({"keys": [{"kid": "n1", "kty": "OKP", "crv": "Ed25519", "x": format!("{}-_s", "-_v7".repeat(10)), "use": "sig", "alg": "EdDSA"}]})
    );
    assert_eq!(gateway.backend.only(), (None, RecordedCall::Keys));
}
