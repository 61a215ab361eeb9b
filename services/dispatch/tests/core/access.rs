//! What a provider sets up by its own key: further keys, webhook endpoints and their secrets.

use platform::batch::fold::KEY_REUSED;
use platform::error::{Kind, Problem};
use platform::principal::Role;
use proto::v1;
use proto::v1::ProviderScope::{Answer, Read, Settings};
use tonic::{Response, Status};

use crate::grpc::{Served, with};

fn problem<T>(answer: Result<Response<T>, Status>) -> (Kind, String) {
    let problem = Problem::from(answer.map(|_| ()).expect_err("it must be refused"));
    (problem.kind, problem.code.into_owned())
}

fn is(kind: Kind, code: &str) -> (Kind, String) {
    (kind, code.to_owned())
}

fn create(scopes: &[v1::ProviderScope], idempotency_key: &str) -> v1::CreateProviderKeyRequest {
    v1::CreateProviderKeyRequest {
        scopes: scopes.iter().map(|scope| *scope as i32).collect(),
        name: "desk".into(),
        idempotency_key: idempotency_key.into(),
        ..Default::default()
    }
}

fn key_id(key: &str) -> String {
    uuid::Uuid::parse_str(&key["tdh_".len()..][..32])
        .unwrap()
        .to_string()
}

async fn reads(s: &mut Served, key: &str) -> Result<(), (Kind, String)> {
    let request = v1::ListNoticesRequest::default();
    match s.client.list_notices(with(key, request)).await {
        Ok(_) => Ok(()),
        refused => Err(problem(refused)),
    }
}

#[tokio::test]
async fn a_provider_makes_keys_that_can_do_no_more_than_its_own() {
    let mut s = Served::start().await;
    let desk = s.key("amber", &[Read, Settings]).await;
    let made = s
        .client
        .create_provider_key(with(&desk, create(&[Read], "")))
        .await;
    let made = made.unwrap().into_inner();
    let about = made.about.unwrap();
    assert_eq!(about.scopes().collect::<Vec<_>>(), [Read]);
    assert_eq!((about.name.as_str(), about.is_current), ("desk", false));
    assert_eq!(reads(&mut s, &made.key).await, Ok(()));

    // All that the caller has, where nothing is said; never more.
    let all = s
        .client
        .create_provider_key(with(&desk, create(&[], "")))
        .await;
    let all = all.unwrap().into_inner().about.unwrap();
    assert_eq!(all.scopes().collect::<Vec<_>>(), [Read, Settings]);
    let more = s
        .client
        .create_provider_key(with(&desk, create(&[Answer], "")))
        .await;
    assert_eq!(problem(more), is(Kind::Forbidden, "scope_required"));
    let reader = s
        .client
        .create_provider_key(with(&made.key, create(&[Read], "")))
        .await;
    assert_eq!(problem(reader), is(Kind::Forbidden, "scope_required"));
    // A key with further rights is not replaced through one that lacks them, and another provider's is not there.
    let answering = key_id(&s.key("amber", &[Answer]).await);
    let others = key_id(&s.key("album", &[]).await);
    for (id, wanted) in [
        (answering, is(Kind::Forbidden, "scope_required")),
        (others.clone(), is(Kind::NotFound, "not_found")),
    ] {
        let rotate = v1::RotateProviderKeyRequest {
            key_id: id,
            ..Default::default()
        };
        let refused = s.client.rotate_provider_key(with(&desk, rotate)).await;
        assert_eq!(problem(refused), wanted);
    }
    let revoke = v1::RevokeProviderKeyRequest { key_id: others };
    let refused = s.client.revoke_provider_key(with(&desk, revoke)).await;
    assert_eq!(problem(refused), is(Kind::NotFound, "not_found"));
    let named = v1::ListProviderKeysRequest {
        provider_id: "album".into(),
    };
    let refused = s.client.list_provider_keys(with(&desk, named)).await;
    assert_eq!(problem(refused), is(Kind::NotFound, "not_found"));
    s.stop().await;
}

