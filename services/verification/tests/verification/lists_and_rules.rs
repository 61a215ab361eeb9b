//! Decisions by hash list and by rule, approved before or after the report.

use platform::principal::Role;
use proto::v1;
use proto::v1::AssessmentState as State;
use proto::v1::Category;

use crate::fixture::{TestCase, TestStaff, TestVerification, code, hash, sha256, wait_until};

async fn import(
    fixture: &TestVerification,
    by: &TestStaff,
    list: &str,
    entries: Vec<v1::HashEntry>,
) -> u32 {
    let response = fixture
        .client
        .clone()
        .import_hashes(by.request(v1::ImportHashesRequest {
            list: list.into(),
            entries,
        }))
        .await
        .unwrap()
        .into_inner();
    assert!(response.problems.is_empty(), "{:?}", response.problems);
    response.version
}

/// Approves a version with the number of entries that it has now.
async fn approve(
    fixture: &TestVerification,
    by: &TestStaff,
    list: &str,
    version: u32,
) -> Result<(), tonic::Status> {
    let mut client = fixture.client.clone();
    let lists = client
        .list_hash_lists(by.request(v1::ListHashListsRequest {}))
        .await?
        .into_inner()
        .lists;
    let listed = lists
        .into_iter()
        .find(|listed| listed.list == list && listed.version == version)
        .unwrap();
    let approve = v1::ApproveHashListRequest {
        list: listed.list,
        version,
        entries: listed.entries,
    };
    client
        .approve_hash_list(by.request(approve))
        .await
        .map(|_| ())
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

/// Proposes a rule by the first person and approves it by the second.
async fn rule_in_force(
    fixture: &TestVerification,
    by: [&TestStaff; 2],
    host: &str,
    prefix: &str,
    category: Option<Category>,
) {
    let mut client = fixture.client.clone();
    let verdict = match category {
        Some(category) => v1::rule::Verdict::Actionable(category as i32),
        None => v1::rule::Verdict::NotActionable(v1::NotActionableReason::NotFound as i32),
    };
    let proposed = client
        .propose_rule(by[0].request(v1::ProposeRuleRequest {
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
    let own = client.approve_rule(by[0].request(approve.clone())).await;
    assert_eq!(code(&own.unwrap_err()), "approver_is_proposer");
    for _ in 0..2 {
        client
            .approve_rule(by[1].request(approve.clone()))
            .await
            .unwrap();
    }
}

async fn basis(fixture: &TestVerification, person: &TestStaff, case: &TestCase) -> (State, String) {
    let assessment = fixture.assessment(person, case.id).await;
    (assessment.state(), assessment.basis)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hash_on_an_approved_list_decides_at_once() {
    let fixture = TestVerification::new().await;
    let one = fixture.staff(&[Role::Supervisor]);
    let two = fixture.staff(&[Role::Supervisor]);
    let version = import(
        &fixture,
        &one,
        "known-1",
        vec![illegal(sha256(7), Category::A)],
    )
    .await;
    // A list that is not approved decides nothing.
    let early = fixture
        .report_new_case("https://host.example/early", &[sha256(7)])
        .await;
    assert_eq!(fixture.state(&one, early.id).await, State::Queued);
    let own = approve(&fixture, &one, "known-1", version).await;
    assert_eq!(code(&own.unwrap_err()), "approver_is_importer");
    for _ in 0..2 {
        approve(&fixture, &two, "known-1", version).await.unwrap();
    }

    let case = fixture
        .report_new_case("https://host.example/1", &[sha256(7)])
        .await;
    let expected = (State::Actionable, "list:known-1@1".to_owned());
    assert_eq!(basis(&fixture, &one, &case).await, expected);
    assert_eq!(fixture.emitted_kinds(case.id).await, ["CaseActionable"]);
    // The earlier case is matched after the approval.
    wait_until("the earlier case is matched", async || {
        basis(&fixture, &one, &early).await == expected
    })
    .await;
    // A further report may bring the hash.
    let joined = fixture.report_new_case("https://host.example/2", &[]).await;
    fixture.report(&joined, &[sha256(7)]).await;
    assert_eq!(basis(&fixture, &one, &joined).await, expected);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_later_version_corrects_an_earlier_one() {
    let fixture = TestVerification::new().await;
    let one = fixture.staff(&[Role::Supervisor]);
    let two = fixture.staff(&[Role::Supervisor]);
    import(
        &fixture,
        &one,
        "list",
        vec![illegal(sha256(1), Category::A)],
    )
    .await;
    approve(&fixture, &two, "list", 1).await.unwrap();
    let version = import(
        &fixture,
        &one,
        "list",
        vec![legal(sha256(1)), illegal(sha256(2), Category::C)],
    )
    .await;
    assert_eq!(version, 2);
    approve(&fixture, &two, "list", 2).await.unwrap();
    let case = fixture
        .report_new_case("https://host.example/1", &[sha256(1)])
        .await;
    assert_eq!(
        basis(&fixture, &one, &case).await,
        (State::NotActionable, "list:list@2".to_owned())
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_near_pdq_hash_matches_before_and_after_its_list_is_approved() {
    let fixture = TestVerification::new().await;
    let one = fixture.staff(&[Role::Supervisor]);
    let two = fixture.staff(&[Role::Supervisor]);
    let stored = [0xa5_u8; 32];
    let mut near = stored;
    near[..3].iter_mut().for_each(|octet| *octet = !*octet);
    near[3] ^= 0x7f; // 31 bits
    let mut far = near;
    far[31] ^= 1; // 32 bits
    let pdq = |octets: [u8; 32]| hash(v1::HashKind::Pdq, &hex::encode(octets));
    let before = fixture
        .report_new_case("https://host.example/before", &[pdq(near)])
        .await;
    import(
        &fixture,
        &one,
        "pdq",
        vec![illegal(pdq(stored), Category::B)],
    )
    .await;
    approve(&fixture, &two, "pdq", 1).await.unwrap();
    let after = fixture
        .report_new_case("https://host.example/after", &[pdq(near)])
        .await;
    let not = fixture
        .report_new_case("https://host.example/not", &[pdq(far)])
        .await;
    assert_eq!(fixture.state(&one, after.id).await, State::Actionable);
    wait_until("the earlier case is matched", async || {
        fixture.state(&one, before.id).await == State::Actionable
    })
    .await;
    assert_eq!(fixture.state(&one, not.id).await, State::Queued);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rule_decides_by_host_and_path_and_a_list_wins_over_it() {
    let fixture = TestVerification::new().await;
    let (one, two) = (
        fixture.staff(&[Role::Supervisor]),
        fixture.staff(&[Role::Supervisor]),
    );
    rule_in_force(&fixture, [&one, &two], "host.example", "", None).await;
    rule_in_force(
        &fixture,
        [&one, &two],
        "bad.host.example",
        "/album",
        Some(Category::C),
    )
    .await;
    import(&fixture, &one, "list", vec![legal(sha256(9))]).await;
    approve(&fixture, &two, "list", 1).await.unwrap();

    let cases = [
        (
            "https://host.example/1",
            vec![],
            State::NotActionable,
            "rule:",
        ),
        // Of two matching rules the actionable one wins, a prefix ends at a boundary, and a list wins over
        // both.
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
        let case = fixture.report_new_case(url, &hashes).await;
        let found = basis(&fixture, &one, &case).await;
        assert_eq!(found.0, state, "{url}");
        assert!(found.1.starts_with(prefix), "{url}: {}", found.1);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_claimed_case_is_left_to_its_analyst() {
    let fixture = TestVerification::new().await;
    let (one, two) = (
        fixture.staff(&[Role::Supervisor]),
        fixture.staff(&[Role::Supervisor]),
    );
    let analyst = fixture.staff(&[Role::Analyst]);
    let case = fixture.report_new_case("https://host.example/1", &[]).await;
    let claimed = fixture.claim(&analyst, case.id).await.unwrap();
    import(
        &fixture,
        &one,
        "list",
        vec![illegal(sha256(3), Category::A)],
    )
    .await;
    approve(&fixture, &two, "list", 1).await.unwrap();
    fixture.report(&case, &[sha256(3)]).await;
    assert_eq!(fixture.state(&analyst, case.id).await, State::Claimed);
    // Once it is released, the list decides it.
    fixture
        .client
        .clone()
        .release_claim(analyst.request(v1::ReleaseClaimRequest {
            case_id: case.id.to_string(),
            claim_token: claimed.claim_token,
        }))
        .await
        .unwrap();
    wait_until("the list decides", async || {
        fixture.state(&analyst, case.id).await == State::Actionable
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_retired_rule_decides_nothing() {
    let mut fixture = TestVerification::new().await;
    let (one, two) = (
        fixture.staff(&[Role::Supervisor]),
        fixture.staff(&[Role::Supervisor]),
    );
    rule_in_force(
        &fixture,
        [&one, &two],
        "host.example",
        "",
        Some(Category::A),
    )
    .await;
    let rules = fixture
        .client
        .list_rules(one.request(v1::ListRulesRequest {}))
        .await
        .unwrap();
    let rule_id = rules.into_inner().rules[0].rule_id.clone();
    for _ in 0..2 {
        let retire = v1::RetireRuleRequest {
            rule_id: rule_id.clone(),
        };
        let retired = fixture
            .client
            .retire_rule(one.request(retire))
            .await
            .unwrap();
        assert!(retired.into_inner().rule.unwrap().retired_at.is_some());
    }
    let case = fixture.report_new_case("https://host.example/1", &[]).await;
    assert_eq!(fixture.state(&one, case.id).await, State::Queued);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bad_entry_does_not_block_the_others() {
    let mut fixture = TestVerification::new().await;
    let one = fixture.staff(&[Role::Supervisor]);
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
    let response = fixture
        .client
        .import_hashes(one.request(v1::ImportHashesRequest {
            list: "list".into(),
            entries,
        }))
        .await
        .unwrap()
        .into_inner();
    assert_eq!(
        (response.added, response.known, response.version),
        (1, 1, 1)
    );
    let mut problems: Vec<(&str, &str)> = response
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
async fn an_unreadable_entry_does_not_block_the_others() {
    let fixture = TestVerification::new().await;
    let one = fixture.staff(&[Role::Supervisor]);
    let two = fixture.staff(&[Role::Supervisor]);
    let pdq = |octet: u8| hash(v1::HashKind::Pdq, &hex::encode([octet; 32]));
    let entries = vec![
        illegal(pdq(0x0f), Category::B),
        illegal(pdq(0xa5), Category::B),
    ];
    import(&fixture, &one, "pdq", entries).await;
    approve(&fixture, &two, "pdq", 1).await.unwrap();
    rule_in_force(&fixture, [&one, &two], "bad.example", "", Some(Category::A)).await;
    rule_in_force(
        &fixture,
        [&one, &two],
        "good.example",
        "",
        Some(Category::A),
    )
    .await;
    // Damaged in the database: one of the two hashes and one of the two rules.
    for sql in [
        "update hash_entry set sealed_hash = '\\x00' where entry_id = (select min(entry_id::text)::uuid from hash_entry)",
        "update rule set sealed_match = '\\x00' where rule_id = (select min(rule_id::text)::uuid from rule)",
        "update matching_version set version = version + 1",
    ] {
        sqlx::query(sql).execute(&fixture.pool).await.unwrap();
    }
    // The undamaged rule and the undamaged hash still decide.
    let mut actionable = 0;
    for (url, hashes) in [
        ("https://bad.example/1", vec![]),
        ("https://good.example/1", vec![]),
        ("https://host.example/1", vec![pdq(0x0f)]),
        ("https://host.example/2", vec![pdq(0xa5)]),
    ] {
        let mut near = hashes.clone();
        if let Some(hash) = near.first_mut() {
            // Near but not equal, so that only the index in memory finds it.
            hash.value.replace_range(0..1, "1");
        }
        let case = fixture.report_new_case(url, &near).await;
        actionable += usize::from(fixture.state(&one, case.id).await == State::Actionable);
    }
    assert_eq!((actionable, fixture.parked().await), (2, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_list_or_rule_does_not_decide_again_after_its_verdict_was_withdrawn() {
    let mut fixture = TestVerification::new().await;
    let one = fixture.staff(&[Role::Supervisor]);
    let two = fixture.staff(&[Role::Supervisor]);
    import(
        &fixture,
        &one,
        "list",
        vec![illegal(sha256(7), Category::A)],
    )
    .await;
    approve(&fixture, &two, "list", 1).await.unwrap();
    rule_in_force(&fixture, [&one, &two], "host.example", "", None).await;
    let by_list = fixture
        .report_new_case("https://else.example/1", &[sha256(7)])
        .await;
    let by_rule = fixture.report_new_case("https://host.example/1", &[]).await;
    for case in [&by_list, &by_rule] {
        let withdraw = v1::WithdrawVerdictRequest {
            case_id: case.id.to_string(),
            reason: "it is wrong here".into(),
            ..Default::default()
        };
        fixture
            .client
            .withdraw_verdict(one.request(withdraw))
            .await
            .unwrap();
    }
    // A further report and a further approval both cause a new match.
    fixture.report(&by_list, &[sha256(7)]).await;
    fixture.report(&by_rule, &[]).await;
    import(
        &fixture,
        &one,
        "other",
        vec![illegal(sha256(8), Category::C)],
    )
    .await;
    approve(&fixture, &two, "other", 1).await.unwrap();
    let after = fixture
        .report_new_case("https://else.example/2", &[sha256(8)])
        .await;
    assert_eq!(fixture.state(&one, after.id).await, State::Actionable);
    wait_until("both were matched again", async || {
        let behind: i64 = sqlx::query_scalar(
            "select count(*) from assessment, matching_version v where state = 'queued' and matched_version < v.version",
        )
        .fetch_one(&fixture.pool)
        .await
        .unwrap();
        behind == 0
    })
    .await;
    for case in [&by_list, &by_rule] {
        assert_eq!(
            basis(&fixture, &one, case).await,
            (State::Queued, String::new())
        );
    }
    // Another list with a matching hash decides.
    fixture.report(&by_list, &[sha256(8)]).await;
    assert_eq!(
        basis(&fixture, &one, &by_list).await,
        (State::Actionable, "list:other@1".to_owned())
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_the_version_that_was_read_is_approved() {
    let mut fixture = TestVerification::new().await;
    let one = fixture.staff(&[Role::Supervisor]);
    let two = fixture.staff(&[Role::Supervisor]);
    import(
        &fixture,
        &one,
        "list",
        vec![illegal(sha256(1), Category::A)],
    )
    .await;
    let read = v1::ApproveHashListRequest {
        list: "list".into(),
        version: 1,
        entries: 1,
    };
    import(
        &fixture,
        &one,
        "list",
        vec![illegal(sha256(2), Category::A)],
    )
    .await;
    let stale = fixture.client.approve_hash_list(two.request(read)).await;
    assert_eq!(code(&stale.unwrap_err()), "list_changed");
    approve(&fixture, &two, "list", 1).await.unwrap();

    let proposal = |rule_id: &str, host: &str| v1::ProposeRuleRequest {
        rule: Some(v1::Rule {
            rule_id: rule_id.into(),
            host: host.into(),
            verdict: Some(v1::rule::Verdict::Actionable(Category::A as i32)),
            ..v1::Rule::default()
        }),
    };
    let mut proposed = Vec::new();
    for _ in 0..2 {
        let request = one.request(proposal("", "host.example"));
        let response = fixture.client.propose_rule(request).await.unwrap();
        proposed.push(response.into_inner().rule.unwrap());
    }
    // A repeated proposal makes no second rule.
    assert_eq!(proposed[0], proposed[1]);
    let request = one.request(proposal(&proposed[0].rule_id, "all.example"));
    fixture.client.propose_rule(request).await.unwrap();
    let approve = |version| {
        two.request(v1::ApproveRuleRequest {
            rule_id: proposed[0].rule_id.clone(),
            version,
        })
    };
    let stale = fixture.client.clone().approve_rule(approve(1)).await;
    assert_eq!(code(&stale.unwrap_err()), "rule_changed");
    let rule = fixture.client.clone().approve_rule(approve(2)).await;
    assert_eq!(rule.unwrap().into_inner().rule.unwrap().host, "all.example");
}
