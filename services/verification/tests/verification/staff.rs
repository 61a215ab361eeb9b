//! Accounts, sessions and tokens.

use platform::clock::Clock;
use platform::principal::Role;
use platform::sealed::{SigningContext, StaffTokenVerifier};
use proto::v1;
use tonic::Request;
use verification::Config;

use crate::house::{House, code};

const PASSWORD: &str = "a long enough password";

async fn sign_in(house: &House, name: &str, password: &str) -> Result<v1::SignInResponse, String> {
    house
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

async fn create(house: &House, name: &str, roles: &[v1::StaffRole]) -> v1::Staff {
    let operator = house.person(&[Role::Operator]);
    house
        .client
        .clone()
        .create_staff(operator.ask(v1::CreateStaffRequest {
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
async fn a_session_is_exchanged_for_a_minute_and_ends_with_its_account() {
    let mut house = House::new().await;
    let staff = create(&house, "Ann Example", &[v1::StaffRole::Analyst]).await;
    // The same request again is the same account.
    assert_eq!(
        create(&house, "Ann Example", &[v1::StaffRole::Analyst]).await,
        staff
    );
    let signed_in = sign_in(&house, "ann example", PASSWORD).await.unwrap();
    assert_eq!(signed_in.staff.unwrap().subject, staff.subject);
    let exchange = v1::ExchangeSessionRequest {
        session: signed_in.session.clone(),
        audience: "dispatch".into(),
    };
    let token = house
        .client
        .exchange_session(exchange.clone())
        .await
        .unwrap()
        .into_inner()
        .token;
    let verifier = house.keyring.verifier(SigningContext::StaffToken);
    let claims = StaffTokenVerifier::new(verifier, "dispatch")
        .unwrap()
        .verify(&token, platform::clock::wall())
        .unwrap();
    assert_eq!(claims.subject.to_string(), staff.subject);
    // A token for another owner opens nothing here.
    let mut request = Request::new(v1::ListStaffRequest {});
    let value = format!("Bearer {token}").parse().unwrap();
    request.metadata_mut().insert("authorization", value);
    let refused = house.client.list_staff(request).await.unwrap_err();
    assert_eq!(code(&refused), "credential_invalid");

    let operator = house.person(&[Role::Operator]);
    for _ in 0..2 {
        let revoke = v1::RevokeStaffRequest {
            subject: staff.subject.clone(),
        };
        house
            .client
            .revoke_staff(operator.ask(revoke))
            .await
            .unwrap();
    }
    let over = house.client.exchange_session(exchange).await.unwrap_err();
    assert_eq!(code(&over), "session_over");
    assert_eq!(
        sign_in(&house, "Ann Example", PASSWORD).await.unwrap_err(),
        "sign_in_refused"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_idle_session_ends_and_a_used_one_goes_on() {
    let mut house = House::new().await;
    create(&house, "Ann", &[v1::StaffRole::Analyst]).await;
    let session = sign_in(&house, "Ann", PASSWORD).await.unwrap().session;
    let exchange = v1::ExchangeSessionRequest {
        session: session.clone(),
        audience: "intake".into(),
    };
    for _ in 0..3 {
        house.clock.advance(time::Duration::hours(11));
        house
            .client
            .exchange_session(exchange.clone())
            .await
            .unwrap();
    }
    house.clock.advance(time::Duration::hours(12));
    let idle = house
        .client
        .exchange_session(exchange.clone())
        .await
        .unwrap_err();
    assert_eq!(code(&idle), "session_over");

    let session = sign_in(&house, "Ann", PASSWORD).await.unwrap().session;
    for _ in 0..2 {
        house
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
    let out = house.client.exchange_session(out).await.unwrap_err();
    assert_eq!(code(&out), "session_over");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_unknown_name_answers_as_a_wrong_password_and_both_are_limited() {
    let house = House::with(Config {
        sign_in_failures: 3,
        ..Config::default()
    })
    .await;
    create(&house, "Ann", &[v1::StaffRole::Analyst]).await;
    for name in ["Ann", "Nobody"] {
        let mut answers = Vec::new();
        for _ in 0..4 {
            answers.push(sign_in(&house, name, "not the password").await.unwrap_err());
        }
        assert_eq!(
            answers,
            [
                "sign_in_refused",
                "sign_in_refused",
                "sign_in_refused",
                "sign_in_later"
            ]
        );
    }
    assert_eq!(
        sign_in(&house, "Ann", PASSWORD).await.unwrap_err(),
        "sign_in_later"
    );
    house.clock.advance(time::Duration::minutes(16));
    sign_in(&house, "Ann", PASSWORD).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tries_at_once_are_no_more_than_one_after_the_other() {
    let house = House::with(Config {
        sign_in_failures: 3,
        ..Config::default()
    })
    .await;
    let tries = (0..12).map(|_| sign_in(&house, "Ann", "not the password"));
    let answers = futures::future::join_all(tries).await;
    let heard = answers
        .iter()
        .filter(|answer| answer.as_ref().unwrap_err() == "sign_in_refused");
    assert_eq!(heard.count(), 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_first_operator_is_made_once_and_nothing_of_it_is_kept_in_the_clear() {
    let house = House::new().await;
    let clock = Clock::Manual(house.clock.clone());
    let password = verification::ensure_local_operator(&house.pool, &clock, "operator")
        .await
        .unwrap()
        .unwrap();
    let again = verification::ensure_local_operator(&house.pool, &clock, "operator").await;
    assert_eq!(again.unwrap(), None);
    let signed_in = sign_in(&house, "operator", &password).await.unwrap();
    assert_eq!(signed_in.staff.unwrap().roles.len(), 4);
    let session = verification::open_local_session(&house.pool, &clock, "operator")
        .await
        .unwrap();
    let exchanged = house
        .client
        .clone()
        .exchange_session(v1::ExchangeSessionRequest {
            session: session.clone(),
            audience: "ledger".into(),
        })
        .await;
    assert!(exchanged.is_ok());
    let kept: i64 = sqlx::query_scalar(
        "select count(*) from session s, staff m
        where encode(s.session_hash, 'escape') like '%' || $1 || '%' or m.password_hash like '%' || $2 || '%'",
    )
    .bind(&session)
    .bind(&password)
    .fetch_one(&house.pool)
    .await
    .unwrap();
    assert_eq!(kept, 0);
}
