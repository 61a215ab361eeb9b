//! The pages of a shift: the supervisor's overview, parked events, verdicts that are withdrawn, provider scorecards, and
//! forms whose session has ended.

mod support;

use proto::v1;
use proto::v1::{AssessmentState, StaffRole};
use support::{TestConsole, data, hidden_value, location};
use tonic::Status;

/// Gives the member of staff these roles only.
fn set_roles(console: &TestConsole, roles: &'static [StaffRole]) {
    console.services.on(
        "VerificationService/ExchangeSession",
        move |q: v1::ExchangeSessionRequest, _| {
            Ok(v1::ExchangeSessionResponse {
                token: format!("token-for-{}", q.audience),
                expires_at: data::at(-60),
                staff: Some(v1::Staff {
                    roles: roles.iter().map(|role| *role as i32).collect(),
                    ..data::staff()
                }),
            })
        },
    );
}

#[tokio::test]
async fn a_supervisor_sees_workload_ages_disagreements_and_parked_events() {
    let console = TestConsole::signed_in().await;
    let page = console.page("/shift").await;
    for text in [
        "1 case has no eligible member of staff",
        "Alarm: </span>190 of 200</strong>",
        "3 of 200",
        "The second analyst gave a different verdict",
        "Category A",
        "Not illegal",
        "<td class=\"n\">47</td><td class=\"n\">3</td><td class=\"n\">6%</td>",
        "Awaiting second",
        "href=\"/shift?page_token=older%26x\"",
    ] {
        assert!(page.contains(text), "{text}");
    }
    // Cases in a final state do not wait.
    assert!(!page.contains("Not actionable"));
    let older = console.page("/shift?page_token=older").await;
    assert!(older.contains("First page") && !older.contains("/shift/events"));
    let mut events = console.get("/shift/events").await;
    let chunk = events.chunk().await.unwrap().unwrap();
    assert!(std::str::from_utf8(&chunk).unwrap().contains("Workload"));
}

#[tokio::test]
async fn an_analyst_is_not_offered_the_overview_and_is_refused_with_a_reason() {
    let console = TestConsole::start().await;
    set_roles(&console, &[StaffRole::Analyst]);
    let refused = || {
        let problem = platform::error::Problem::new(
            platform::error::Kind::Forbidden,
            "role_required",
            "This needs the role supervisor; ask a supervisor for it.",
        );
        Status::from(problem)
    };
    console.services.on(
        "VerificationService/ListDisagreements",
        move |_: v1::ListDisagreementsRequest, _| {
            Err::<v1::ListDisagreementsResponse, _>(refused())
        },
    );
    console.services.on(
        "ParkedService/ListParked",
        move |_: v1::ListParkedRequest, _| Err::<v1::ListParkedResponse, _>(refused()),
    );
    let form = [("name", "sam"), ("password", data::PASSWORD)];
    console.post("/sign-in", &form).await;
    let queue = console.page("/queue").await;
    assert!(!queue.contains("/shift") && !queue.contains("/parked"));
    assert!(queue.contains("3 of 200 URLs revealed"));
    for path in ["/shift", "/parked"] {
        let response = console.get(path).await;
        assert_eq!(response.status(), 403, "{path}");
        let page = response.text().await.unwrap();
        assert!(page.contains("Ask a supervisor"), "{path}");
        // The menu and the name stay.
        assert!(page.contains("href=\"/queue\"") && page.contains(">sam</span>"));
    }
    // An operator repairs parked events, and does not oversee staff.
    let console = TestConsole::start().await;
    set_roles(&console, &[StaffRole::Operator]);
    console.post("/sign-in", &form).await;
    let queue = console.page("/queue").await;
    assert!(queue.contains("href=\"/parked\"") && !queue.contains("href=\"/shift\""));
}

#[tokio::test]
async fn parked_events_are_shown_with_the_commands_of_two_people() {
    let console = TestConsole::signed_in().await;
    let page = console.page("/parked").await;
    assert_eq!(page.matches("<section").count(), 1, "one case, one replay");
    // As a reader copies it.
    let commands = page.replace("<span>", "").replace("</span>", "");
    let options = format!(
        "--consumer dispatch --producer verification --case {}",
        data::WAITING
    );
    assert!(commands.contains(&format!(
        "takedown parked replay {options} --confirmed-by NAME"
    )));
    assert!(commands.contains(&format!(
        "takedown parked drop {options} --event {}",
        data::NOTICE
    )));
    assert!(page.contains("Case held"));
    console.services.stop("ParkedService");
    let page = console.page("/parked").await;
    assert!(page.contains("Ledger: its parked events"));
    assert!(!page.contains("No events are parked."));
}

