//! What staff do: claim, reveal, decide, hold, withdraw, answer; and what they are told when an owner refuses.

mod support;

use proto::v1;
use support::{Desk, data, location};

#[tokio::test]
async fn a_case_is_claimed_revealed_and_decided_and_the_next_one_comes() {
    let desk = Desk::signed_in().await;
    let claim = format!("/queue/{}/claim", data::MINE);
    assert_eq!(
        location(&desk.send(&claim, &[]).await),
        format!("/queue/{}", data::MINE)
    );
    let page = desk.page(&format!("/queue/{}", data::MINE)).await;
    assert_eq!(support::hidden(&page, "claim_token"), data::CLAIM);

    let reveal = format!("/queue/{}/reveal", data::MINE);
    assert_eq!(desk.send(&reveal, &[("reason", " ")]).await.status(), 422);
    let shown = desk.send(&reveal, &[("reason", "to assess it")]).await;
    assert!(shown.text().await.unwrap().contains(data::URL));
    let again = desk.page(&format!("/queue/{}", data::MINE)).await;
    assert!(!again.contains(data::URL), "shown once");

    let decide = format!("/queue/{}/decide", data::MINE);
    let form = [
        ("claim_token", data::CLAIM),
        ("version", "7"),
        ("verdict", "category-a"),
        ("then", "next"),
    ];
    let answer = desk.send(&decide, &form).await;
    let to = location(&answer);
    assert!(
        to.starts_with(&format!("/queue/{}?recorded=category-a", data::MINE)),
        "{to}"
    );
    assert!(
        desk.page(to)
            .await
            .contains("Recorded: category A, actionable")
    );
    let heard = desk
        .owners
        .heard::<v1::DecideCasesRequest>("VerificationService/DecideCases");
    let item = &heard[0].items[0];
    assert_eq!((item.claim_token.as_str(), item.version), (data::CLAIM, 7));
    let category = v1::verdict::Verdict::Actionable(v1::Category::A as i32);
    assert_eq!(item.verdict.unwrap().verdict, Some(category));
}

#[tokio::test]
async fn what_an_owner_refuses_is_a_page_that_says_what_to_do() {
    let desk = Desk::signed_in().await;
    desk.owners.on(
        "VerificationService/DecideCases",
        |q: v1::DecideCasesRequest, _| {
            Ok(v1::DecideCasesResponse {
                results: vec![v1::DecisionResult {
                    case_id: q.items[0].case_id.clone(),
                    result: Some(v1::decision_result::Result::Problem(v1::ItemProblem {
                        code: "version_stale".into(),
                        detail: "The case has changed since you read it; read it again.".into(),
                        field: String::new(),
                    })),
                }],
            })
        },
    );
    let decide = format!("/queue/{}/decide", data::MINE);
    let form = [
        ("claim_token", data::CLAIM),
        ("version", "6"),
        ("verdict", "not-found"),
    ];
    let answer = desk.send(&decide, &form).await;
    assert_eq!(answer.status(), 409);
    let page = answer.text().await.unwrap();
    assert!(page.contains("version_stale") && page.contains("read it again"));
    assert!(page.contains(&format!("href=\"/queue/{}\"", data::MINE)));
    let none = desk
        .send(&decide, &[("claim_token", data::CLAIM), ("version", "6")])
        .await;
    assert_eq!(none.status(), 422);
}

#[tokio::test]
async fn a_supervisor_acts_on_a_case_and_each_act_reaches_its_owner() {
    let desk = Desk::signed_in().await;
    let case = format!("/cases/{}", data::WAITING);
    let held = desk
        .send(
            &format!("{case}/hold"),
            &[("reason", "police"), ("until", "2030-05-01T09:30")],
        )
        .await;
    assert_eq!(location(&held), format!("{case}?done=held"));
    let heard = desk
        .owners
        .heard::<v1::HoldCaseRequest>("VerificationService/HoldCase");
    assert_eq!(heard[0].until.unwrap().seconds, 1_903_858_200);
    let bad = desk
        .send(
            &format!("{case}/hold"),
            &[("reason", "police"), ("until", "soon")],
        )
        .await;
    assert_eq!(bad.status(), 422);

    let withdrawn = desk
        .send(&format!("{case}/withdraw"), &[("reason", "mistaken")])
        .await;
    assert_eq!(location(&withdrawn), format!("{case}?done=withdrawn"));

    let path = format!("{case}/notices/{}", data::NOTICE);
    let supplied = desk.send(&path, &[("text", "The second one.")]).await;
    assert_eq!(location(&supplied), format!("{case}?done=supplied"));
    let heard = desk
        .owners
        .heard::<v1::SupplyInformationRequest>("DispatchService/SupplyInformation");
    assert_eq!(
        (heard[0].notice_id.as_str(), heard[0].text.as_str()),
        (data::NOTICE, "The second one.")
    );

    let approved = desk
        .send("/lists/approve", &[("list", "known"), ("version", "2")])
        .await;
    assert_eq!(location(&approved), "/lists?done=approved");
}
