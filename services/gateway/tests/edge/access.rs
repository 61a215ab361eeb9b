//! A provider's keys, webhook endpoints and deliveries.

use proto::v1;
use serde_json::json;

use crate::backend::{NOTICE, RecordedCall, UNKNOWN};
use crate::setup::{json, problem, start};

#[tokio::test]
async fn keys_are_listed_created_rotated_and_revoked() {
    let gateway = start().await;
    let keys = "/provider/v1/keys";
    let listed = json(gateway.keyed("GET", keys), 200).await;
    let details = json!({
        "key_id": NOTICE, "scopes": ["read", "settings"], "name": "abuse team", "created_at": "2026-03-01T12:00:00Z",
        "expires_at": null, "revoked_at": null, "current": true,
    });
    assert_eq!(listed, json!({ "keys": [details] }));
    gateway.backend.take();

    let body = json!({"scopes": ["answer"], "name": "night shift"});
    let create = gateway.keyed("POST", keys).header("idempotency-key", "k1");
    let created = json(create.json(&body), 201).await;
    assert_eq!(created, json!({"key": "tdh_new", "details": details}));
    assert_eq!(
        gateway.backend.only().1,
        RecordedCall::CreateKey(v1::CreateProviderKeyRequest {
            provider_id: String::new(),
            scopes: vec![v1::ProviderScope::Answer.into()],
            name: "night shift".into(),
            idempotency_key: "k1".into(),
        })
    );
    let unknown_scope = gateway
        .keyed("POST", keys)
        .json(&json!({"scopes": ["everything"]}));
    assert_eq!(
        problem(unknown_scope, 422, "value_unknown").await["field"],
        "scopes"
    );

    let rotate = format!("{keys}/{NOTICE}/rotate");
    let rotated = json(
        gateway
            .keyed("POST", &rotate)
            .json(&json!({"overlap_seconds": 60})),
        201,
    )
    .await;
    assert_eq!(rotated["previous"], details);
    assert_eq!(
        gateway.backend.only().1,
        RecordedCall::RotateKey(v1::RotateProviderKeyRequest {
            key_id: NOTICE.into(),
            overlap: Some(prost_types::Duration {
                seconds: 60,
                nanos: 0,
            }),
            idempotency_key: String::new(),
        })
    );
    let too_long = gateway
        .keyed("POST", &rotate)
        .json(&json!({"overlap_seconds": 604_801}));
    assert_eq!(
        problem(too_long, 422, "overlap_out_of_range").await["field"],
        "overlap_seconds"
    );
    let revoke = |id: &str| gateway.keyed("DELETE", &format!("{keys}/{id}"));
    let revoked = revoke(NOTICE).send().await.unwrap();
    assert_eq!(revoked.status(), 204);
    problem(revoke(UNKNOWN), 404, "not_found").await;
    problem(revoke("x"), 422, "id_malformed").await;
}

#[tokio::test]
async fn endpoints_are_created_tested_rotated_and_deleted() {
    let gateway = start().await;
    let all = "/provider/v1/webhook-endpoints";
    let one = format!("{all}/{NOTICE}");
    let listed = json(gateway.keyed("GET", all), 200).await;
    let endpoint = json!({
        "endpoint_id": NOTICE, "url": "https://hook.amber.example/in", "in_use": true, "has_secret": true,
        "previous_secret_until": "2026-03-01T12:00:00Z", "created_at": "2026-03-01T12:00:00Z", "retired_at": null,
    });
    assert_eq!(listed, json!({ "endpoints": [endpoint] }));
    gateway.backend.take();

    let body = json!({"url": "https://hook.amber.example/in"});
    let created = json(gateway.keyed("POST", all).json(&body), 201).await;
    assert_eq!(created, json!({"endpoint": endpoint, "secret": "whsec_x"}));
    let expected = v1::CreateWebhookEndpointRequest {
        url: "https://hook.amber.example/in".into(),
        idempotency_key: String::new(),
    };
    assert_eq!(
        gateway.backend.only().1,
        RecordedCall::CreateEndpoint(expected)
    );

    let rotate = gateway.keyed("POST", &format!("{one}/rotate"));
    let rotated = json(rotate.json(&json!({})), 201).await;
    assert_eq!(rotated["secret"], "whsec_y");
    let expected = v1::RotateWebhookSecretRequest {
        endpoint_id: NOTICE.into(),
        ..Default::default()
    };
    assert_eq!(
        gateway.backend.only().1,
        RecordedCall::RotateSecret(expected)
    );

    let tested = json(gateway.keyed("POST", &format!("{one}/test")), 200).await;
    assert_eq!(
        tested,
        json!({
            "delivery_id": "7", "message_id": "msg_test_1", "notice_id": null, "endpoint_id": NOTICE, "channel": "webhook",
            "attempt": 1, "at": "2026-03-01T12:00:00Z", "took_ms": 12, "outcome": "http_5xx", "http_status": 503,
        })
    );
    let deleted = gateway.keyed("DELETE", &one).send().await.unwrap();
    assert_eq!(deleted.status(), 204);
}

#[tokio::test]
async fn deliveries_are_listed_and_redelivery_is_requested() {
    let gateway = start().await;
    let path = format!("/provider/v1/deliveries?notice_id={NOTICE}&outcome=failed&limit=5");
    let page = json(gateway.keyed("GET", &path), 200).await;
    assert_eq!(page["deliveries"][0]["outcome"], "http_5xx");
    assert_eq!(page["next_cursor"], json!(null));
    assert_eq!(
        gateway.backend.only().1,
        RecordedCall::Deliveries(v1::ListDeliveriesRequest {
            page_size: 5,
            page_token: String::new(),
            notice_id: NOTICE.into(),
            failed: Some(true),
        })
    );
    let unknown_outcome = gateway.keyed("GET", "/provider/v1/deliveries?outcome=lost");
    problem(unknown_outcome, 422, "value_unknown").await;

    let request = gateway
        .keyed("POST", "/provider/v1/redeliveries")
        .json(&json!({"notice_ids": [NOTICE, UNKNOWN]}));
    let response = json(request, 202).await;
    assert_eq!(
        response["results"][0],
        json!({"notice_id": NOTICE, "channel": "webhook"})
    );
    let refused = &response["results"][1]["problem"];
    assert_eq!(
        (&refused["code"], &refused["field"]),
        (&json!("not_found"), &json!("notice_ids[1]"))
    );
}
