//! What a provider sets up by itself: keys, webhook endpoints, and what was sent there.

use proto::v1;
use serde_json::json;

use crate::backend::{Call, NOTICE, UNKNOWN};
use crate::setup::{json, problem, start};

#[tokio::test]
async fn keys_are_listed_made_replaced_and_ended() {
    let gateway = start().await;
    let keys = "/provider/v1/keys";
    let listed = json(gateway.keyed("GET", keys), 200).await;
    let about = json!({
        "key_id": NOTICE, "scopes": ["read", "settings"], "name": "desk", "created_at": "2026-03-01T12:00:00Z",
        "expires_at": null, "revoked_at": null, "current": true,
    });
    assert_eq!(listed, json!({ "keys": [about] }));
    gateway.asked.take();

    let wanted = json!({"scopes": ["answer"], "name": "night desk"});
    let create = gateway.keyed("POST", keys).header("idempotency-key", "k1");
    let made = json(create.json(&wanted), 201).await;
    assert_eq!(made, json!({"key": "tdh_new", "about": about}));
    assert_eq!(
        gateway.asked.only().1,
        Call::CreateKey(v1::CreateProviderKeyRequest {
            provider_id: String::new(),
            scopes: vec![v1::ProviderScope::Answer.into()],
            name: "night desk".into(),
            idempotency_key: "k1".into(),
        })
    );
    let wrong = gateway
        .keyed("POST", keys)
        .json(&json!({"scopes": ["everything"]}));
    assert_eq!(problem(wrong, 422, "word_unknown").await["field"], "scopes");

    let rotate = format!("{keys}/{NOTICE}/rotate");
    let made = json(
        gateway
            .keyed("POST", &rotate)
            .json(&json!({"overlap_seconds": 60})),
        201,
    )
    .await;
    assert_eq!(made["former"], about);
    assert_eq!(
        gateway.asked.only().1,
        Call::RotateKey(v1::RotateProviderKeyRequest {
            key_id: NOTICE.into(),
            overlap_seconds: Some(60),
            idempotency_key: String::new(),
        })
    );
    let revoke = |id: &str| gateway.keyed("DELETE", &format!("{keys}/{id}"));
    let gone = revoke(NOTICE).send().await.unwrap();
    assert_eq!(gone.status(), 204);
    problem(revoke(UNKNOWN), 404, "not_found").await;
    problem(revoke("x"), 422, "id_malformed").await;
}

#[tokio::test]
async fn endpoints_are_made_tested_given_another_secret_and_deleted() {
    let gateway = start().await;
    let all = "/provider/v1/webhook-endpoints";
    let one = format!("{all}/{NOTICE}");
    let listed = json(gateway.keyed("GET", all), 200).await;
    let endpoint = json!({
        "endpoint_id": NOTICE, "url": "https://hook.amber.example/in", "in_use": true, "has_secret": true,
        "former_secret_until": "2026-03-01T12:00:00Z", "created_at": "2026-03-01T12:00:00Z", "gone_at": null,
    });
    assert_eq!(listed, json!({ "endpoints": [endpoint] }));
    gateway.asked.take();

    let wanted = json!({"url": "https://hook.amber.example/in"});
    let made = json(gateway.keyed("POST", all).json(&wanted), 201).await;
    assert_eq!(made, json!({"endpoint": endpoint, "secret": "whsec_x"}));
    let asked = v1::CreateWebhookEndpointRequest {
        url: "https://hook.amber.example/in".into(),
        idempotency_key: String::new(),
    };
    assert_eq!(gateway.asked.only().1, Call::CreateEndpoint(asked));

    let rotate = gateway.keyed("POST", &format!("{one}/rotate"));
    let rotated = json(rotate.json(&json!({})), 201).await;
    assert_eq!(rotated["secret"], "whsec_y");
    let asked = v1::RotateWebhookSecretRequest {
        endpoint_id: NOTICE.into(),
        ..Default::default()
    };
    assert_eq!(gateway.asked.only().1, Call::RotateSecret(asked));

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
async fn deliveries_are_looked_at_and_asked_for_again() {
    let gateway = start().await;
    let path = format!("/provider/v1/deliveries?notice_id={NOTICE}&outcome=failed&limit=5");
    let page = json(gateway.keyed("GET", &path), 200).await;
    assert_eq!(page["deliveries"][0]["outcome"], "http_5xx");
    assert_eq!(page["next_cursor"], json!(null));
    assert_eq!(
        gateway.asked.only().1,
        Call::Deliveries(v1::ListDeliveriesRequest {
            page: Some(v1::Page {
                size: 5,
                cursor: String::new()
            }),
            notice_id: NOTICE.into(),
            failed: Some(true),
        })
    );
    let wrong = gateway.keyed("GET", "/provider/v1/deliveries?outcome=lost");
    problem(wrong, 422, "word_unknown").await;

    let again = gateway
        .keyed("POST", "/provider/v1/redeliveries")
        .json(&json!({"notice_ids": [NOTICE, UNKNOWN]}));
    let said = json(again, 202).await;
    assert_eq!(
        said["results"][0],
        json!({"notice_id": NOTICE, "channel": "webhook"})
    );
    let refused = &said["results"][1]["problem"];
    assert_eq!(
        (&refused["code"], &refused["field"]),
        (&json!("not_found"), &json!("notice_ids[1]"))
    );
}
