//! The page behind the link in a notice mail.

use domain::enums::Answer;
use proto::v1;

use crate::backend::{NOON, RecordedCall};
use crate::setup::{TestGateway, start};

async fn open(gateway: &TestGateway, method: &str, token: &str) -> (u16, String) {
    let request = gateway.request(method, &format!("/n/{token}"));
    let response = request.send().await.unwrap();
    let status = response.status().as_u16();
    (status, response.text().await.unwrap())
}

async fn send(gateway: &TestGateway, token: &str, form: &[(&str, &str)]) -> (u16, String) {
    let request = gateway.request("POST", &format!("/n/{token}")).form(form);
    let response = request.send().await.unwrap();
    let status = response.status().as_u16();
    (status, response.text().await.unwrap())
}

#[tokio::test]
async fn opening_the_page_changes_nothing() {
    let gateway = start().await;
    for method in ["GET", "HEAD"] {
        let request = gateway.request(method, "/n/good?utm_source=mailfilter");
        let response = request.header("purpose", "prefetch").send().await.unwrap();
        assert_eq!(response.status(), 200);
    }
    let calls = gateway.backend.take();
    assert!(!calls.is_empty());
    assert!(
        calls
            .iter()
            .all(|(_, call)| matches!(call, RecordedCall::View(_) | RecordedCall::Keys)),
        "{calls:?}"
    );
}

#[tokio::test]
async fn the_page_shows_the_notice_and_offers_every_answer() {
    let gateway = start().await;
    let (_, page) = open(&gateway, "GET", "good").await;
    for part in [
        "<html lang=\"en\">",
        "<main",
        "Synthetic Hotline asks amber-host",
        "category B",
        "2 March 2026, 12:00 UTC",
        "<time datetime=\"2026-03-02T12:00:00Z\">",
        "hxxps://img.amber[.]example/a/1",
    ] {
        assert!(page.contains(part), "{part} is not in {page}");
    }
    for answer in Answer::ALL {
        let input = format!("id=\"answer-{answer}\" value=\"{answer}\"");
        let label = format!("<label for=\"answer-{answer}\">");
        assert!(page.contains(&input) && page.contains(&label), "{answer}");
    }
    assert!(!page.contains("<script"), "no script");
    assert!(!page.contains("https://img.amber"), "the URL is not a link");
    // Texts of the notice are escaped.
    assert!(!page.contains("<section>") && page.contains("section"));
    assert!(!page.contains("<b>"));
}

#[tokio::test]
async fn the_page_names_its_addressee_and_how_to_verify_the_notice_without_it() {
    let gateway = start().await;
    let (_, page) = open(&gateway, "GET", "good").await;
    for part in [
        "This page is for amber-host alone",
        "if the mail was passed on to you",
        // The backend of the test signs nothing.
        "The signature of this notice is not valid",
        "Key <code>n1</code>",
        "href=\"/.well-known/takedown-keys.json\"",
    ] {
        assert!(page.contains(part), "{part} is not in {page}");
    }
}

#[tokio::test]
async fn answers_that_need_no_details_have_a_button() {
    let gateway = start().await;
    let (_, page) = open(&gateway, "GET", "good").await;
    for answer in Answer::ALL {
        let button = format!("<button type=\"submit\" name=\"answer\" value=\"{answer}\">");
        let is_one_click = matches!(
            answer,
            Answer::Acknowledged | Answer::Removed | Answer::Unavailable | Answer::Preserved
        );
        assert_eq!(page.contains(&button), is_one_click, "{answer}");
    }
    // A button submits its answer and no other field.
    let (status, page) = send(&gateway, "good", &[("answer", "removed")]).await;
    assert_eq!(status, 200);
    assert!(page.contains("We have removed it"), "{page}");

    gateway.backend.notice.lock().unwrap().state = v1::NoticeState::Watched.into();
    let (_, page) = open(&gateway, "GET", "good").await;
    assert!(page.contains("No further action is needed. If you") && !page.contains("<form"));
}

