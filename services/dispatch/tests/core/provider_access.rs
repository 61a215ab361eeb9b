//! What a provider manages with its own key: further keys, webhook endpoints and their secrets.

use domain::wire::duration;
use platform::batch::fold::KEY_REUSED;
use platform::error::{Kind, Problem};
use platform::principal::Role;
use proto::v1;
use proto::v1::ProviderScope::{Answer, Read, Settings};
use tonic::{Response, Status};

use crate::served_dispatch::{ServedDispatch, with_credential};

/// Kind and code of a refusal.
fn refusal<T>(reply: Result<Response<T>, Status>) -> (Kind, String) {
    let problem = Problem::from(reply.map(|_| ()).expect_err("the call must be refused"));
    (problem.kind, problem.code.into_owned())
}

fn expected(kind: Kind, code: &str) -> (Kind, String) {
    (kind, code.to_owned())
}

fn create_key(scopes: &[v1::ProviderScope], idempotency_key: &str) -> v1::CreateProviderKeyRequest {
    v1::CreateProviderKeyRequest {
        scopes: scopes.iter().map(|scope| *scope as i32).collect(),
        name: "abuse team".into(),
        idempotency_key: idempotency_key.into(),
        ..Default::default()
    }
}

fn key_id(key: &str) -> String {
    uuid::Uuid::parse_str(&key["tdh_".len()..][..32])
        .unwrap()
        .to_string()
}

/// Whether a key can list notices, or the refusal.
async fn list_notices(served: &mut ServedDispatch, key: &str) -> Result<(), (Kind, String)> {
    let request = v1::ListNoticesRequest::default();
    match served
        .client
        .list_notices(with_credential(key, request))
        .await
    {
        Ok(_) => Ok(()),
        refused => Err(refusal(refused)),
    }
}

#[tokio::test]
async fn a_provider_creates_keys_with_no_more_scopes_than_its_own() {
    let mut served = ServedDispatch::start().await;
    let settings_key = served.provider_key("amber", &[Read, Settings]).await;
    let made = served
        .client
        .create_provider_key(with_credential(&settings_key, create_key(&[Read], "")))
        .await;
    let made = made.unwrap().into_inner();
    let details = made.details.unwrap();
    assert_eq!(details.scopes().collect::<Vec<_>>(), [Read]);
    assert_eq!(
        (details.name.as_str(), details.is_current),
        ("abuse team", false)
    );
    assert_eq!(list_notices(&mut served, &made.key).await, Ok(()));

    // Without scopes the key gets those of the caller, never more.
    let all = served
        .client
        .create_provider_key(with_credential(&settings_key, create_key(&[], "")))
        .await;
    let all = all.unwrap().into_inner().details.unwrap();
    assert_eq!(all.scopes().collect::<Vec<_>>(), [Read, Settings]);
    let more = served
        .client
        .create_provider_key(with_credential(&settings_key, create_key(&[Answer], "")))
        .await;
    assert_eq!(refusal(more), expected(Kind::Forbidden, "scope_required"));
    let reader = served
        .client
        .create_provider_key(with_credential(&made.key, create_key(&[Read], "")))
        .await;
    assert_eq!(refusal(reader), expected(Kind::Forbidden, "scope_required"));
    // A key cannot rotate one with more scopes, and another provider's key is not found.
    let answer_key = key_id(&served.provider_key("amber", &[Answer]).await);
    let others = key_id(&served.provider_key("album", &[]).await);
    for (id, wanted) in [
        (answer_key, expected(Kind::Forbidden, "scope_required")),
        (others.clone(), expected(Kind::NotFound, "not_found")),
    ] {
        let rotate = v1::RotateProviderKeyRequest {
            key_id: id,
            ..Default::default()
        };
        let refused = served
            .client
            .rotate_provider_key(with_credential(&settings_key, rotate))
            .await;
        assert_eq!(refusal(refused), wanted);
    }
    let revoke = v1::RevokeProviderKeyRequest { key_id: others };
    let refused = served
        .client
        .revoke_provider_key(with_credential(&settings_key, revoke))
        .await;
    assert_eq!(refusal(refused), expected(Kind::NotFound, "not_found"));
    let named = v1::ListProviderKeysRequest {
        provider_id: "album".into(),
    };
    let refused = served
        .client
        .list_provider_keys(with_credential(&settings_key, named))
        .await;
    assert_eq!(refusal(refused), expected(Kind::NotFound, "not_found"));
    served.stop().await;
}

