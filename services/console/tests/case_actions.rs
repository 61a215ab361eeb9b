//! What staff do: claim, reveal, decide, place police holds, withdraw and answer; and how a refusal is shown in the page of
//! its form.

mod support;

use platform::error::{Kind, Problem};
use proto::v1;
use support::{TestConsole, data, location};
use tonic::Status;

/// Makes a method refuse with this code, and a detail that no page may show.
fn refuse<Q: prost::Message + Default>(
    console: &TestConsole,
    method: &'static str,
    kind: Kind,
    code: &'static str,
) {
    console.services.on(method, move |_: Q, _| {
        let problem = Problem::new(kind, code, "`case_id` is stale; send `next_cursor`");
        Err::<v1::ReleaseHoldResponse, _>(Status::from(problem))
    });
}

#[tokio::test]
async fn a_case_is_claimed_revealed_and_decided_and_the_next_one_comes() {
    let console = TestConsole::signed_in().await;
    let claim = format!("/queue/{}/claim", data::CLAIMED);
    assert_eq!(
        location(&console.send(&claim, &[]).await),
        format!("/queue/{}", data::CLAIMED)
    );
    let page = console.page(&format!("/queue/{}", data::CLAIMED)).await;
    assert_eq!(support::hidden_value(&page, "claim_token"), data::CLAIM);

    let reveal = format!("/queue/{}/reveal", data::CLAIMED);
    let revealed = console.send(&reveal, &[("reason", "to assess it")]).await;
    assert!(revealed.text().await.unwrap().contains(data::URL));
    let again = console.page(&format!("/queue/{}", data::CLAIMED)).await;
    assert!(!again.contains(data::URL), "shown only once");

    let decide = format!("/queue/{}/decide", data::CLAIMED);
    let form = [
        ("claim_token", data::CLAIM),
        ("version", "7"),
        ("verdict", "category-a"),
        ("then", "next"),
    ];
    let response = console.send(&decide, &form).await;
    let to = location(&response);
    assert!(
        to.starts_with(&format!("/queue/{}?recorded=category-a", data::CLAIMED)),
        "{to}"
    );
    assert!(
        console
            .page(to)
            .await
            .contains("Recorded: category A, actionable")
    );
    let received = console
        .services
        .received::<v1::DecideCasesRequest>("VerificationService/DecideCases");
    let decision = &received[0].decisions[0];
    assert_eq!(
        (decision.claim_token.as_str(), decision.version),
        (data::CLAIM, 7)
    );
    let category = v1::verdict::Verdict::Actionable(v1::Category::A as i32);
    assert_eq!(decision.verdict.unwrap().verdict, Some(category));
}

#[tokio::test]
async fn offline_is_offered_only_where_a_changed_page_is_under_review() {
    let console = TestConsole::signed_in().await;
    let path = format!("/queue/{}", data::CLAIMED);
    let of_a_newer_version = 99;
    for (review, is_offered) in [
        (v1::ReviewReason::Unspecified.into(), false),
        (v1::ReviewReason::Disputed.into(), false),
        (v1::ReviewReason::NoContact.into(), false),
        (of_a_newer_version, false),
        (v1::ReviewReason::Soft404.into(), true),
        (v1::ReviewReason::ReappearedChanged.into(), true),
    ] {
        data::under_review(&console.services, review);
        let page = console.page(&path).await;
        assert_eq!(page.contains("value=\"offline\""), is_offered, "{review}");
        assert_eq!(page.contains("value=\"uphold\""), review != 0);
    }
    let form = [
        ("claim_token", data::CLAIM),
        ("version", "7"),
        ("verdict", "offline"),
        ("then", "queue"),
    ];
    let response = console.send(&format!("{path}/decide"), &form).await;
    let to = location(&response);
    assert_eq!(
        to,
        format!("/queue?recorded=offline&case={}", data::CLAIMED)
    );
    let page = console.page(to).await;
    assert!(page.contains("Recorded: offline, or the page shows something else"));
    let received = console
        .services
        .received::<v1::DecideCasesRequest>("VerificationService/DecideCases");
    let verdict = received[0].decisions[0].verdict.unwrap().verdict;
    assert_eq!(verdict, Some(v1::verdict::Verdict::Offline(true)));
}

