//! Every page over owners that answer, over owners that do not, and with input that does not fit.

mod support;

use std::time::Duration;

use proto::v1;
use support::{Desk, data, location};

#[tokio::test]
async fn every_page_is_shown_and_nothing_on_it_runs() {
    let desk = Desk::signed_in().await;
    for path in [
        "/".to_owned(),
        "/queue".to_owned(),
        "/queue?state=queued".to_owned(),
        format!("/queue/{}", data::WAITING),
        format!("/queue/{}", data::MINE),
        "/overdue".to_owned(),
        "/cases".to_owned(),
        format!("/cases/{}", data::WAITING),
        "/providers".to_owned(),
        "/providers/amber-host".to_owned(),
        "/lists".to_owned(),
        "/shift".to_owned(),
        "/parked".to_owned(),
    ] {
        let page = desk.page(&path).await;
        assert!(!page.contains(data::HOSTILE), "{path}");
        assert!(
            !page.contains("style=") && !page.contains("onclick"),
            "{path}"
        );
        assert!(!page.contains(data::URL), "{path}");
    }
}

#[tokio::test]
async fn every_asset_that_a_page_names_is_served_and_kept() {
    let desk = Desk::signed_in().await;
    let page = desk.page("/").await;
    let mut seen = 0;
    for piece in page.split("\"/assets/").skip(1) {
        let path = format!("/assets/{}", piece.split('"').next().unwrap());
        let answer = desk.get(&path).await;
        assert_eq!(answer.status(), 200, "{path}");
        assert!(
            answer.headers()["cache-control"]
                .to_str()
                .unwrap()
                .contains("immutable")
        );
        seen += 1;
    }
    assert_eq!(seen, 5);
    assert_eq!(desk.get("/assets/0/../Cargo.toml").await.status(), 404);
}

#[tokio::test]
async fn the_pipeline_shows_conservation_and_ages() {
    let desk = Desk::signed_in().await;
    let page = desk.page("/").await;
    assert!(page.contains(
        "<strong>12,345</strong> accepted = the sum over all stages, <strong>0 lost</strong>"
    ));
    assert!(page.contains("2 minutes ago"));
    assert!(page.contains("Regulator"));
    // Silence, and what cannot be applied, are alarms; what is a little late is none.
    let tile = |name: &str| {
        let (before, after) = page.split_once(name).unwrap();
        let (_, class) = before.rsplit_once("<li").unwrap();
        let (rest, _) = after.split_once("</li>").unwrap();
        (class.contains("late"), rest.to_owned())
    };
    let (late, silence) = tile("Since the newest report");
    assert!(late && silence.contains("at most 6"), "{silence}");
    assert!(tile("Events that cannot be applied").0);
    assert!(!tile("Messages due and not sent").0);
    assert!(!tile("Consumers that stand still").0);
}

#[tokio::test]
async fn what_the_ledger_has_not_heard_is_on_the_way_and_nothing_is_said_from_one_side() {
    let desk = Desk::signed_in().await;
    desk.owners.on(
        "LedgerService/GetConservation",
        |_: v1::GetConservationRequest, _| {
            Ok(v1::GetConservationResponse {
                accepted: 12_000,
                cases: 9000,
                stages: vec![data::figures::stage("removed", 12_000, 9000)],
                lost: 0,
                events: 70_001,
                signs: Vec::new(),
            })
        },
    );
    let page = desk.page("/").await;
    assert!(page.contains("<strong>12,345</strong> accepted"));
    assert!(page.contains("345 on the way") && !page.contains("0 lost"));
    desk.owners.down("IntakeService");
    let deadline = tokio::time::Instant::now() + Duration::from_secs(10);
    let page = loop {
        let page = desk.page("/").await;
        if page.contains("Intake: reports by outcome") {
            break page;
        }
        assert!(tokio::time::Instant::now() < deadline, "intake is missing");
    };
    assert!(!page.contains("0 lost") && !page.contains("the sum over all stages"));
}

#[tokio::test]
async fn an_overdue_page_says_when_it_was_true_and_when_nobody_answers_any_more() {
    let desk = Desk::signed_in().await;
    assert!(desk.page("/overdue").await.contains("As of"));
    let mut events = desk.get("/overdue/events").await;
    let mut text = String::new();
    let mut until = async |mark: &str| {
        while !text.contains(mark) {
            let chunk = tokio::time::timeout(Duration::from_secs(10), events.chunk());
            let chunk = chunk.await.expect("an event").unwrap().expect("it goes on");
            text.push_str(std::str::from_utf8(&chunk).unwrap());
        }
    };
    until("As of").await;
    desk.owners.down("DispatchService");
    until("Dispatch: what is overdue").await;
}