#[tokio::test]
async fn a_key_is_replaced_with_an_overlap_and_ends_at_once_where_it_must() {
    let mut s = Served::start().await;
    let desk = s.key("amber", &[]).await;
    let old = s.key("amber", &[Read]).await;
    let rotate = |overlap| v1::RotateProviderKeyRequest {
        key_id: key_id(&old),
        overlap_seconds: overlap,
        ..Default::default()
    };
    let long = s
        .client
        .rotate_provider_key(with(&desk, rotate(Some(604_801))))
        .await;
    assert_eq!(problem(long), is(Kind::Invalid, "overlap_out_of_range"));
    let made = s
        .client
        .rotate_provider_key(with(&desk, rotate(None)))
        .await;
    let made = made.unwrap().into_inner();
    let former = made.former.unwrap();
    let end = domain::wire::time("expires_at", &former.expires_at.unwrap()).unwrap();
    let left = end - platform::clock::wall();
    let (day, minute) = (time::Duration::days(1), time::Duration::minutes(1));
    assert!(left <= day && left > day - minute, "{left}");
    assert_eq!(made.about.unwrap().scopes().collect::<Vec<_>>(), [Read]);
    for key in [&old, &made.key] {
        assert_eq!(reads(&mut s, key).await, Ok(()));
    }
    // Now at once, and not later again.
    let now = s
        .client
        .rotate_provider_key(with(&desk, rotate(Some(0))))
        .await;
    now.unwrap();
    let refused = Err(is(Kind::Unauthenticated, "key_refused"));
    assert_eq!(reads(&mut s, &old).await, refused);
    let over = s
        .client
        .rotate_provider_key(with(&desk, rotate(None)))
        .await;
    assert_eq!(problem(over), is(Kind::FailedPrecondition, "key_over"));

    // One that has expired is refused like one that never was.
    sqlx::query("update provider_key set expires_at = $2 where key_id = $1::uuid")
        .bind(uuid::Uuid::parse_str(&key_id(&made.key)).unwrap())
        .bind(platform::clock::wall() - time::Duration::seconds(1))
        .execute(&s.bench.pool)
        .await
        .unwrap();
    assert_eq!(reads(&mut s, &made.key).await, refused);

    // A provider may end even the key that it speaks by; an operator sees what became of all.
    let revoke = v1::RevokeProviderKeyRequest {
        key_id: key_id(&desk),
    };
    s.client
        .revoke_provider_key(with(&desk, revoke))
        .await
        .unwrap();
    assert_eq!(reads(&mut s, &desk).await, refused);
    let operator = s.staff(&[Role::Operator]);
    let list = v1::ListProviderKeysRequest {
        provider_id: "amber".into(),
    };
    let keys = s.client.list_provider_keys(with(&operator, list)).await;
    let keys = keys.unwrap().into_inner().keys;
    let over = keys.iter().filter(|key| key.revoked_at.is_some()).count();
    assert_eq!((keys.len(), over), (4, 2));
    s.stop().await;
}

#[tokio::test]
async fn a_repeat_under_the_same_key_shows_the_same_secret_and_it_is_kept_sealed() {
    let mut s = Served::start().await;
    let desk = s.key("amber", &[]).await;
    let mut keys = Vec::new();
    for _ in 0..2 {
        let made = s
            .client
            .create_provider_key(with(&desk, create(&[Read], "k")))
            .await;
        keys.push(made.unwrap().into_inner().key);
    }
    assert_eq!(keys[0], keys[1]);
    let other = s
        .client
        .create_provider_key(with(&desk, create(&[Answer], "k")))
        .await;
    assert_eq!(problem(other), is(Kind::Conflict, KEY_REUSED));
    let url = |url: &str, key: &str| v1::CreateWebhookEndpointRequest {
        url: url.into(),
        idempotency_key: key.into(),
    };
    // Also by another method.
    let other = s
        .client
        .create_webhook_endpoint(with(&desk, url("https://a.example/x", "k")))
        .await;
    assert_eq!(problem(other), is(Kind::Conflict, KEY_REUSED));
    let mut secrets = Vec::new();
    for _ in 0..2 {
        let made = s
            .client
            .create_webhook_endpoint(with(&desk, url("https://a.example/x", "e")))
            .await;
        secrets.push(made.unwrap().into_inner().secret);
    }
    assert_eq!(secrets[0], secrets[1]);

    let text: String = sqlx::query_scalar(
        "select string_agg(encode(b, 'escape'), ' ') from (
            select reply as b from answer_receipt union all select address from webhook_endpoint
            union all select secret from webhook_endpoint where secret is not null) t",
    )
    .fetch_one(&s.bench.pool)
    .await
    .unwrap();
    for plain in [&keys[0][..], &secrets[0][6..], "a.example"] {
        assert!(!text.contains(plain), "{plain} lies open in the database");
    }
    s.stop().await;
}