#[tokio::test]
async fn a_refused_verdict_stays_chosen_in_the_page_of_the_case() {
    let console = TestConsole::signed_in().await;
    console.services.on(
        "VerificationService/DecideCases",
        |q: v1::DecideCasesRequest, _| {
            Ok(v1::DecideCasesResponse {
                results: vec![v1::DecisionResult {
                    case_id: q.decisions[0].case_id.clone(),
                    result: Some(v1::decision_result::Result::Problem(v1::ItemProblem {
                        code: "version_stale".into(),
                        detail: "`version` is stale; read the case again.".into(),
                        field: String::new(),
                    })),
                }],
            })
        },
    );
    let decide = format!("/queue/{}/decide", data::CLAIMED);
    let form = [
        ("claim_token", data::CLAIM),
        ("version", "6"),
        ("verdict", "not-found"),
    ];
    let response = console.send(&decide, &form).await;
    assert_eq!(response.status(), 409);
    let page = response.text().await.unwrap();
    assert!(page.contains("id=\"refusal\"") && page.contains("The case has changed since"));
    assert!(page.contains("value=\"not-found\" required checked"));
    assert!(page.contains(">sam</span>"), "the menu and the name stay");
    assert!(page.contains(&format!("data-address=\"/queue/{}\"", data::CLAIMED)));
    assert!(!page.contains("`version`"), "no words of the API");
    // The present version, so that the second try can succeed.
    assert_eq!(support::hidden_value(&page, "version"), "7");

    let none = [("claim_token", data::CLAIM), ("version", "6")];
    let response = console.send(&decide, &none).await;
    assert_eq!(response.status(), 422);
    let page = response.text().await.unwrap();
    assert!(page.contains("<fieldset aria-invalid=\"true\""));
    assert!(page.contains("Choose a verdict."));
}

#[tokio::test]
async fn a_refused_reason_stays_in_its_field_with_the_message() {
    let console = TestConsole::signed_in().await;
    let reveal = format!("/queue/{}/reveal", data::CLAIMED);
    let blank = console.send(&reveal, &[("reason", " ")]).await;
    assert_eq!(blank.status(), 422);
    let page = blank.text().await.unwrap();
    assert!(page.contains("aria-describedby=\"reveal-reason-error\""));
    assert!(page.contains("Enter a reason."));

    let method = "VerificationService/RevealUrl";
    refuse::<v1::RevealUrlRequest>(&console, method, Kind::Exhausted, "exposure_budget_spent");
    let spent = console.send(&reveal, &[("reason", "to assess it")]).await;
    assert_eq!(spent.status(), 429);
    let page = spent.text().await.unwrap();
    assert!(page.contains("as many URLs as a shift allows"));
    assert!(page.contains("value=\"to assess it\""));

    let path = format!("/cases/{}/police-hold", data::WAITING);
    let form = [("reason", "police ask"), ("until", "soon")];
    let response = console.send(&path, &form).await;
    assert_eq!(response.status(), 422);
    let page = response.text().await.unwrap();
    assert!(page.contains("<details open>"), "the form is open");
    assert!(page.contains("value=\"police ask\"") && page.contains("value=\"soon\""));
    assert!(page.contains("aria-describedby=\"police-hold-until-error\""));
    assert!(page.contains("Enter when the police hold ends"));
}

#[tokio::test]
async fn a_code_without_a_sentence_of_its_own_is_explained_without_api_terms() {
    let console = TestConsole::signed_in().await;
    let method = "VerificationService/ReleaseHold";
    refuse::<v1::ReleaseHoldRequest>(&console, method, Kind::Conflict, "quite_new");
    let path = format!("/cases/{}/lift-hold", data::WAITING);
    let response = console.send(&path, &[]).await;
    assert_eq!(response.status(), 409);
    let page = response.text().await.unwrap();
    assert!(page.contains("This is not possible in the present state"));
    assert!(!page.contains("case_id`") && !page.contains("cursor`"));
}

