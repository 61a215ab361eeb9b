//! The pages of a shift: what those who oversee it see, what is parked, a verdict taken back, and forms that outlive
//! their session.

mod support;

use proto::v1;
use proto::v1::{AssessmentState, StaffRole};
use support::{Desk, data, hidden, location};
use tonic::Status;

/// As if only these roles were given.
fn roles(desk: &Desk, roles: &'static [StaffRole]) {
    desk.owners.on(
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
async fn a_supervisor_sees_load_ages_disagreements_and_what_is_parked() {
    let desk = Desk::signed_in().await;
    let page = desk.page("/shift").await;
    for mark in [
        "1 wait for nobody who is there",
        "<strong class=\"late\">190 of 200</strong>",
        "3 of 200",
        "The second analyst saw it otherwise",
        "Category A",
        "Not illegal",
        "<td class=\"n\">47</td><td class=\"n\">3</td><td class=\"n\">6 %</td>",
        "Awaiting second",
        "href=\"/shift?cursor=older%26x\"",
    ] {
        assert!(page.contains(mark), "{mark}");
    }
    // What is at rest is nobody's to wait for.
    assert!(!page.contains("Not actionable"));
    let older = desk.page("/shift?cursor=older").await;
    assert!(older.contains("First page") && !older.contains("/shift/events"));
    let mut events = desk.get("/shift/events").await;
    let chunk = events.chunk().await.unwrap().unwrap();
    assert!(std::str::from_utf8(&chunk).unwrap().contains("Load"));
}

#[tokio::test]
async fn whoever_does_not_oversee_the_work_is_not_offered_it_and_is_told_why() {
    let desk = Desk::open().await;
    roles(&desk, &[StaffRole::Analyst]);
    let refused = || {
        let problem = platform::error::Problem::new(
            platform::error::Kind::Forbidden,
            "role_required",
            "This needs the role supervisor; ask a supervisor for it.",
        );
        Status::from(problem)
    };
    desk.owners.on(
        "VerificationService/ListDisagreements",
        move |_: v1::ListDisagreementsRequest, _| {
            Err::<v1::ListDisagreementsResponse, _>(refused())
        },
    );
    desk.owners.on(
        "ParkedService/ListParked",
        move |_: v1::ListParkedRequest, _| Err::<v1::ListParkedResponse, _>(refused()),
    );
    let form = [("name", "sam"), ("password", data::PASSWORD)];
    desk.post("/sign-in", &form).await;
    let queue = desk.page("/queue").await;
    assert!(!queue.contains("/shift") && !queue.contains("/parked"));
    assert!(queue.contains("3 of 200 addresses revealed"));
    for path in ["/shift", "/parked"] {
        let answer = desk.get(path).await;
        assert_eq!(answer.status(), 403, "{path}");
        let page = answer.text().await.unwrap();
        assert!(page.contains("ask a supervisor"), "{path}");
    }
    // An operator mends what is parked, and does not oversee the others.
    let desk = Desk::open().await;
    roles(&desk, &[StaffRole::Operator]);
    desk.post("/sign-in", &form).await;
    let queue = desk.page("/queue").await;
    assert!(queue.contains("href=\"/parked\"") && !queue.contains("href=\"/shift\""));
}

#[tokio::test]
async fn parked_events_are_shown_with_what_two_people_type() {
    let desk = Desk::signed_in().await;
    let page = desk.page("/parked").await;
    assert_eq!(page.matches("<section").count(), 1, "one case, one replay");
    // As it is copied: each option stays on one line.
    let typed = page.replace("<span>", "").replace("</span>", "");
    let of = format!(
        "--consumer dispatch --producer verification --case {}",
        data::WAITING
    );
    assert!(typed.contains(&format!("takedown parked replay {of} --confirmed-by NAME")));
    assert!(typed.contains(&format!(
        "takedown parked drop {of} --event {}",
        data::NOTICE
    )));
    assert!(page.contains("Case held"));
    desk.owners.down("ParkedService");
    let page = desk.page("/parked").await;
    assert!(page.contains("Ledger: what it could not apply"));
    assert!(!page.contains("every service applied"));
}

#[tokio::test]
async fn whoever_alone_gave_a_verdict_is_offered_to_take_it_back() {
    let desk = Desk::signed_in().await;
    let decided = |approvers: &'static [&'static str], undo_ends: i64| {
        desk.owners.on(
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
    roles(&desk, &[StaffRole::Analyst]);
    let desk_of_analyst = support::browser();
    let form = [("name", "sam"), ("password", data::PASSWORD)];
    let sign_in = desk_of_analyst.post(format!("{}/sign-in", desk.base));
    sign_in.form(&form).send().await.unwrap();
    let path = format!("{}/cases/{}?act=withdraw", desk.base, data::WAITING);
    let page = async || {
        let answer = desk_of_analyst.get(&path).send().await.unwrap();
        answer.text().await.unwrap()
    };
    decided(&[data::SUBJECT], -600);
    let offered = page().await;
    assert!(
        offered.contains("Take your verdict back")
            && offered.contains("<details data-open-key=\"x\" open>")
    );
    assert!(offered.contains("Basis</dt><dd>analyst: sam"));
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
        assert!(refused.contains("a supervisor's to take back"));
    }
}

#[tokio::test]
async fn a_verdict_is_taken_back_and_assessed_again_and_the_page_says_so() {
    let desk = Desk::signed_in().await;
    let path = format!("/cases/{}/withdraw", data::WAITING);
    for (again, code) in [(Some("1"), "undone"), (None, "withdrawn")] {
        let mut form = vec![("reason", "the wrong key")];
        form.extend(again.map(|value| ("again", value)));
        let answer = desk.send(&path, &form).await;
        let to = format!("/cases/{}?done={code}", data::WAITING);
        assert_eq!(location(&answer), to);
        assert!(desk.page(&to).await.contains("being retracted"));
    }
    let heard = desk
        .owners
        .heard::<v1::WithdrawVerdictRequest>("VerificationService/WithdrawVerdict");
    assert_eq!(
        heard.iter().map(|one| one.assess_again).collect::<Vec<_>>(),
        [true, false]
    );
}

#[tokio::test]
async fn the_first_of_two_verdicts_is_called_that_and_cannot_be_taken_back() {
    let desk = Desk::signed_in().await;
    let recorded = async |state: AssessmentState| {
        desk.owners.on(
            "VerificationService/DecideCases",
            move |q: v1::DecideCasesRequest, _| {
                let case_id = q.items[0].case_id.clone();
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
        let answer = desk
            .send(&format!("/queue/{}/decide", data::MINE), &form)
            .await;
        desk.page(location(&answer)).await
    };
    let first = recorded(AssessmentState::AwaitingSecond).await;
    assert!(
        first.contains("a second analyst has to confirm it") && !first.contains("take it back")
    );
    let stands = recorded(AssessmentState::Actionable).await;
    assert!(stands.contains("take it back") && !stands.contains("has to confirm"));
}

#[tokio::test]
async fn a_case_is_found_by_the_id_of_a_notice() {
    let desk = Desk::signed_in().await;
    let answer = desk.get(&format!("/cases?ref={}", data::NOTICE)).await;
    assert_eq!(location(&answer), format!("/cases/{}", data::WAITING));
    let heard = desk
        .owners
        .heard::<v1::SearchNoticesRequest>("DispatchService/SearchNotices");
    assert_eq!(heard[0].notice_id, data::NOTICE);
}

#[tokio::test]
async fn a_provider_has_its_clocks_and_ours() {
    let desk = Desk::signed_in().await;
    let page = desk.page("/providers/amber-host").await;
    for mark in [
        "300 of 400 (75 %)",
        "1 hour",
        "900 ms",
        "4 (0 %)",
        "they were right</th><td class=\"n\">3",
        "the verdict stood</th><td class=\"n\">7",
    ] {
        assert!(page.contains(mark), "{mark}");
    }
}

#[tokio::test]
async fn a_form_whose_session_is_over_leads_back_to_its_page() {
    let desk = Desk::signed_in().await;
    let case = format!("/cases/{}", data::WAITING);
    let token = hidden(&desk.page("/cases").await, "form_token");
    let send = async |browser: &reqwest::Client, token: &str| {
        let request = browser.post(format!("{}{case}/hold", desk.base));
        request
            .header("referer", format!("{}{case}?act=hold", desk.base))
            .form(&[("form_token", token), ("reason", "x"), ("until", "x")])
            .send()
            .await
            .unwrap()
    };
    let nobody = send(&support::browser(), &token).await;
    assert_eq!(
        location(&nobody),
        format!("/sign-in?return={case}?act%3Dhold")
    );
    // A page from before another sign-in has a token that no longer holds: it is said plainly, with the way back.
    let stale = send(&desk.browser, "of another session").await;
    assert_eq!(stale.status(), 403);
    let page = stale.text().await.unwrap();
    assert!(page.contains("This form was not taken") && page.contains("id=\"form-refused\""));
    assert!(page.contains(&format!("href=\"{case}?act=hold\">Back to the page")));
    // The page of a reveal cannot be read again.
    let again = desk.get(&format!("/queue/{}/reveal", data::MINE)).await;
    assert_eq!(location(&again), format!("/queue/{}", data::MINE));
}
