//! Every page: with all services, with some of them down, and with invalid input.

mod support;

use std::time::Duration;

use proto::v1;
use support::{TestConsole, data, hidden_value, location};

#[tokio::test]
async fn every_page_is_shown_and_escapes_foreign_text() {
    let console = TestConsole::signed_in().await;
    for path in [
        "/".to_owned(),
        "/queue".to_owned(),
        "/queue?state=queued".to_owned(),
        format!("/queue/{}", data::WAITING),
        format!("/queue/{}", data::CLAIMED),
        "/overdue".to_owned(),
        "/cases".to_owned(),
        format!("/cases/{}", data::WAITING),
        "/providers".to_owned(),
        "/providers/amber-host".to_owned(),
        "/lists".to_owned(),
        "/shift".to_owned(),
        "/parked".to_owned(),
    ] {
        let page = console.page(&path).await;
        assert!(!page.contains(data::HOSTILE), "{path}");
        assert!(
            !page.contains("style=") && !page.contains("onclick"),
            "{path}"
        );
        assert!(!page.contains(data::URL), "{path}");
    }
}

#[tokio::test]
async fn every_asset_that_a_page_names_is_served_with_a_permanent_cache_time() {
    let console = TestConsole::signed_in().await;
    let page = console.page("/").await;
    let mut seen = 0;
    for piece in page.split("\"/assets/").skip(1) {
        let path = format!("/assets/{}", piece.split('"').next().unwrap());
        let response = console.get(&path).await;
        assert_eq!(response.status(), 200, "{path}");
        assert!(
            response.headers()["cache-control"]
                .to_str()
                .unwrap()
                .contains("immutable")
        );
        seen += 1;
    }
    assert_eq!(seen, 5);
    assert_eq!(console.get("/assets/0/../Cargo.toml").await.status(), 404);
}

#[tokio::test]
async fn the_pipeline_shows_conservation_and_ages() {
    let console = TestConsole::signed_in().await;
    let page = console.page("/").await;
    assert!(page.contains(
        "<strong>12,345</strong> accepted = the sum over all stages, <strong>0 lost</strong>"
    ));
    assert!(page.contains("2 minutes ago"));
    assert!(page.contains("Regulator"));
    // A gauge above its bound is an alarm, by a symbol as well as by colour.
    let tile = |name: &str| {
        let (before, after) = page.split_once(name).unwrap();
        let (_, class) = before.rsplit_once("<li").unwrap();
        let (html, _) = after.split_once("</li>").unwrap();
        let is_alarm = class.contains("late");
        assert_eq!(is_alarm, html.contains("Alarm: "), "{name}");
        (is_alarm, html.to_owned())
    };
    let (is_alarm, silence) = tile("Time since the newest report");
    assert!(is_alarm && silence.contains("at most 6"), "{silence}");
    assert!(tile("what\">Parked events").0);
    assert!(!tile("Overdue messages").0);
    assert!(!tile("Stalled consumers").0);
}

#[tokio::test]
async fn reports_that_the_ledger_does_not_have_yet_are_in_transit() {
    let console = TestConsole::signed_in().await;
    console.services.on(
        "LedgerService/GetConservation",
        |_: v1::GetConservationRequest, _| {
            Ok(v1::GetConservationResponse {
                accepted: 12_000,
                cases: 9000,
                stages: vec![data::figures::stage("removed", 12_000, 9000)],
                lost: 0,
                events: 70_001,
                gauges: Vec::new(),
            })
        },
    );
    let page = console.page("/").await;
    assert!(page.contains("<strong>12,345</strong> accepted"));
    assert!(page.contains("345 in transit") && !page.contains("0 lost"));
    console.services.stop("IntakeService");
    let deadline = tokio::time::Instant::now() + Duration::from_secs(10);
    let page = loop {
        let page = console.page("/").await;
        if page.contains("Intake: reports by outcome") {
            break page;
        }
        assert!(tokio::time::Instant::now() < deadline, "intake is missing");
    };
    assert!(!page.contains("0 lost") && !page.contains("the sum over all stages"));
}