#[tokio::test]
async fn a_rotated_key_stays_valid_for_the_overlap_and_can_end_at_once() {
    let mut served = ServedDispatch::start().await;
    let settings_key = served.provider_key("amber", &[]).await;
    let old = served.provider_key("amber", &[Read]).await;
    let rotate = |overlap: Option<i64>| v1::RotateProviderKeyRequest {
        key_id: key_id(&old),
        overlap: overlap.map(|seconds| duration(time::Duration::seconds(seconds))),
        ..Default::default()
    };
    for out_of_range in [604_801, -1] {
        let refused = served
            .client
            .rotate_provider_key(with_credential(&settings_key, rotate(Some(out_of_range))))
            .await;
        assert_eq!(
            refusal(refused),
            expected(Kind::Invalid, "overlap_out_of_range")
        );
    }
    let made = served
        .client
        .rotate_provider_key(with_credential(&settings_key, rotate(None)))
        .await;
    let made = made.unwrap().into_inner();
    let previous = made.previous.unwrap();
    let end = domain::wire::time("expires_at", &previous.expires_at.unwrap()).unwrap();
    let left = end - platform::clock::wall();
    let (day, minute) = (time::Duration::days(1), time::Duration::minutes(1));
    assert!(left <= day && left > day - minute, "{left}");
    assert_eq!(made.details.unwrap().scopes().collect::<Vec<_>>(), [Read]);
    for key in [&old, &made.key] {
        assert_eq!(list_notices(&mut served, key).await, Ok(()));
    }
    // It can end at once, and then not later again.
    let at_once = served
        .client
        .rotate_provider_key(with_credential(&settings_key, rotate(Some(0))))
        .await;
    at_once.unwrap();
    let refused = Err(expected(Kind::Unauthenticated, "key_refused"));
    assert_eq!(list_notices(&mut served, &old).await, refused);
    let over = served
        .client
        .rotate_provider_key(with_credential(&settings_key, rotate(None)))
        .await;
    assert_eq!(
        refusal(over),
        expected(Kind::FailedPrecondition, "key_over")
    );

    // An expired key is refused like an unknown one.
    sqlx::query("update provider_key set expires_at = $2 where key_id = $1::uuid")
        .bind(uuid::Uuid::parse_str(&key_id(&made.key)).unwrap())
        .bind(platform::clock::wall() - time::Duration::seconds(1))
        .execute(&served.fixture.pool)
        .await
        .unwrap();
    assert_eq!(list_notices(&mut served, &made.key).await, refused);

    // A provider can revoke the key that it uses; an operator sees all keys with their state.
    let revoke = v1::RevokeProviderKeyRequest {
        key_id: key_id(&settings_key),
    };
    served
        .client
        .revoke_provider_key(with_credential(&settings_key, revoke))
        .await
        .unwrap();
    assert_eq!(list_notices(&mut served, &settings_key).await, refused);
    let operator = served.staff_token(&[Role::Operator]);
    let list = v1::ListProviderKeysRequest {
        provider_id: "amber".into(),
    };
    let keys = served
        .client
        .list_provider_keys(with_credential(&operator, list))
        .await;
    let keys = keys.unwrap().into_inner().keys;
    let over = keys.iter().filter(|key| key.revoked_at.is_some()).count();
    assert_eq!((keys.len(), over), (4, 2));
    served.stop().await;
}

