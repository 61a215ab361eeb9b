//! The page behind a mail's link.

use domain::word::Answer;
use proto::v1;

use crate::backend::{Call, NOON};
use crate::setup::{Gateway, start};

async fn open(gateway: &Gateway, method: &str, token: &str) -> (u16, String) {
    let request = gateway.request(method, &format!("/n/{token}"));
    let response = request.send().await.unwrap();
    let status = response.status().as_u16();
    (status, response.text().await.unwrap())
}

async fn send(gateway: &Gateway, token: &str, form: &[(&str, &str)]) -> (u16, String) {
    let request = gateway.request("POST", &format!("/n/{token}")).form(form);
    let response = request.send().await.unwrap();
    let status = response.status().as_u16();
    (status, response.text().await.unwrap())
}

#[tokio::test]
async fn looking_changes_nothing_however_it_is_done() {
    let gateway = start().await;
    for method in ["GET", "HEAD"] {
        let request = gateway.request(method, "/n/good?utm_source=mailfilter");
        let response = request.header("purpose", "prefetch").send().await.unwrap();
        assert_eq!(response.status(), 200);
    }
    let asked = gateway.asked.take();
    assert!(!asked.is_empty());
    assert!(
        asked
            .iter()
            .all(|(_, call)| matches!(call, Call::View(_) | Call::Keys)),
        "{asked:?}"
    );
}

#[tokio::test]
async fn the_page_says_who_what_law_and_until_and_offers_every_answer() {
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
    assert!(!page.contains("https://img.amber"), "nothing to click on");
    // The owner's texts are shown, never run.
    assert!(!page.contains("<section>") && page.contains("section"));
    assert!(!page.contains("<b>"));
}

#[tokio::test]
async fn the_page_says_whose_it_is_and_how_to_check_the_notice_without_it() {
    let gateway = start().await;
    let (_, page) = open(&gateway, "GET", "good").await;
    for part in [
        "This page is for amber-host alone",
        "if the mail was passed on to you",
        // The stand-in for dispatch signs nothing.
        "The signature of this notice does not hold",
        "Key <code>n1</code>",
        "href=\"/.well-known/takedown-keys.json\"",
    ] {
        assert!(page.contains(part), "{part} is not in {page}");
    }
}

#[tokio::test]
async fn one_click_answers_where_no_more_is_to_be_said() {
    let gateway = start().await;
    let (_, page) = open(&gateway, "GET", "good").await;
    for answer in Answer::ALL {
        let button = format!("<button type=\"submit\" name=\"answer\" value=\"{answer}\">");
        let says_all = matches!(
            answer,
            Answer::Acknowledged | Answer::Removed | Answer::Unavailable | Answer::Preserved
        );
        assert_eq!(page.contains(&button), says_all, "{answer}");
    }
    // A button sends itself and nothing else.
    let (status, page) = send(&gateway, "good", &[("answer", "removed")]).await;
    assert_eq!(status, 200);
    assert!(page.contains("We have removed it"), "{page}");

    gateway.asked.notice.lock().unwrap().state = v1::NoticeState::Watched.into();
    let (_, page) = open(&gateway, "GET", "good").await;
    assert!(page.contains("Nothing more is asked of you") && !page.contains("<form"));
}

#[tokio::test]
async fn the_pages_headers_keep_it_private() {
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
async fn the_form_answers_and_says_what_comes_next() {
    let gateway = start().await;
    // What belongs to other answers may stand in the form; it is not sent.
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
        Call::AnswerByLink(v1::AnswerByLinkRequest {
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
        gateway.asked.only(),
        (None, expected(v1::Answer::Removed, None, ""))
    );

    let form = [("answer", "need_time"), ("until", "2026-03-01T12:00")];
    assert_eq!(send(&gateway, "good", &form).await.0, 200);
    assert_eq!(
        gateway.asked.only().1,
        expected(v1::Answer::NeedTime, Some(NOON), "")
    );
    let form = [("answer", "not_ours"), ("named", "cedar-cdn")];
    assert_eq!(send(&gateway, "good", &form).await.0, 200);
    assert_eq!(
        gateway.asked.only().1,
        expected(v1::Answer::NotOurs, None, "cedar-cdn")
    );
}

#[tokio::test]
async fn words_on_several_lines_are_taken_as_a_browser_sends_them() {
    let gateway = start().await;
    let form = [
        ("answer", "disputed"),
        ("text", "A parody.\r\nSee the page."),
    ];
    let (status, page) = send(&gateway, "good", &form).await;
    assert_eq!(status, 200, "{page}");
}

#[tokio::test]
async fn a_wrong_field_keeps_the_person_at_the_form_with_what_they_typed() {
    let gateway = start().await;
    let form = [("answer", "need_time"), ("text", "please <wait>")];
    let (status, page) = send(&gateway, "good", &form).await;
    assert_eq!(status, 422);
    assert!(page.contains("A sentence of the owner"), "{page}");
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
    let typed = gateway
        .request("POST", "/n/good")
        .json(&serde_json::json!({"answer": "removed"}));
    assert_eq!(typed.send().await.unwrap().status(), 415);
}

#[tokio::test]
async fn an_answer_that_stands_is_shown_and_a_withdrawn_notice_asks_for_none() {
    let gateway = start().await;
    *gateway.asked.answered.lock().unwrap() = v1::Answer::Acknowledged.into();
    let (_, page) = open(&gateway, "GET", "good").await;
    assert!(page.contains("We have received it</dd>") && page.contains("Change your answer"));

    gateway.asked.notice.lock().unwrap().message = "retraction".into();
    let (_, page) = open(&gateway, "GET", "good").await;
    assert!(page.contains("This notice is withdrawn") && !page.contains("<form"));
}

#[tokio::test]
async fn a_link_that_does_not_hold_gets_a_page_that_says_so() {
    let gateway = start().await;
    for (token, status, says) in [
        ("expired", 410, "You are sent a new link"),
        ("forged", 404, "does not lead to a notice"),
        ("down", 503, "Not available"),
    ] {
        for (got, page) in [
            open(&gateway, "GET", token).await,
            send(&gateway, token, &[("answer", "removed")]).await,
        ] {
            assert_eq!(got, status);
            assert!(page.contains(says) && page.contains("<main"), "{page}");
        }
    }
    gateway.asked.take();
    let long = "a".repeat(2000);
    for token in ["a%2Fb", "%00", "a%20b", &long] {
        assert_eq!(open(&gateway, "GET", token).await.0, 404);
    }
    assert_eq!(
        gateway.asked.seen(),
        0,
        "what no link looks like is not asked"
    );
}