#[tokio::test]
async fn endpoints_are_a_providers_own_and_what_is_in_use_stays() {
    let mut s = Served::start().await;
    let desk = s.key("amber", &[]).await;
    let stranger = s.key("larch", &[]).await;
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
        let refused = s
            .client
            .create_webhook_endpoint(with(&desk, create(bad.into())))
            .await;
        assert_eq!(problem(refused), is(Kind::Invalid, code), "{bad}");
    }
    let made = s
        .client
        .create_webhook_endpoint(with(&desk, create(url(0))))
        .await;
    let made = made.unwrap().into_inner();
    let endpoint = made.endpoint.unwrap();
    assert!(made.secret.starts_with("whsec_"));
    assert!(!endpoint.in_use && endpoint.has_secret);
    let again = s
        .client
        .create_webhook_endpoint(with(&desk, create(url(0))))
        .await;
    assert_eq!(problem(again), is(Kind::Conflict, "endpoint_exists"));

    let prefer = |url: String| v1::SetPreferencesRequest {
        preferences: Some(v1::Preferences {
            channel: v1::DeliveryChannel::Webhook.into(),
            webhook_url: url,
            ..Default::default()
        }),
    };
    let chosen = s.client.set_preferences(with(&desk, prefer(url(0)))).await;
    let chosen = chosen.unwrap().into_inner().preferences.unwrap();
    assert_eq!(chosen.webhook_endpoint_id, endpoint.endpoint_id);
    let delete = |id: &str| v1::DeleteWebhookEndpointRequest {
        endpoint_id: id.into(),
    };
    let in_use = s
        .client
        .delete_webhook_endpoint(with(&desk, delete(&endpoint.endpoint_id)))
        .await;
    assert_eq!(
        problem(in_use),
        is(Kind::FailedPrecondition, "endpoint_in_use")
    );
    // Nobody else's hands reach it.
    let not_found = is(Kind::NotFound, "not_found");
    let id = || endpoint.endpoint_id.clone();
    let refused = s
        .client
        .delete_webhook_endpoint(with(&stranger, delete(&id())))
        .await;
    assert_eq!(problem(refused), not_found);
    let rotate = v1::RotateWebhookSecretRequest {
        endpoint_id: id(),
        ..Default::default()
    };
    let refused = s
        .client
        .rotate_webhook_secret(with(&stranger, rotate))
        .await;
    assert_eq!(problem(refused), not_found);
    let test = v1::TestWebhookEndpointRequest { endpoint_id: id() };
    let refused = s.client.test_webhook_endpoint(with(&stranger, test)).await;
    assert_eq!(problem(refused), not_found);

    // An address that was none becomes one; the one before it is kept, and may go.
    let chosen = s.client.set_preferences(with(&desk, prefer(url(1)))).await;
    let chosen = chosen.unwrap().into_inner().preferences.unwrap();
    assert_ne!(chosen.webhook_endpoint_id, endpoint.endpoint_id);
    for n in 2..10 {
        s.client
            .create_webhook_endpoint(with(&desk, create(url(n))))
            .await
            .unwrap();
    }
    let full = s
        .client
        .create_webhook_endpoint(with(&desk, create(url(10))))
        .await;
    assert_eq!(
        problem(full),
        is(Kind::FailedPrecondition, "endpoints_full")
    );
    s.client
        .delete_webhook_endpoint(with(&desk, delete(&endpoint.endpoint_id)))
        .await
        .unwrap();
    let list = v1::ListWebhookEndpointsRequest {};
    let all = s.client.list_webhook_endpoints(with(&desk, list)).await;
    let all = all.unwrap().into_inner().endpoints;
    assert_eq!(all.len(), 9);
    let used: Vec<_> = all.iter().filter(|e| e.in_use).collect();
    assert_eq!(used.len(), 1);
    assert_eq!(
        (used[0].url.as_str(), used[0].has_secret),
        (&*url(1), false)
    );
    s.stop().await;
}

#[tokio::test]
async fn a_test_tells_what_came_of_it_and_there_are_only_so_many() {
    let mut s = Served::start().await;
    let desk = s.key("amber", &[]).await;
    // A name that leads to nobody: what is asked for is made, recorded and bounded all the same.
    let create = v1::CreateWebhookEndpointRequest {
        url: "https://127.0.0.1/hook".into(),
        ..Default::default()
    };
    let made = s.client.create_webhook_endpoint(with(&desk, create)).await;
    let endpoint_id = made.unwrap().into_inner().endpoint.unwrap().endpoint_id;
    let test = || v1::TestWebhookEndpointRequest {
        endpoint_id: endpoint_id.clone(),
    };
    for _ in 0..10 {
        let tested = s.client.test_webhook_endpoint(with(&desk, test())).await;
        let tested = tested.unwrap().into_inner().delivery.unwrap();
        assert_eq!(
            (tested.outcome.as_str(), tested.http_status),
            ("refused_address", 0)
        );
    }
    let more = s.client.test_webhook_endpoint(with(&desk, test())).await;
    assert_eq!(problem(more), is(Kind::Exhausted, "tests_exhausted"));
    let page = |size, cursor: &str| v1::ListDeliveriesRequest {
        page: Some(v1::Page {
            size,
            cursor: cursor.into(),
        }),
        failed: Some(true),
        ..Default::default()
    };
    let first = s.client.list_deliveries(with(&desk, page(7, ""))).await;
    let first = first.unwrap().into_inner();
    let second = s
        .client
        .list_deliveries(with(&desk, page(7, &first.next_cursor)))
        .await;
    let second = second.unwrap().into_inner();
    assert_eq!((first.deliveries.len(), second.deliveries.len()), (7, 3));
    assert_eq!(second.next_cursor, "");
    s.stop().await;
}