#[tokio::test]
async fn a_repeat_under_the_same_idempotency_key_shows_the_same_secret_which_is_stored_sealed() {
    let mut served = ServedDispatch::start().await;
    let settings_key = served.provider_key("amber", &[]).await;
    let mut keys = Vec::new();
    for _ in 0..2 {
        let made = served
            .client
            .create_provider_key(with_credential(&settings_key, create_key(&[Read], "k")))
            .await;
        keys.push(made.unwrap().into_inner().key);
    }
    assert_eq!(keys[0], keys[1]);
    let other = served
        .client
        .create_provider_key(with_credential(&settings_key, create_key(&[Answer], "k")))
        .await;
    assert_eq!(refusal(other), expected(Kind::Conflict, KEY_REUSED));
    let url = |url: &str, key: &str| v1::CreateWebhookEndpointRequest {
        url: url.into(),
        idempotency_key: key.into(),
    };
    // Also for another method.
    let other = served
        .client
        .create_webhook_endpoint(with_credential(
            &settings_key,
            url("https://a.example/x", "k"),
        ))
        .await;
    assert_eq!(refusal(other), expected(Kind::Conflict, KEY_REUSED));
    let mut secrets = Vec::new();
    for _ in 0..2 {
        let made = served
            .client
            .create_webhook_endpoint(with_credential(
                &settings_key,
                url("https://a.example/x", "e"),
            ))
            .await;
        secrets.push(made.unwrap().into_inner().secret);
    }
    assert_eq!(secrets[0], secrets[1]);

    let text: String = sqlx::query_scalar(
        "select string_agg(encode(b, 'escape'), ' ') from (
            select reply as b from idempotency_receipt union all select address from webhook_endpoint
            union all select secret from webhook_endpoint where secret is not null) t",
    )
    .fetch_one(&served.fixture.pool)
    .await
    .unwrap();
    for secret in [&keys[0][..], &secrets[0][6..], "a.example"] {
        assert!(!text.contains(secret), "{secret} is stored in plaintext");
    }
    served.stop().await;
}

#[tokio::test]
async fn endpoints_belong_to_their_provider_and_one_in_use_cannot_be_deleted() {
    let mut served = ServedDispatch::start().await;
    let settings_key = served.provider_key("amber", &[]).await;
    let stranger = served.provider_key("larch", &[]).await;
    let create = |url: String| v1::CreateWebhookEndpointRequest {
        url,
        ..Default::default()
    };
    let url = |n: usize| format!("https://hooks.amber.example/{n}");
    for (bad, code) in [
        ("", "field_missing"),
        ("http://hooks.amber.example/x", "webhook_malformed"),
        ("https://u:p@hooks.amber.example/x", "webhook_malformed"),
    ] {
        let refused = served
            .client
            .create_webhook_endpoint(with_credential(&settings_key, create(bad.into())))
            .await;
        assert_eq!(refusal(refused), expected(Kind::Invalid, code), "{bad}");
    }
    let made = served
        .client
        .create_webhook_endpoint(with_credential(&settings_key, create(url(0))))
        .await;
    let made = made.unwrap().into_inner();
    let endpoint = made.endpoint.unwrap();
    assert!(made.secret.starts_with("whsec_"));
    assert!(!endpoint.in_use && endpoint.has_secret);
    let again = served
        .client
        .create_webhook_endpoint(with_credential(&settings_key, create(url(0))))
        .await;
    assert_eq!(refusal(again), expected(Kind::Conflict, "endpoint_exists"));

    let prefer = |url: String| v1::SetPreferencesRequest {
        preferences: Some(v1::Preferences {
            channel: v1::DeliveryChannel::Webhook.into(),
            webhook_url: url,
            ..Default::default()
        }),
    };
    let chosen = served
        .client
        .set_preferences(with_credential(&settings_key, prefer(url(0))))
        .await;
    let chosen = chosen.unwrap().into_inner().preferences.unwrap();
    assert_eq!(chosen.webhook_endpoint_id, endpoint.endpoint_id);
    let delete = |id: &str| v1::DeleteWebhookEndpointRequest {
        endpoint_id: id.into(),
    };
    let in_use = served
        .client
        .delete_webhook_endpoint(with_credential(
            &settings_key,
            delete(&endpoint.endpoint_id),
        ))
        .await;
    assert_eq!(
        refusal(in_use),
        expected(Kind::FailedPrecondition, "endpoint_in_use")
    );
    // Another provider cannot reach it.
    let not_found = expected(Kind::NotFound, "not_found");
    let id = || endpoint.endpoint_id.clone();
    let refused = served
        .client
        .delete_webhook_endpoint(with_credential(&stranger, delete(&id())))
        .await;
    assert_eq!(refusal(refused), not_found);
    let rotate = v1::RotateWebhookSecretRequest {
        endpoint_id: id(),
        ..Default::default()
    };
    let refused = served
        .client
        .rotate_webhook_secret(with_credential(&stranger, rotate))
        .await;
    assert_eq!(refusal(refused), not_found);
    let test = v1::TestWebhookEndpointRequest { endpoint_id: id() };
    let refused = served
        .client
        .test_webhook_endpoint(with_credential(&stranger, test))
        .await;
    assert_eq!(refusal(refused), not_found);

    // Preferring a new URL creates an endpoint; the previous one remains and can be deleted.
    let chosen = served
        .client
        .set_preferences(with_credential(&settings_key, prefer(url(1))))
        .await;
    let chosen = chosen.unwrap().into_inner().preferences.unwrap();
    assert_ne!(chosen.webhook_endpoint_id, endpoint.endpoint_id);
    for n in 2..10 {
        served
            .client
            .create_webhook_endpoint(with_credential(&settings_key, create(url(n))))
            .await
            .unwrap();
    }
    let full = served
        .client
        .create_webhook_endpoint(with_credential(&settings_key, create(url(10))))
        .await;
    assert_eq!(
        refusal(full),
        expected(Kind::FailedPrecondition, "endpoints_full")
    );
    served
        .client
        .delete_webhook_endpoint(with_credential(
            &settings_key,
            delete(&endpoint.endpoint_id),
        ))
        .await
        .unwrap();
    let list = v1::ListWebhookEndpointsRequest {};
    let all = served
        .client
        .list_webhook_endpoints(with_credential(&settings_key, list))
        .await;
    let all = all.unwrap().into_inner().endpoints;
    assert_eq!(all.len(), 9);
    let used: Vec<_> = all.iter().filter(|e| e.in_use).collect();
    assert_eq!(used.len(), 1);
    assert_eq!(
        (used[0].url.as_str(), used[0].has_secret),
        (&*url(1), false)
    );
    served.stop().await;
}