#[tokio::test]
async fn the_page_has_its_own_content_policy_and_the_privacy_headers() {
    let gateway = start().await;
    let response = gateway.request("GET", "/n/good").send().await.unwrap();
    let headers = response.headers();
    let policy = headers["content-security-policy"].to_str().unwrap();
    assert_eq!(
        policy,
        "default-src 'none'; style-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    );
    assert_eq!(headers["referrer-policy"], "no-referrer");
    assert_eq!(headers["cache-control"], "no-store");
    assert!(
        headers["x-robots-tag"]
            .to_str()
            .unwrap()
            .contains("noindex")
    );
    assert_eq!(headers["x-content-type-options"], "nosniff");
    assert!(headers.get("set-cookie").is_none());

    let style = gateway
        .request("GET", "/assets/notice.css")
        .send()
        .await
        .unwrap();
    assert_eq!(style.headers()["content-type"], "text/css; charset=utf-8");
    assert!(style.text().await.unwrap().contains(":focus-visible"));
}

#[tokio::test]
async fn the_form_answers_and_shows_the_next_step() {
    let gateway = start().await;
    // Fields that belong to other answers may be filled in; they are not sent.
    let form = [
        ("answer", "removed"),
        ("until", "2026-03-01T12:00"),
        ("named", "x"),
        ("text", ""),
    ];
    let (status, page) = send(&gateway, "good", &form).await;
    assert_eq!(status, 200);
    assert!(
        page.contains("We have removed it") && page.contains("removal_claimed"),
        "{page}"
    );
    let expected = |answer: v1::Answer, until, named: &str| {
        RecordedCall::AnswerByLink(v1::AnswerByLinkRequest {
            token: "good".into(),
            answer: Some(v1::AnswerItem {
                answer: answer.into(),
                until,
                named: named.into(),
                ..Default::default()
            }),
        })
    };
    assert_eq!(
        gateway.backend.only(),
        (None, expected(v1::Answer::Removed, None, ""))
    );

    let form = [("answer", "need_time"), ("until", "2026-03-01T12:00")];
    assert_eq!(send(&gateway, "good", &form).await.0, 200);
    assert_eq!(
        gateway.backend.only().1,
        expected(v1::Answer::NeedTime, Some(NOON), "")
    );
    let form = [("answer", "not_ours"), ("named", "cedar-cdn")];
    assert_eq!(send(&gateway, "good", &form).await.0, 200);
    assert_eq!(
        gateway.backend.only().1,
        expected(v1::Answer::NotOurs, None, "cedar-cdn")
    );
}

#[tokio::test]
async fn a_text_with_several_lines_is_accepted() {
    let gateway = start().await;
    let form = [
        ("answer", "disputed"),
        ("text", "A parody.\r\nSee the page."),
    ];
    let (status, page) = send(&gateway, "good", &form).await;
    assert_eq!(status, 200, "{page}");
}

#[tokio::test]
async fn an_invalid_field_shows_the_form_again_with_the_input() {
    let gateway = start().await;
    let form = [("answer", "need_time"), ("text", "please <wait>")];
    let (status, page) = send(&gateway, "good", &form).await;
    assert_eq!(status, 422);
    assert!(page.contains("A sentence of the service"), "{page}");
    assert!(page.contains("href=\"#until\"") && page.contains("aria-invalid=\"true\""));
    assert!(
        page.contains("value=\"need_time\" required aria-describedby=\"hint-need_time\" checked")
    );
    assert!(page.contains("please ") && !page.contains("<wait>"));

    let (status, page) = send(&gateway, "good", &[("text", "hm")]).await;
    assert_eq!(status, 422);
    assert!(page.contains("Choose one of the answers."), "{page}");
    let (status, _) = send(
        &gateway,
        "good",
        &[("answer", "need_time"), ("until", "soon")],
    )
    .await;
    assert_eq!(status, 422);
    let (status, _) = send(
        &gateway,
        "good",
        &[("answer", "removed"), ("colour", "red")],
    )
    .await;
    assert_eq!(status, 400);
    let twice = [("answer", "removed"), ("answer", "disputed")];
    assert_eq!(send(&gateway, "good", &twice).await.0, 400);
    let json_body = gateway
        .request("POST", "/n/good")
        .json(&serde_json::json!({"answer": "removed"}));
    assert_eq!(json_body.send().await.unwrap().status(), 415);
}

#[tokio::test]
async fn the_last_answer_is_shown_and_a_withdrawn_notice_has_no_form() {
    let gateway = start().await;
    *gateway.backend.last_answer.lock().unwrap() = v1::Answer::Acknowledged.into();
    let (_, page) = open(&gateway, "GET", "good").await;
    assert!(page.contains("We have received it</dd>") && page.contains("Change your answer"));

    gateway.backend.notice.lock().unwrap().message = v1::MessageKind::Retraction.into();
    let (_, page) = open(&gateway, "GET", "good").await;
    assert!(page.contains("This notice is withdrawn") && !page.contains("<form"));
}

#[tokio::test]
async fn an_invalid_link_has_a_page_with_the_reason() {
    let gateway = start().await;
    for (token, status, text) in [
        ("expired", 410, "You will be sent a new link"),
        ("forged", 404, "does not lead to a notice"),
        ("down", 503, "Not available"),
    ] {
        for (actual, page) in [
            open(&gateway, "GET", token).await,
            send(&gateway, token, &[("answer", "removed")]).await,
        ] {
            assert_eq!(actual, status);
            assert!(page.contains(text) && page.contains("<main"), "{page}");
        }
    }
    gateway.backend.take();
    let long = "a".repeat(2000);
    for token in ["a%2Fb", "%00", "a%20b", &long] {
        assert_eq!(open(&gateway, "GET", token).await.0, 404);
    }
    assert_eq!(
        gateway.backend.call_count(),
        0,
        "dispatch is not called for a malformed token"
    );
}