#[tokio::test]
async fn an_analyst_who_alone_gave_a_verdict_is_offered_to_withdraw_it() {
    let console = TestConsole::signed_in().await;
    let decided = |approvers: &'static [&'static str], undo_ends: i64| {
        console.services.on(
            "VerificationService/GetAssessment",
            move |_: v1::GetAssessmentRequest, _| {
                Ok(v1::GetAssessmentResponse {
                    assessment: Some(v1::Assessment {
                        category: v1::Category::B as i32,
                        basis: "analyst".into(),
                        approvers: approvers.iter().map(|&one| one.into()).collect(),
                        undo_until: data::at(undo_ends),
                        ..data::assessment(data::WAITING, AssessmentState::Actionable)
                    }),
                })
            },
        );
    };
    set_roles(&console, &[StaffRole::Analyst]);
    let browser = support::browser();
    let form = [("name", "sam"), ("password", data::PASSWORD)];
    let sign_in = browser.post(format!("{}/sign-in", console.base));
    sign_in.form(&form).send().await.unwrap();
    let path = format!("{}/cases/{}?open=withdraw", console.base, data::WAITING);
    let page = async || {
        let response = browser.get(&path).send().await.unwrap();
        response.text().await.unwrap()
    };
    decided(&[data::SUBJECT], -600);
    let offered = page().await;
    assert!(offered.contains("Withdraw your verdict") && offered.contains("<details open>"));
    assert!(offered.contains("Decided by</dt><dd>analyst: sam"));
    for (approvers, undo_ends) in [
        (&[data::SUBJECT][..], 1),
        (&[data::NOTICE], -600),
        (&[data::SUBJECT, data::NOTICE], -600),
    ] {
        decided(approvers, undo_ends);
        let refused = page().await;
        assert!(
            !refused.contains("/withdraw\""),
            "{approvers:?} {undo_ends}"
        );
        assert!(refused.contains("Only a supervisor can withdraw this verdict"));
    }
}

#[tokio::test]
async fn a_withdrawn_verdict_is_reported_with_whether_the_case_is_queued() {
    let console = TestConsole::signed_in().await;
    let path = format!("/cases/{}/withdraw", data::WAITING);
    for (again, code) in [(Some("1"), "withdrawn-and-queued"), (None, "withdrawn")] {
        let mut form = vec![("reason", "the wrong key")];
        form.extend(again.map(|value| ("again", value)));
        let response = console.send(&path, &form).await;
        let to = format!("/cases/{}?done={code}", data::WAITING);
        assert_eq!(location(&response), to);
        assert!(console.page(&to).await.contains("being retracted"));
    }
    let received = console
        .services
        .received::<v1::WithdrawVerdictRequest>("VerificationService/WithdrawVerdict");
    assert_eq!(
        received
            .iter()
            .map(|one| one.assess_again)
            .collect::<Vec<_>>(),
        [true, false]
    );
}

#[tokio::test]
async fn the_first_of_two_verdicts_is_reported_as_such_and_cannot_be_withdrawn() {
    let console = TestConsole::signed_in().await;
    let recorded = async |state: AssessmentState| {
        console.services.on(
            "VerificationService/DecideCases",
            move |q: v1::DecideCasesRequest, _| {
                let case_id = q.decisions[0].case_id.clone();
                Ok(v1::DecideCasesResponse {
                    results: vec![v1::DecisionResult {
                        result: Some(v1::decision_result::Result::Assessment(data::assessment(
                            &case_id, state,
                        ))),
                        case_id,
                    }],
                })
            },
        );
        let form = [
            ("claim_token", data::CLAIM),
            ("version", "7"),
            ("verdict", "category-a"),
            ("then", "queue"),
        ];
        let response = console
            .send(&format!("/queue/{}/decide", data::CLAIMED), &form)
            .await;
        console.page(location(&response)).await
    };
    let first = recorded(AssessmentState::AwaitingSecondOpinion).await;
    assert!(
        first.contains("a second analyst has to confirm it")
            && !first.contains("withdraw the verdict")
    );
    let in_force = recorded(AssessmentState::Actionable).await;
    assert!(in_force.contains("withdraw the verdict") && !in_force.contains("has to confirm"));
}

#[tokio::test]
async fn a_case_is_found_by_the_id_of_a_notice() {
    let console = TestConsole::signed_in().await;
    let response = console.get(&format!("/cases?ref={}", data::NOTICE)).await;
    assert_eq!(location(&response), format!("/cases/{}", data::WAITING));
    let received = console
        .services
        .received::<v1::SearchNoticesRequest>("DispatchService/SearchNotices");
    assert_eq!(received[0].notice_id, data::NOTICE);
}

#[tokio::test]
async fn a_provider_page_shows_both_sides_clocks_and_our_accuracy() {
    let console = TestConsole::signed_in().await;
    let page = console.page("/providers/amber-host").await;
    for text in [
        "300 of 400 (75%)",
        "1 hour",
        "900 ms",
        "4 (0%)",
        "disputed by them before</th><td class=\"n\">3",
        "the verdict upheld</th><td class=\"n\">7",
    ] {
        assert!(page.contains(text), "{text}");
    }
}

#[tokio::test]
async fn a_form_whose_session_has_ended_leads_back_to_its_page() {
    let console = TestConsole::signed_in().await;
    let case = format!("/cases/{}", data::WAITING);
    let token = hidden_value(&console.page("/cases").await, "form_token");
    let send = async |browser: &reqwest::Client, token: &str| {
        let request = browser.post(format!("{}{case}/police-hold", console.base));
        request
            .header("referer", format!("{}{case}?open=withdraw", console.base))
            .form(&[("form_token", token), ("reason", "x"), ("until", "x")])
            .send()
            .await
            .unwrap()
    };
    let signed_out = send(&support::browser(), &token).await;
    assert_eq!(
        location(&signed_out),
        format!("/sign-in?return={case}?open%3Dwithdraw")
    );
    // A page from before another sign-in has an old token. The error page keeps the menu and links to the form's page.
    let stale = send(&console.browser, "of another session").await;
    assert_eq!(stale.status(), 403);
    let page = stale.text().await.unwrap();
    assert!(page.contains("This form was not accepted") && page.contains("id=\"form-refused\""));
    assert!(page.contains(&format!("href=\"{case}?open=withdraw\">Back to the page")));
    assert!(page.contains(">sam</span>"));
}
