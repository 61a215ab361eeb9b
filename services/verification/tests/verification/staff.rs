//! Accounts, sessions and tokens.

use platform::clock::Clock;
use platform::principal::Role;
use platform::sealed::{SigningContext, StaffTokenVerifier};
use proto::v1;
use tonic::Request;
use verification::Config;

use crate::fixture::{TestVerification, code};

const PASSWORD: &str = "a long enough password";

async fn sign_in(
    fixture: &TestVerification,
    name: &str,
    password: &str,
) -> Result<v1::SignInResponse, String> {
    fixture
        .client
        .clone()
        .sign_in(v1::SignInRequest {
            name: name.into(),
            password: password.into(),
        })
        .await
        .map(tonic::Response::into_inner)
        .map_err(|status| code(&status))
}

async fn create(fixture: &TestVerification, name: &str, roles: &[v1::StaffRole]) -> v1::Staff {
    let operator = fixture.staff(&[Role::Operator]);
    fixture
        .client
        .clone()
        .create_staff(operator.request(v1::CreateStaffRequest {
            name: name.into(),
            password: PASSWORD.into(),
            roles: roles.iter().map(|role| *role as i32).collect(),
        }))
        .await
        .unwrap()
        .into_inner()
        .staff
        .unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_is_exchanged_for_tokens_until_its_account_is_revoked() {
    let mut fixture = TestVerification::new().await;
    let staff = create(&fixture, "Ann Example", &[v1::StaffRole::Analyst]).await;
    // Repeating the request returns the same account.
    assert_eq!(
        create(&fixture, "Ann Example", &[v1::StaffRole::Analyst]).await,
        staff
    );
    let signed_in = sign_in(&fixture, "ann example", PASSWORD).await.unwrap();
    assert_eq!(signed_in.staff.unwrap().subject, staff.subject);
    let exchange = v1::ExchangeSessionRequest {
        session: signed_in.session.clone(),
        audience: "dispatch".into(),
    };
    let token = fixture
        .client
        .exchange_session(exchange.clone())
        .await
        .unwrap()
        .into_inner()
        .token;
    let verifier = fixture.keyring.verifier(SigningContext::StaffToken);
    let claims = StaffTokenVerifier::new(verifier, "dispatch")
        .unwrap()
        .verify(&token, platform::clock::wall())
        .unwrap();
    assert_eq!(claims.subject.to_string(), staff.subject);
    // A token for another service is refused.
    let mut request = Request::new(v1::ListStaffRequest {});
    let value = format!("Bearer {token}").parse().unwrap();
    request.metadata_mut().insert("authorization", value);
    let refused = fixture.client.list_staff(request).await.unwrap_err();
    assert_eq!(code(&refused), "credential_invalid");

    let operator = fixture.staff(&[Role::Operator]);
    for _ in 0..2 {
        let revoke = v1::RevokeStaffRequest {
            subject: staff.subject.clone(),
        };
        fixture
            .client
            .revoke_staff(operator.request(revoke))
            .await
            .unwrap();
    }
    let over = fixture.client.exchange_session(exchange).await.unwrap_err();
    assert_eq!(code(&over), "session_over");
    assert_eq!(
        sign_in(&fixture, "Ann Example", PASSWORD)
            .await
            .unwrap_err(),
        "sign_in_refused"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_idle_session_expires_and_a_used_one_does_not() {
    let mut fixture = TestVerification::new().await;
    create(&fixture, "Ann", &[v1::StaffRole::Analyst]).await;
    let session = sign_in(&fixture, "Ann", PASSWORD).await.unwrap().session;
    let exchange = v1::ExchangeSessionRequest {
        session: session.clone(),
        audience: "intake".into(),
    };
    for _ in 0..3 {
        fixture.clock.advance(time::Duration::hours(11));
        fixture
            .client
            .exchange_session(exchange.clone())
            .await
            .unwrap();
    }
    fixture.clock.advance(time::Duration::hours(12));
    let idle = fixture
        .client
        .exchange_session(exchange.clone())
        .await
        .unwrap_err();
    assert_eq!(code(&idle), "session_over");

    let session = sign_in(&fixture, "Ann", PASSWORD).await.unwrap().session;
    for _ in 0..2 {
        fixture
            .client
            .sign_out(v1::SignOutRequest {
                session: session.clone(),
            })
            .await
            .unwrap();
    }
    let out = v1::ExchangeSessionRequest {
        session,
        audience: "intake".into(),
    };
    let out = fixture.client.exchange_session(out).await.unwrap_err();
    assert_eq!(code(&out), "session_over");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_unknown_name_is_refused_like_a_wrong_password_and_both_are_limited() {
    let fixture = TestVerification::with_config(Config {
        sign_in_failures: 3,
        ..Config::default()
    })
    .await;
    create(&fixture, "Ann", &[v1::StaffRole::Analyst]).await;
    for name in ["Ann", "Nobody"] {
        let mut results = Vec::new();
        for _ in 0..4 {
            results.push(
                sign_in(&fixture, name, "not the password")
                    .await
                    .unwrap_err(),
            );
        }
        assert_eq!(
            results,
            [
                "sign_in_refused",
                "sign_in_refused",
                "sign_in_refused",
                "sign_in_later"
            ]
        );
    }
    assert_eq!(
        sign_in(&fixture, "Ann", PASSWORD).await.unwrap_err(),
        "sign_in_later"
    );
    fixture.clock.advance(time::Duration::minutes(16));
    sign_in(&fixture, "Ann", PASSWORD).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn concurrent_sign_ins_get_no_more_attempts_than_sequential_ones() {
    let fixture = TestVerification::with_config(Config {
        sign_in_failures: 3,
        ..Config::default()
    })
    .await;
    let attempts = (0..12).map(|_| sign_in(&fixture, "Ann", "not the password"));
    let results = futures::future::join_all(attempts).await;
    let verified = results
        .iter()
        .filter(|response| response.as_ref().unwrap_err() == "sign_in_refused");
    assert_eq!(verified.count(), 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_first_operator_is_created_once_and_its_secrets_are_stored_hashed() {
    let fixture = TestVerification::new().await;
    let clock = Clock::Manual(fixture.clock.clone());
    let password = verification::ensure_local_operator(&fixture.pool, &clock, "operator")
        .await
        .unwrap()
        .unwrap();
    let again = verification::ensure_local_operator(&fixture.pool, &clock, "operator").await;
    assert_eq!(again.unwrap(), None);
    let signed_in = sign_in(&fixture, "operator", &password).await.unwrap();
    assert_eq!(signed_in.staff.unwrap().roles.len(), 4);
    let session = verification::open_local_session(&fixture.pool, &clock, "operator")
        .await
        .unwrap();
    let exchanged = fixture
        .client
        .clone()
        .exchange_session(v1::ExchangeSessionRequest {
            session: session.clone(),
            audience: "ledger".into(),
        })
        .await;
    assert!(exchanged.is_ok());
    let stored_in_clear: i64 = sqlx::query_scalar(
        "select count(*) from session s, staff m
        where encode(s.session_hash, 'escape') like '%' || $1 || '%' or m.password_hash like '%' || $2 || '%'",
    )
    .bind(&session)
    .bind(&password)
    .fetch_one(&fixture.pool)
    .await
    .unwrap();
    assert_eq!(stored_in_clear, 0);
}
