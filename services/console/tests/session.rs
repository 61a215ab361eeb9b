//! Signing in and out, and what every request that changes something needs: a session, our own origin and a form token.

mod support;

use support::{TestConsole, browser, data, hidden_value, location};

#[tokio::test]
async fn a_page_needs_a_session_and_is_returned_to_after_the_sign_in() {
    let console = TestConsole::start().await;
    let response = console
        .get("/cases/018f0000-0000-7000-8000-000000000001?done=police-hold")
        .await;
    assert_eq!(response.status(), 303);
    let to = location(&response).to_owned();
    assert_eq!(
        to,
        "/sign-in?return=/cases/018f0000-0000-7000-8000-000000000001?done%3Dpolice-hold"
    );
    let page = console.page(&to).await;
    let back = hidden_value(&page, "return");
    assert_eq!(
        back,
        "/cases/018f0000-0000-7000-8000-000000000001?done=police-hold"
    );
    let form = [
        ("name", "sam"),
        ("password", data::PASSWORD),
        ("return", &back),
    ];
    let response = console.post("/sign-in", &form).await;
    assert_eq!(
        (response.status().as_u16(), location(&response)),
        (303, back.as_str())
    );
    let cookie = response.headers()["set-cookie"].to_str().unwrap();
    for part in ["HttpOnly", "SameSite=Strict", "Path=/", data::SESSION] {
        assert!(cookie.contains(part), "{cookie}");
    }
    assert!(!cookie.contains("Secure"), "loopback has no TLS: {cookie}");
}

#[tokio::test]
async fn away_from_loopback_the_cookie_is_for_tls_only() {
    let console = TestConsole::with_config(console::Config {
        secure_cookie: Some(true),
        ..console::Config::default()
    })
    .await;
    let form = [("name", "sam"), ("password", data::PASSWORD)];
    let response = console.post("/sign-in", &form).await;
    let cookie = response.headers()["set-cookie"].to_str().unwrap();
    assert!(
        cookie.starts_with("__Host-") && cookie.contains("Secure"),
        "{cookie}"
    );
    assert!(response.headers().contains_key("strict-transport-security"));
}

#[tokio::test]
async fn a_wrong_password_is_reported_and_not_repeated_on_the_page() {
    let console = TestConsole::start().await;
    let form = [("name", "sam"), ("password", "not-this-one")];
    let response = console.post("/sign-in", &form).await;
    assert_eq!(response.status(), 422);
    let page = response.text().await.unwrap();
    assert!(page.contains("The name or the password is wrong"));
    assert!(!page.contains("not-this-one"));
}

#[tokio::test]
async fn a_session_that_has_ended_leads_to_the_sign_in_page() {
    let console = TestConsole::signed_in().await;
    console.services.on(
        "VerificationService/ExchangeSession",
        |_: proto::v1::ExchangeSessionRequest, _| {
            Err::<proto::v1::ExchangeSessionResponse, _>(tonic::Status::unauthenticated("over"))
        },
    );
    let response = console.get("/queue").await;
    assert_eq!(location(&response), "/sign-in?return=/queue");
    let events = console.get("/events").await;
    assert_eq!(events.headers()["content-type"], "text/event-stream");
    assert!(
        events
            .text()
            .await
            .unwrap()
            .contains("Your session has ended")
    );
}

#[tokio::test]
async fn signing_out_ends_the_session_in_verification() {
    let console = TestConsole::signed_in().await;
    let response = console.send("/sign-out", &[]).await;
    assert_eq!(location(&response), "/sign-in?signed-out=1");
    let ended = console
        .services
        .received::<proto::v1::SignOutRequest>("VerificationService/SignOut");
    assert_eq!(ended[0].session, data::SESSION);
    assert_eq!(console.get("/").await.status(), 303);
}

#[tokio::test]
async fn a_form_is_accepted_only_from_our_own_pages() {
    let console = TestConsole::signed_in().await;
    let path = format!("/queue/{}/claim", data::WAITING);
    // Without the form's token, with another one, from another site.
    assert_eq!(console.post(&path, &[]).await.status(), 403);
    assert_eq!(
        console
            .post(&path, &[("form_token", "made-up")])
            .await
            .status(),
        403
    );
    let token = hidden_value(&console.page("/cases").await, "form_token");
    for (name, value) in [
        ("origin", "https://other.example"),
        ("sec-fetch-site", "cross-site"),
        ("sec-fetch-site", "same-site"),
    ] {
        let request = console.browser.post(format!("{}{path}", console.base));
        let response = request
            .header(name, value)
            .form(&[("form_token", &token)])
            .send()
            .await;
        assert_eq!(response.unwrap().status(), 403, "{name}: {value}");
    }
    let received = console
        .services
        .received::<proto::v1::ClaimCasesRequest>("VerificationService/ClaimCases");
    assert!(received.is_empty());
    let request = console.browser.post(format!("{}{path}", console.base));
    let own = request
        .header("origin", &console.base)
        .form(&[("form_token", &token)])
        .send()
        .await;
    assert_eq!(own.unwrap().status(), 303);
}

#[tokio::test]
async fn every_response_has_the_security_headers() {
    let console = TestConsole::signed_in().await;
    for path in ["/", "/sign-in", "/nowhere", "/healthz", "/queue/not-an-id"] {
        let response = console.get(path).await;
        let policy = response.headers()["content-security-policy"]
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
        assert_eq!(response.headers()["cache-control"], "no-store", "{path}");
        assert_eq!(
            response.headers()["x-content-type-options"],
            "nosniff",
            "{path}"
        );
    }
}

#[tokio::test]
async fn a_token_is_reused_for_several_pages() {
    let console = TestConsole::signed_in().await;
    for _ in 0..5 {
        console.page("/queue").await;
    }
    let exchanges = console
        .services
        .received::<proto::v1::ExchangeSessionRequest>("VerificationService/ExchangeSession");
    assert_eq!(exchanges.len(), 1);
    // The cached token is not used for another cookie.
    let stranger = browser()
        .get(format!("{}/queue", console.base))
        .header("cookie", "takedown-session=guessed");
    assert_eq!(stranger.send().await.unwrap().status(), 303);
}
