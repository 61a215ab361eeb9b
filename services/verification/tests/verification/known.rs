//! Decisions by hash list and by rule, approved before or after the report.

use platform::principal::Role;
use proto::v1;
use proto::v1::AssessmentState as State;
use proto::v1::Category;

use crate::house::{House, Person, Reported, code, hash, sha256, until};

async fn import(house: &House, by: &Person, list: &str, entries: Vec<v1::HashEntry>) -> u32 {
    let answer = house
        .client
        .clone()
        .import_hashes(by.ask(v1::ImportHashesRequest {
            list: list.into(),
            entries,
        }))
        .await
        .unwrap()
        .into_inner();
    assert!(answer.problems.is_empty(), "{:?}", answer.problems);
    answer.version
}

/// Approves a version as it is read a moment before.
async fn approve(
    house: &House,
    by: &Person,
    list: &str,
    version: u32,
) -> Result<(), tonic::Status> {
    let mut client = house.client.clone();
    let lists = client
        .list_hash_lists(by.ask(v1::ListHashListsRequest {}))
        .await?
        .into_inner()
        .lists;
    let read = lists
        .into_iter()
        .find(|read| read.list == list && read.version == version)
        .unwrap();
    let approve = v1::ApproveHashListRequest {
        list: read.list,
        version,
        entries: read.entries,
    };
    client.approve_hash_list(by.ask(approve)).await.map(|_| ())
}

fn illegal(hash: v1::Hash, category: Category) -> v1::HashEntry {
    v1::HashEntry {
        hash: Some(hash),
        verdict: Some(v1::hash_entry::Verdict::Actionable(category as i32)),
    }
}

fn legal(hash: v1::Hash) -> v1::HashEntry {
    let reason = v1::NotActionableReason::NotIllegal as i32;
    v1::HashEntry {
        hash: Some(hash),
        verdict: Some(v1::hash_entry::Verdict::NotActionable(reason)),
    }
}

async fn rule(
    house: &House,
    by: [&Person; 2],
    host: &str,
    prefix: &str,
    category: Option<Category>,
) {
    let mut client = house.client.clone();
    let verdict = match category {
        Some(category) => v1::rule::Verdict::Actionable(category as i32),
        None => v1::rule::Verdict::NotActionable(v1::NotActionableReason::NotFound as i32),
    };
    let proposed = client
        .propose_rule(by[0].ask(v1::ProposeRuleRequest {
            rule: Some(v1::Rule {
                host: host.into(),
                path_prefix: prefix.into(),
                verdict: Some(verdict),
                reason: "seen often".into(),
                ..v1::Rule::default()
            }),
        }))
        .await
        .unwrap()
        .into_inner()
        .rule
        .unwrap();
    let approve = v1::ApproveRuleRequest {
        rule_id: proposed.rule_id,
        version: proposed.version,
    };
    let own = client.approve_rule(by[0].ask(approve.clone())).await;
    assert_eq!(code(&own.unwrap_err()), "approver_is_proposer");
    for _ in 0..2 {
        client
            .approve_rule(by[1].ask(approve.clone()))
            .await
            .unwrap();
    }
}

