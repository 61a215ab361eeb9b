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
async fn gone_is_offered_where_a_page_changed_and_nowhere_else() {
    let desk = Desk::signed_in().await;
    let path = format!("/queue/{}", data::MINE);
    let choice = "value=\"gone\" required data-choose-key=\"g\" aria-keyshortcuts=\"g\"";
    for (review, offered) in [
        ("", false),
        ("disputed", false),
        ("no_contact", false),
        ("of a newer version", false),
        ("soft_404", true),
        ("reappeared_changed", true),
    ] {
        data::under_review(&desk.owners, review);
        let page = desk.page(&path).await;
        assert_eq!(page.contains(choice), offered, "{review}");
        assert_eq!(page.contains("value=\"uphold\""), !review.is_empty());
        // The list of keys says the same.
        let key = page.contains("<kbd>g</kbd></th><td>It is gone, or something else is there");
        assert_eq!(key, offered, "{review}");
    }
    let form = [
        ("claim_token", data::CLAIM),
        ("version", "7"),
        ("verdict", "gone"),
        ("then", "queue"),
    ];
    let answer = desk.send(&format!("{path}/decide"), &form).await;
    let to = location(&answer);
    assert_eq!(to, format!("/queue?recorded=gone&of={}", data::MINE));
    let page = desk.page(to).await;
    assert!(page.contains("Recorded: gone, or something else is there"));
    let heard = desk
        .owners
        .heard::<v1::DecideCasesRequest>("VerificationService/DecideCases");
    let verdict = heard[0].items[0].verdict.unwrap().verdict;
    assert_eq!(verdict, Some(v1::verdict::Verdict::Gone(true)));
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
