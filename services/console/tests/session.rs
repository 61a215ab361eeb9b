//! Signing in and out, and what a request needs to be taken: a session, our own origin, a form of ours.

mod support;

use support::{Desk, browser, data, hidden, location};

#[tokio::test]
async fn nobody_sees_a_page_before_signing_in_and_comes_back_to_it_afterwards() {
    let desk = Desk::open().await;
    let answer = desk
        .get("/cases/018f0000-0000-7000-8000-000000000001?done=held")
        .await;
    assert_eq!(answer.status(), 303);
    let to = location(&answer).to_owned();
    assert_eq!(
        to,
        "/sign-in?return=/cases/018f0000-0000-7000-8000-000000000001?done%3Dheld"
    );
    let page = desk.page(&to).await;
    let back = hidden(&page, "return");
    assert_eq!(
        back,
        "/cases/018f0000-0000-7000-8000-000000000001?done=held"
    );
    let form = [
        ("name", "sam"),
        ("password", data::PASSWORD),
        ("return", &back),
    ];
    let answer = desk.post("/sign-in", &form).await;
    assert_eq!(
        (answer.status().as_u16(), location(&answer)),
        (303, back.as_str())
    );
    let cookie = answer.headers()["set-cookie"].to_str().unwrap();
    for part in ["HttpOnly", "SameSite=Strict", "Path=/", data::SESSION] {
        assert!(cookie.contains(part), "{cookie}");
    }
    assert!(!cookie.contains("Secure"), "loopback has no TLS: {cookie}");
}

#[tokio::test]
async fn away_from_loopback_the_cookie_is_for_tls_only() {
    let desk = Desk::with(console::Config {
        secure_cookie: Some(true),
        ..console::Config::default()
    })
    .await;
    let form = [("name", "sam"), ("password", data::PASSWORD)];
    let answer = desk.post("/sign-in", &form).await;
    let cookie = answer.headers()["set-cookie"].to_str().unwrap();
    assert!(
        cookie.starts_with("__Host-") && cookie.contains("Secure"),
        "{cookie}"
    );
    assert!(answer.headers().contains_key("strict-transport-security"));
}

#[tokio::test]
async fn a_wrong_password_is_told_and_is_not_repeated_on_the_page() {
    let desk = Desk::open().await;
    let form = [("name", "sam"), ("password", "not-this-one")];
    let answer = desk.post("/sign-in", &form).await;
    assert_eq!(answer.status(), 422);
    let page = answer.text().await.unwrap();
    assert!(page.contains("Name and password do not fit"));
    assert!(!page.contains("not-this-one"));
}

#[tokio::test]
async fn a_session_that_is_over_leads_back_to_the_door() {
    let desk = Desk::signed_in().await;
    desk.owners.on(
        "VerificationService/ExchangeSession",
        |_: proto::v1::ExchangeSessionRequest, _| {
            Err::<proto::v1::ExchangeSessionResponse, _>(tonic::Status::unauthenticated("over"))
        },
    );
    let answer = desk.get("/queue").await;
    assert_eq!(location(&answer), "/sign-in?return=/queue");
    let events = desk.get("/events").await;
    assert_eq!(events.headers()["content-type"], "text/event-stream");
    assert!(
        events
            .text()
            .await
            .unwrap()
            .contains("Your session is over")
    );
}

#[tokio::test]
async fn signing_out_ends_the_session_at_its_owner() {
    let desk = Desk::signed_in().await;
    let answer = desk.send("/sign-out", &[]).await;
    assert_eq!(location(&answer), "/sign-in?left=1");
    let ended = desk
        .owners
        .heard::<proto::v1::SignOutRequest>("VerificationService/SignOut");
    assert_eq!(ended[0].session, data::SESSION);
    assert_eq!(desk.get("/").await.status(), 303);
}

#[tokio::test]
async fn what_changes_something_must_come_from_a_page_of_ours() {
    let desk = Desk::signed_in().await;
    let path = format!("/queue/{}/claim", data::WAITING);
    // Without the form's token, with another one, from another site.
    assert_eq!(desk.post(&path, &[]).await.status(), 403);
    assert_eq!(
        desk.post(&path, &[("form_token", "made-up")])
            .await
            .status(),
        403
    );
    let token = hidden(&desk.page("/cases").await, "form_token");
    for (name, value) in [
        ("origin", "https://other.example"),
        ("sec-fetch-site", "cross-site"),
        ("sec-fetch-site", "same-site"),
    ] {
        let request = desk.browser.post(format!("{}{path}", desk.base));
        let answer = request
            .header(name, value)
            .form(&[("form_token", &token)])
            .send()
            .await;
        assert_eq!(answer.unwrap().status(), 403, "{name}: {value}");
    }
    let heard = desk
        .owners
        .heard::<proto::v1::ClaimCasesRequest>("VerificationService/ClaimCases");
    assert!(heard.is_empty());
    let request = desk.browser.post(format!("{}{path}", desk.base));
    let own = request
        .header("origin", &desk.base)
        .form(&[("form_token", &token)])
        .send()
        .await;
    assert_eq!(own.unwrap().status(), 303);
}

#[tokio::test]
async fn every_answer_carries_the_headers_that_protect_it() {
    let desk = Desk::signed_in().await;
    for path in ["/", "/sign-in", "/nowhere", "/healthz", "/queue/not-an-id"] {
        let answer = desk.get(path).await;
        let policy = answer.headers()["content-security-policy"]
            .to_str()
            .unwrap();
        for part in [
            "default-src 'none'",
            "script-src 'self'",
            "frame-ancestors 'none'",
            "base-uri 'none'",
        ] {
            assert!(policy.contains(part), "{path}: {policy}");
        }
        assert_eq!(answer.headers()["cache-control"], "no-store", "{path}");
        assert_eq!(
            answer.headers()["x-content-type-options"],
            "nosniff",
            "{path}"
        );
    }
}

#[tokio::test]
async fn tokens_are_kept_so_that_a_page_is_not_an_exchange_each() {
    let desk = Desk::signed_in().await;
    for _ in 0..5 {
        desk.page("/queue").await;
    }
    let exchanges = desk
        .owners
        .heard::<proto::v1::ExchangeSessionRequest>("VerificationService/ExchangeSession");
    assert_eq!(exchanges.len(), 1);
    // Somebody else's cookie is not helped by it.
    let stranger = browser()
        .get(format!("{}/queue", desk.base))
        .header("cookie", "takedown-session=guessed");
    assert_eq!(stranger.send().await.unwrap().status(), 303);
}