async fn basis(house: &House, person: &Person, of: &Reported) -> (State, String) {
    let assessment = house.assessment(person, of.case).await;
    (assessment.state(), assessment.basis)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hash_on_an_approved_list_decides_at_once() {
    let house = House::new().await;
    let one = house.person(&[Role::Supervisor]);
    let two = house.person(&[Role::Supervisor]);
    let version = import(
        &house,
        &one,
        "known-1",
        vec![illegal(sha256(7), Category::A)],
    )
    .await;
    // A list that nobody else has approved decides nothing.
    let early = house
        .reported("https://host.example/early", &[sha256(7)])
        .await;
    assert_eq!(house.state(&one, early.case).await, State::Queued);
    let own = approve(&house, &one, "known-1", version).await;
    assert_eq!(code(&own.unwrap_err()), "approver_is_importer");
    for _ in 0..2 {
        approve(&house, &two, "known-1", version).await.unwrap();
    }

    let of = house.reported("https://host.example/1", &[sha256(7)]).await;
    let expected = (State::Actionable, "list:known-1@1".to_owned());
    assert_eq!(basis(&house, &one, &of).await, expected);
    assert_eq!(house.names(of.case).await, ["CaseActionable"]);
    // What waited before is matched now.
    until("the earlier case is matched", async || {
        basis(&house, &one, &early).await == expected
    })
    .await;
    // A join brings the hash.
    let joined = house.reported("https://host.example/2", &[]).await;
    house.report(&joined, &[sha256(7)]).await;
    assert_eq!(basis(&house, &one, &joined).await, expected);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_later_version_corrects_an_earlier_one() {
    let house = House::new().await;
    let one = house.person(&[Role::Supervisor]);
    let two = house.person(&[Role::Supervisor]);
    import(&house, &one, "list", vec![illegal(sha256(1), Category::A)]).await;
    approve(&house, &two, "list", 1).await.unwrap();
    let version = import(
        &house,
        &one,
        "list",
        vec![legal(sha256(1)), illegal(sha256(2), Category::C)],
    )
    .await;
    assert_eq!(version, 2);
    approve(&house, &two, "list", 2).await.unwrap();
    let of = house.reported("https://host.example/1", &[sha256(1)]).await;
    assert_eq!(
        basis(&house, &one, &of).await,
        (State::NotActionable, "list:list@2".to_owned())
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_near_pdq_hash_is_known_whenever_its_list_was_approved() {
    let house = House::new().await;
    let one = house.person(&[Role::Supervisor]);
    let two = house.person(&[Role::Supervisor]);
    let stored = [0xa5_u8; 32];
    let mut near = stored;
    near[..3].iter_mut().for_each(|octet| *octet = !*octet);
    near[3] ^= 0x7f; // 31 bits
    let mut far = near;
    far[31] ^= 1; // 32 bits
    let pdq = |octets: [u8; 32]| hash(v1::HashKind::Pdq, &hex::encode(octets));
    let before = house
        .reported("https://host.example/before", &[pdq(near)])
        .await;
    import(&house, &one, "pdq", vec![illegal(pdq(stored), Category::B)]).await;
    approve(&house, &two, "pdq", 1).await.unwrap();
    let after = house
        .reported("https://host.example/after", &[pdq(near)])
        .await;
    let not = house
        .reported("https://host.example/not", &[pdq(far)])
        .await;
    assert_eq!(house.state(&one, after.case).await, State::Actionable);
    until("the earlier case is matched", async || {
        house.state(&one, before.case).await == State::Actionable
    })
    .await;
    assert_eq!(house.state(&one, not.case).await, State::Queued);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rule_decides_by_host_and_path_and_a_list_wins_over_it() {
    let house = House::new().await;
    let (one, two) = (
        house.person(&[Role::Supervisor]),
        house.person(&[Role::Supervisor]),
    );
    rule(&house, [&one, &two], "host.example", "", None).await;
    rule(
        &house,
        [&one, &two],
        "bad.host.example",
        "/album",
        Some(Category::C),
    )
    .await;
    import(&house, &one, "list", vec![legal(sha256(9))]).await;
    approve(&house, &two, "list", 1).await.unwrap();

    let cases = [
        (
            "https://host.example/1",
            vec![],
            State::NotActionable,
            "rule:",
        ),
        // Actionable wins where two rules hold, a boundary ends a prefix, a list wins over both.
        (
            "https://bad.host.example/album/1",
            vec![],
            State::Actionable,
            "rule:",
        ),
        (
            "https://bad.host.example/albums",
            vec![],
            State::NotActionable,
            "rule:",
        ),
        (
            "https://bad.host.example/album/2",
            vec![sha256(9)],
            State::NotActionable,
            "list:list@1",
        ),
        ("https://nothost.example/1", vec![], State::Queued, ""),
    ];
    for (url, hashes, state, prefix) in cases {
        let of = house.reported(url, &hashes).await;
        let found = basis(&house, &one, &of).await;
        assert_eq!(found.0, state, "{url}");
        assert!(found.1.starts_with(prefix), "{url}: {}", found.1);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_an_analyst_has_in_hand_is_left_to_them() {
    let house = House::new().await;
    let (one, two) = (
        house.person(&[Role::Supervisor]),
        house.person(&[Role::Supervisor]),
    );
    let analyst = house.person(&[Role::Analyst]);
    let of = house.reported("https://host.example/1", &[]).await;
    let claimed = house.claim(&analyst, of.case).await.unwrap();
    import(&house, &one, "list", vec![illegal(sha256(3), Category::A)]).await;
    approve(&house, &two, "list", 1).await.unwrap();
    house.report(&of, &[sha256(3)]).await;
    assert_eq!(house.state(&analyst, of.case).await, State::Claimed);
    // Given back, it is the list's to decide.
    house
        .client
        .clone()
        .release_claim(analyst.ask(v1::ReleaseClaimRequest {
            case_id: of.case.to_string(),
            claim_token: claimed.claim_token,
        }))
        .await
        .unwrap();
    until("the list decides", async || {
        house.state(&analyst, of.case).await == State::Actionable
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_retired_rule_decides_nothing_more() {
    let mut house = House::new().await;
    let (one, two) = (
        house.person(&[Role::Supervisor]),
        house.person(&[Role::Supervisor]),
    );
    rule(&house, [&one, &two], "host.example", "", Some(Category::A)).await;
    let rules = house
        .client
        .list_rules(one.ask(v1::ListRulesRequest {}))
        .await
        .unwrap();
    let rule_id = rules.into_inner().rules[0].rule_id.clone();
    for _ in 0..2 {
        let retire = v1::RetireRuleRequest {
            rule_id: rule_id.clone(),
        };
        let retired = house.client.retire_rule(one.ask(retire)).await.unwrap();
        assert!(retired.into_inner().rule.unwrap().retired_at.is_some());
    }
    let of = house.reported("https://host.example/1", &[]).await;
    assert_eq!(house.state(&one, of.case).await, State::Queued);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bad_line_does_not_keep_the_others_out() {
    let mut house = House::new().await;
    let one = house.person(&[Role::Supervisor]);
    let entries = vec![
        illegal(sha256(1), Category::A),
        illegal(sha256(1), Category::A),
        legal(sha256(1)),
        illegal(hash(v1::HashKind::Sha256, "abc"), Category::A),
        v1::HashEntry {
            hash: Some(sha256(2)),
            verdict: None,
        },
        v1::HashEntry {
            hash: None,
            verdict: None,
        },
        illegal(hash(v1::HashKind::Unspecified, "abc"), Category::A),
    ];
    let answer = house
        .client
        .import_hashes(one.ask(v1::ImportHashesRequest {
            list: "list".into(),
            entries,
        }))
        .await
        .unwrap()
        .into_inner();
    assert_eq!((answer.added, answer.known, answer.version), (1, 1, 1));
    let mut problems: Vec<(&str, &str)> = answer
        .problems
        .iter()
        .map(|problem| (problem.field.as_str(), problem.code.as_str()))
        .collect();
    problems.sort_unstable();
    assert_eq!(
        problems,
        [
            ("entries[2]", "hash_contradicts"),
            ("entries[3].hash.value", "hash_length"),
            ("entries[4].verdict", "verdict_missing"),
            ("entries[5].hash", "field_missing"),
            ("entries[6].hash.kind", "field_missing"),
        ]
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_entry_that_cannot_be_read_keeps_nothing_else_from_deciding() {
    let house = House::new().await;
    let one = house.person(&[Role::Supervisor]);
    let two = house.person(&[Role::Supervisor]);
    let pdq = |octet: u8| hash(v1::HashKind::Pdq, &hex::encode([octet; 32]));
    let entries = vec![
        illegal(pdq(0x0f), Category::B),
        illegal(pdq(0xa5), Category::B),
    ];
    import(&house, &one, "pdq", entries).await;
    approve(&house, &two, "pdq", 1).await.unwrap();
    rule(&house, [&one, &two], "bad.example", "", Some(Category::A)).await;
    rule(&house, [&one, &two], "good.example", "", Some(Category::A)).await;
    // Swapped by somebody with the database: two hashes, and a rule that has another's.
    for sql in [
        "update hash_entry set sealed_hash = '\\x00' where entry_id = (select min(entry_id::text)::uuid from hash_entry)",
        "update rule set sealed_match = '\\x00' where rule_id = (select min(rule_id::text)::uuid from rule)",
        "update knowledge set epoch = epoch + 1",
    ] {
        sqlx::query(sql).execute(&house.pool).await.unwrap();
    }
    // The first one's rule, the second one's list: each decides what it can.
    let mut actionable = 0;
    for (url, hashes) in [
        ("https://bad.example/1", vec![]),
        ("https://good.example/1", vec![]),
        ("https://host.example/1", vec![pdq(0x0f)]),
        ("https://host.example/2", vec![pdq(0xa5)]),
    ] {
        let mut near = hashes.clone();
        if let Some(hash) = near.first_mut() {
            // Near, so that only the memory of the list can know it.
            hash.value.replace_range(0..1, "1");
        }
        let of = house.reported(url, &near).await;
        actionable += usize::from(house.state(&one, of.case).await == State::Actionable);
    }
    assert_eq!((actionable, house.parked().await), (2, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_list_or_a_rule_was_wrong_about_it_does_not_decide_again() {
    let mut house = House::new().await;
    let one = house.person(&[Role::Supervisor]);
    let two = house.person(&[Role::Supervisor]);
    import(&house, &one, "list", vec![illegal(sha256(7), Category::A)]).await;
    approve(&house, &two, "list", 1).await.unwrap();
    rule(&house, [&one, &two], "host.example", "", None).await;
    let by_list = house.reported("https://else.example/1", &[sha256(7)]).await;
    let by_rule = house.reported("https://host.example/1", &[]).await;
    for of in [&by_list, &by_rule] {
        let withdraw = v1::WithdrawVerdictRequest {
            case_id: of.case.to_string(),
            reason: "it is wrong here".into(),
            ..Default::default()
        };
        house
            .client
            .withdraw_verdict(one.ask(withdraw))
            .await
            .unwrap();
    }
    // The next report of it, and what is approved next, ask them again.
    house.report(&by_list, &[sha256(7)]).await;
    house.report(&by_rule, &[]).await;
    import(&house, &one, "other", vec![illegal(sha256(8), Category::C)]).await;
    approve(&house, &two, "other", 1).await.unwrap();
    let after = house.reported("https://else.example/2", &[sha256(8)]).await;
    assert_eq!(house.state(&one, after.case).await, State::Actionable);
    until("both were matched against what is approved now", async || {
        let behind: i64 = sqlx::query_scalar(
            "select count(*) from assessment, knowledge where state = 'queued' and matched_epoch < epoch",
        )
        .fetch_one(&house.pool)
        .await
        .unwrap();
        behind == 0
    })
    .await;
    for of in [&by_list, &by_rule] {
        assert_eq!(
            basis(&house, &one, of).await,
            (State::Queued, String::new())
        );
    }
    // Another list that knows it decides.
    house.report(&by_list, &[sha256(8)]).await;
    assert_eq!(
        basis(&house, &one, &by_list).await,
        (State::Actionable, "list:other@1".to_owned())
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_not_read_is_not_approved() {
    let mut house = House::new().await;
    let one = house.person(&[Role::Supervisor]);
    let two = house.person(&[Role::Supervisor]);
    import(&house, &one, "list", vec![illegal(sha256(1), Category::A)]).await;
    let read = v1::ApproveHashListRequest {
        list: "list".into(),
        version: 1,
        entries: 1,
    };
    import(&house, &one, "list", vec![illegal(sha256(2), Category::A)]).await;
    let stale = house.client.approve_hash_list(two.ask(read)).await;
    assert_eq!(code(&stale.unwrap_err()), "version_stale");
    approve(&house, &two, "list", 1).await.unwrap();

    let proposal = |of: &str, host: &str| v1::ProposeRuleRequest {
        rule: Some(v1::Rule {
            rule_id: of.into(),
            host: host.into(),
            verdict: Some(v1::rule::Verdict::Actionable(Category::A as i32)),
            ..v1::Rule::default()
        }),
    };
    let mut proposed = Vec::new();
    for _ in 0..2 {
        let asked = one.ask(proposal("", "host.example"));
        let answer = house.client.propose_rule(asked).await.unwrap();
        proposed.push(answer.into_inner().rule.unwrap());
    }
    // The same proposal again is no second rule.
    assert_eq!(proposed[0], proposed[1]);
    let asked = one.ask(proposal(&proposed[0].rule_id, "all.example"));
    house.client.propose_rule(asked).await.unwrap();
    let approve = |version| {
        two.ask(v1::ApproveRuleRequest {
            rule_id: proposed[0].rule_id.clone(),
            version,
        })
    };
    let stale = house.client.clone().approve_rule(approve(1)).await;
    assert_eq!(code(&stale.unwrap_err()), "version_stale");
    let rule = house.client.clone().approve_rule(approve(2)).await;
    assert_eq!(rule.unwrap().into_inner().rule.unwrap().host, "all.example");
}