#[tokio::test]
async fn an_overdue_page_shows_the_time_of_its_figures_and_that_dispatch_is_down() {
    let console = TestConsole::signed_in().await;
    assert!(console.page("/overdue").await.contains("As of"));
    let mut events = console.get("/overdue/events").await;
    let mut text = String::new();
    let mut wait_for = async |wanted: &str| {
        while !text.contains(wanted) {
            let chunk = tokio::time::timeout(Duration::from_secs(10), events.chunk());
            let chunk = chunk
                .await
                .expect("an event")
                .unwrap()
                .expect("the stream continues");
            text.push_str(std::str::from_utf8(&chunk).unwrap());
        }
    };
    wait_for("As of").await;
    console.services.stop("DispatchService");
    wait_for("Dispatch: the overdue notices").await;
}

#[tokio::test]
async fn only_the_newest_version_of_a_rule_is_approved_and_in_the_version_that_was_shown() {
    let console = TestConsole::signed_in().await;
    console.services.on(
        "VerificationService/ListRules",
        |_: v1::ListRulesRequest, _| {
            let rule = |version| v1::Rule {
                rule_id: data::NOTICE.into(),
                version,
                host: "host.example".into(),
                ..Default::default()
            };
            Ok(v1::ListRulesResponse {
                rules: vec![rule(1), rule(2)],
            })
        },
    );
    let page = console.page("/lists").await;
    let buttons = page.matches("action=\"/rules/approve\"").count();
    assert_eq!(buttons, 1);
    assert!(page.contains("name=\"version\" value=\"2\"><button>Approve"));
    console.services.on(
        "VerificationService/ApproveRule",
        |_: v1::ApproveRuleRequest, _| Ok(v1::ApproveRuleResponse::default()),
    );
    let form = [("rule", data::NOTICE), ("version", "2")];
    console.send("/rules/approve", &form).await;
    let received = console
        .services
        .received::<v1::ApproveRuleRequest>("VerificationService/ApproveRule");
    assert_eq!(
        (received[0].rule_id.as_str(), received[0].version),
        (data::NOTICE, 2)
    );
}

#[tokio::test]
async fn a_service_that_is_down_affects_only_its_own_figures() {
    let console = TestConsole::signed_in().await;
    console.services.stop("DispatchService");
    console.services.stop("LedgerService");
    let page = console.page("/").await;
    assert!(page.contains("Some figures are missing"));
    assert!(page.contains("Dispatch: cases, notices and clocks"));
    assert!(page.contains("Ledger: conservation of reports"));
    assert!(!page.contains("Intake: reports by outcome"));
    assert!(page.contains("12,345"));
    let case = console.page(&format!("/cases/{}", data::WAITING)).await;
    assert!(case.contains("Ledger: the timeline") && case.contains("their-1"));
    // A page of a service that is down is an error page with the menu and the name.
    let overdue = console.get("/overdue").await;
    assert_eq!(overdue.status(), 503);
    let page = overdue.text().await.unwrap();
    assert!(page.contains("does not respond") && page.contains(">sam</span>"));
}

#[tokio::test]
async fn an_error_page_keeps_the_menu_the_name_and_the_form_while_verification_is_down() {
    let console = TestConsole::start().await;
    // Tokens that are never usable for a second request.
    console.services.on(
        "VerificationService/ExchangeSession",
        |q: v1::ExchangeSessionRequest, _| {
            Ok(v1::ExchangeSessionResponse {
                token: format!("token-for-{}", q.audience),
                expires_at: data::at(-5),
                staff: Some(data::staff()),
            })
        },
    );
    let form = [("name", "sam"), ("password", data::PASSWORD)];
    console.post("/sign-in", &form).await;
    let token = hidden_value(&console.page("/queue").await, "form_token");
    console.services.stop("VerificationService");
    let response = console.get("/queue").await;
    assert_eq!(response.status(), 503);
    let page = response.text().await.unwrap();
    assert!(page.contains(">sam</span>") && page.contains("href=\"/overdue\""));

    let path = format!("/cases/{}/withdraw", data::WAITING);
    let form = [("form_token", token.as_str()), ("reason", "mistaken")];
    let page = console.post(&path, &form).await.text().await.unwrap();
    assert!(page.contains(&format!("action=\"{path}\" id=\"retry\"")));
    assert!(page.contains("name=\"reason\" value=\"mistaken\""));
    // A form that may come from another site is not offered to be sent again.
    let form = [("form_token", "made-up"), ("reason", "mistaken")];
    let page = console.post(&path, &form).await.text().await.unwrap();
    assert!(!page.contains("mistaken"));
}