#[tokio::test]
async fn a_test_reports_its_outcome_and_the_number_of_tests_is_limited() {
    let mut served = ServedDispatch::start().await;
    let settings_key = served.provider_key("amber", &[]).await;
    // The address is refused, but the test is made, recorded and limited all the same.
    let create = v1::CreateWebhookEndpointRequest {
        url: "https://127.0.0.1/hook".into(),
        ..Default::default()
    };
    let made = served
        .client
        .create_webhook_endpoint(with_credential(&settings_key, create))
        .await;
    let endpoint_id = made.unwrap().into_inner().endpoint.unwrap().endpoint_id;
    let test = || v1::TestWebhookEndpointRequest {
        endpoint_id: endpoint_id.clone(),
    };
    for _ in 0..10 {
        let tested = served
            .client
            .test_webhook_endpoint(with_credential(&settings_key, test()))
            .await;
        let tested = tested.unwrap().into_inner().delivery.unwrap();
        assert_eq!(
            (tested.outcome.as_str(), tested.http_status),
            ("refused_address", 0)
        );
    }
    let more = served
        .client
        .test_webhook_endpoint(with_credential(&settings_key, test()))
        .await;
    assert_eq!(refusal(more), expected(Kind::Exhausted, "tests_exhausted"));
    let page = |page_size, page_token: &str| v1::ListDeliveriesRequest {
        page_size,
        page_token: page_token.into(),
        failed: Some(true),
        ..Default::default()
    };
    let first = served
        .client
        .list_deliveries(with_credential(&settings_key, page(7, "")))
        .await;
    let first = first.unwrap().into_inner();
    let second = served
        .client
        .list_deliveries(with_credential(
            &settings_key,
            page(7, &first.next_page_token),
        ))
        .await;
    let second = second.unwrap().into_inner();
    assert_eq!((first.deliveries.len(), second.deliveries.len()), (7, 3));
    assert_eq!(second.next_page_token, "");
    served.stop().await;
}