#[tokio::test]
async fn only_the_newest_version_of_a_rule_is_approved_and_as_it_was_read() {
    let desk = Desk::signed_in().await;
    desk.owners.on(
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
    let page = desk.page("/lists").await;
    let buttons = page.matches("action=\"/rules/approve\"").count();
    assert_eq!(buttons, 1);
    assert!(page.contains("name=\"version\" value=\"2\"><button>Approve"));
    desk.owners.on(
        "VerificationService/ApproveRule",
        |_: v1::ApproveRuleRequest, _| Ok(v1::ApproveRuleResponse::default()),
    );
    let form = [("rule", data::NOTICE), ("version", "2")];
    desk.send("/rules/approve", &form).await;
    let heard = desk
        .owners
        .heard::<v1::ApproveRuleRequest>("VerificationService/ApproveRule");
    assert_eq!(
        (heard[0].rule_id.as_str(), heard[0].version),
        (data::NOTICE, 2)
    );
}

#[tokio::test]
async fn a_role_that_is_down_takes_its_own_figures_away_and_no_others() {
    let desk = Desk::signed_in().await;
    desk.owners.down("DispatchService");
    desk.owners.down("LedgerService");
    let page = desk.page("/").await;
    assert!(page.contains("Some figures are missing"));
    assert!(page.contains("Dispatch: cases, notices and clocks"));
    assert!(page.contains("Ledger: conservation"));
    assert!(!page.contains("Intake: reports by outcome"));
    assert!(page.contains("12,345"));
    let case = desk.page(&format!("/cases/{}", data::WAITING)).await;
    assert!(case.contains("Ledger: the timeline") && case.contains("their-1"));
    // A page that is about the missing role says so, and what to do.
    let overdue = desk.get("/overdue").await;
    assert_eq!(overdue.status(), 503);
    assert!(overdue.text().await.unwrap().contains("does not answer"));
}

#[tokio::test]
async fn a_live_page_hears_of_changes_and_ends_with_the_process() {
    let desk = Desk::signed_in().await;
    let mut events = desk.get("/events").await;
    let mut text = String::new();
    let mut until = async |mark: &str| {
        while !text.contains(mark) {
            let chunk = tokio::time::timeout(Duration::from_secs(10), events.chunk());
            let chunk = chunk
                .await
                .expect("an event")
                .unwrap()
                .expect("the stream goes on");
            text.push_str(std::str::from_utf8(&chunk).unwrap());
        }
    };
    until("12,345").await;
    desk.owners.on(
        "IntakeService/GetIntakeCounts",
        |_: v1::GetIntakeCountsRequest, _| {
            Ok(v1::GetIntakeCountsResponse {
                accepted: 55_555,
                ..Default::default()
            })
        },
    );
    until("55,555").await;
    desk.shutdown.cancel();
    let ended = async { while let Ok(Some(_)) = events.chunk().await {} };
    tokio::time::timeout(Duration::from_secs(10), ended)
        .await
        .expect("the stream ends");
    let ended = tokio::time::timeout(Duration::from_secs(10), desk.running).await;
    assert!(ended.expect("the console ends").unwrap().is_ok());
}

#[tokio::test]
async fn no_more_pages_are_kept_live_than_there_is_room_for() {
    let desk = Desk::with(console::Config {
        streams: 1,
        ..console::Config::default()
    })
    .await;
    desk.post("/sign-in", &[("name", "sam"), ("password", data::PASSWORD)])
        .await;
    let first = desk.get("/events").await;
    assert_eq!(first.status(), 200);
    let second = desk.get("/events").await;
    assert_eq!(second.status(), 503);
    assert!(second.headers().contains_key("retry-after"));
}

#[tokio::test]
async fn a_case_is_found_by_whatever_somebody_has_in_hand() {
    let desk = Desk::signed_in().await;
    let case = format!("/cases/{}", data::WAITING);
    for asked in [data::WAITING, "their-1"] {
        assert_eq!(
            location(&desk.get(&format!("/cases?ref={asked}")).await),
            case
        );
    }
    let by_url = desk.send("/cases", &[("url", data::URL)]).await;
    assert_eq!(location(&by_url), case);
    assert!(
        desk.page("/cases?ref=7K2QX-M04DZ-9R1TB-EWH5C")
            .await
            .contains("No report fits")
    );
    // A URL must not end up in the address bar and in histories.
    let answer = desk.get("/cases?ref=https://host.example/x").await;
    assert_eq!(answer.status(), 422);
    assert!(!answer.text().await.unwrap().contains("host.example"));
}

#[tokio::test]
async fn input_that_does_not_fit_is_refused_by_a_page_that_does_not_repeat_it() {
    let desk = Desk::signed_in().await;
    let mark = "zzmarkzz";
    for (path, status) in [
        (format!("/queue/{mark}"), 422),
        (format!("/cases/{mark}"), 422),
        (format!("/providers/{mark}%2F.."), 422),
        (format!("/queue?state={mark}"), 422),
        (format!("/queue?cursor=a&cursor={mark}"), 422),
        (format!("/{mark}"), 404),
        ("/queue/next".to_owned(), 405),
        (
            "/cases/018f0000-0000-7000-8000-0000000000ff".to_owned(),
            404,
        ),
    ] {
        let answer = desk.get(&path).await;
        assert_eq!(answer.status(), status, "{path}");
        let page = answer.text().await.unwrap();
        assert!(page.contains("<h1 ") && !page.contains(mark), "{path}");
    }
    let long = "x".repeat(20_000);
    let answer = desk
        .send(
            &format!("/queue/{}/reveal", data::MINE),
            &[("reason", &long)],
        )
        .await;
    assert_eq!(answer.status(), 422);
    assert!(answer.text().await.unwrap().contains("form_incomplete"));
}