#[tokio::test]
async fn an_open_page_receives_changes_until_the_process_ends() {
    let console = TestConsole::signed_in().await;
    let mut events = console.get("/events").await;
    let mut text = String::new();
    let mut wait_for = async |wanted: &str| {
        while !text.contains(wanted) {
            let chunk = tokio::time::timeout(Duration::from_secs(10), events.chunk());
            let chunk = chunk
                .await
                .expect("an event")
                .unwrap()
                .expect("the stream continues");
            text.push_str(std::str::from_utf8(&chunk).unwrap());
        }
    };
    wait_for("12,345").await;
    console.services.on(
        "IntakeService/GetIntakeCounts",
        |_: v1::GetIntakeCountsRequest, _| {
            Ok(v1::GetIntakeCountsResponse {
                accepted: 55_555,
                ..Default::default()
            })
        },
    );
    wait_for("55,555").await;
    console.shutdown.cancel();
    let ended = async { while let Ok(Some(_)) = events.chunk().await {} };
    tokio::time::timeout(Duration::from_secs(10), ended)
        .await
        .expect("the stream ends");
    let ended = tokio::time::timeout(Duration::from_secs(10), console.running).await;
    assert!(ended.expect("the console ends").unwrap().is_ok());
}

#[tokio::test]
async fn the_number_of_update_streams_is_limited() {
    let console = TestConsole::with_config(console::Config {
        streams: 1,
        ..console::Config::default()
    })
    .await;
    console
        .post("/sign-in", &[("name", "sam"), ("password", data::PASSWORD)])
        .await;
    let first = console.get("/events").await;
    assert_eq!(first.status(), 200);
    let second = console.get("/events").await;
    assert_eq!(second.status(), 503);
    assert!(second.headers().contains_key("retry-after"));
}

#[tokio::test]
async fn a_case_is_found_by_its_number_a_reference_an_external_id_or_a_url() {
    let console = TestConsole::signed_in().await;
    let case = format!("/cases/{}", data::WAITING);
    for reference in [data::WAITING, "their-1"] {
        assert_eq!(
            location(&console.get(&format!("/cases?ref={reference}")).await),
            case
        );
    }
    let by_url = console.send("/cases", &[("url", data::URL)]).await;
    assert_eq!(location(&by_url), case);
    assert!(
        console
            .page("/cases?ref=7K2QX-M04DZ-9R1TB-EWH5C")
            .await
            .contains("No report and no case matches")
    );
    let by_url = console
        .send("/cases", &[("url", "https://other.example/")])
        .await;
    let page = by_url.text().await.unwrap();
    assert!(page.contains("No case has this URL"));
    // A URL must not stay in the address bar and in histories: it is moved to its own field, which is sent in a body.
    let response = console.get("/cases?ref=https://host.example/x").await;
    assert_eq!(response.status(), 422);
    let page = response.text().await.unwrap();
    assert!(page.contains("data-address=\"/cases\""));
    assert_eq!(page.matches("host.example").count(), 1);
    assert!(page.contains("spellcheck=\"false\" value=\"https://host.example/x\""));
}

#[tokio::test]
async fn an_invalid_address_is_refused_by_a_page_that_does_not_repeat_it() {
    let console = TestConsole::signed_in().await;
    let probe = "zzprobezz";
    for (path, status) in [
        (format!("/queue/{probe}"), 422),
        (format!("/cases/{probe}"), 422),
        (format!("/providers/{probe}%2F.."), 422),
        (format!("/queue?state={probe}"), 422),
        (format!("/queue?page_token=a&page_token={probe}"), 422),
        (format!("/{probe}"), 404),
        ("/sign-out".to_owned(), 405),
        (
            "/cases/018f0000-0000-7000-8000-0000000000ff".to_owned(),
            404,
        ),
    ] {
        let response = console.get(&path).await;
        assert_eq!(response.status(), status, "{path}");
        let page = response.text().await.unwrap();
        assert!(page.contains(">sam</span>"), "{path}: the name stays");
        assert!(page.contains("<h1 ") && !page.contains(probe), "{path}");
    }
    let long = "x".repeat(20_000);
    let response = console
        .send(
            &format!("/queue/{}/reveal", data::CLAIMED),
            &[("reason", &long)],
        )
        .await;
    assert_eq!(response.status(), 422);
    assert!(response.text().await.unwrap().contains("form_incomplete"));
}