#[tokio::test]
async fn a_lost_race_for_a_claim_offers_the_next_case() {
    let console = TestConsole::signed_in().await;
    let method = "VerificationService/ClaimCases";
    refuse::<v1::ClaimCasesRequest>(&console, method, Kind::FailedPrecondition, "case_claimed");
    let path = format!("/queue/{}/claim", data::WAITING);
    let response = console.send(&path, &[]).await;
    assert_eq!(response.status(), 409);
    let page = response.text().await.unwrap();
    assert!(page.contains("Another member of staff has claimed this case"));
    assert!(page.contains("<button>Claim the most urgent case</button>"));
}

#[tokio::test]
async fn a_form_that_a_stopped_service_did_not_take_can_be_sent_again() {
    let console = TestConsole::signed_in().await;
    let path = format!("/cases/{}/notices/{}", data::WAITING, data::NOTICE);
    console.services.stop("DispatchService");
    let response = console.send(&path, &[("text", "The second one.")]).await;
    assert_eq!(response.status(), 503);
    let page = response.text().await.unwrap();
    assert!(page.contains("does not respond") && page.contains("Case <code>"));
    assert!(page.contains(&format!("action=\"{path}\" id=\"retry\"")));
    assert!(page.contains("name=\"text\" value=\"The second one.\""));

    // Where the page itself cannot be read, the error page keeps the form, the menu and the name.
    console.services.stop("VerificationService/GetAssessment");
    console.services.stop("VerificationService/RevealUrl");
    let reveal = format!("/queue/{}/reveal", data::CLAIMED);
    let response = console.send(&reveal, &[("reason", "to assess it")]).await;
    assert_eq!(response.status(), 503);
    let page = response.text().await.unwrap();
    assert!(page.contains(&format!("action=\"{reveal}\" id=\"retry\"")));
    assert!(page.contains("name=\"reason\" value=\"to assess it\""));
    assert!(page.contains(">sam</span>") && page.contains("href=\"/overdue\""));
}

#[tokio::test]
async fn a_supervisor_acts_on_a_case_and_each_act_reaches_its_service() {
    let console = TestConsole::signed_in().await;
    let case = format!("/cases/{}", data::WAITING);
    let held = console
        .send(
            &format!("{case}/police-hold"),
            &[("reason", "police"), ("until", "2030-05-01T09:30")],
        )
        .await;
    assert_eq!(location(&held), format!("{case}?done=police-hold"));
    let received = console
        .services
        .received::<v1::HoldCaseRequest>("VerificationService/HoldCase");
    assert_eq!(received[0].until.unwrap().seconds, 1_903_858_200);

    let withdrawn = console
        .send(&format!("{case}/withdraw"), &[("reason", "mistaken")])
        .await;
    assert_eq!(location(&withdrawn), format!("{case}?done=withdrawn"));

    let path = format!("{case}/notices/{}", data::NOTICE);
    let answered = console.send(&path, &[("text", "The second one.")]).await;
    assert_eq!(location(&answered), format!("{case}?done=answered"));
    let received = console
        .services
        .received::<v1::SupplyInformationRequest>("DispatchService/SupplyInformation");
    assert_eq!(
        (received[0].notice_id.as_str(), received[0].text.as_str()),
        (data::NOTICE, "The second one.")
    );

    let approved = console
        .send("/lists/approve", &[("list", "known"), ("version", "2")])
        .await;
    assert_eq!(location(&approved), "/lists?done=approved");
}

#[tokio::test]
async fn the_address_of_a_form_leads_to_its_page() {
    let console = TestConsole::signed_in().await;
    for (path, page) in [
        (
            format!("/queue/{}/reveal", data::CLAIMED),
            format!("/queue/{}", data::CLAIMED),
        ),
        (
            format!("/cases/{}/withdraw", data::WAITING),
            format!("/cases/{}", data::WAITING),
        ),
        ("/queue/next".to_owned(), "/queue".to_owned()),
        ("/rules/retire".to_owned(), "/lists".to_owned()),
    ] {
        assert_eq!(location(&console.get(&path).await), page, "{path}");
    }
}
