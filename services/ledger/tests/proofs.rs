//! Proofs against checkpoints, and verification of the whole log after each kind of tampering.

mod support;

use ledger::merkle::{Hash, proof};
use ledger::verify::FaultLocation;
use platform::sealed::{Keyring, SigningContext};
use proto::v1;
use proto::v1::get_inclusion_proof_request::Target;
use sha2::{Digest, Sha256};
use support::{TestLedger, actionable, sent};
use uuid::Uuid;

fn hash(bytes: &[u8]) -> Hash {
    bytes.try_into().unwrap()
}

fn hashes(list: &[bytes::Bytes]) -> Vec<Hash> {
    list.iter().map(|bytes| hash(bytes)).collect()
}

/// Appends leaves up to each size and waits for its checkpoint.
async fn grow(ledger: &TestLedger, sizes: &[u64]) -> Vec<v1::Checkpoint> {
    let mut checkpoints = Vec::new();
    let mut appended = 0;
    for size in sizes {
        while appended < *size {
            let events: Vec<_> = (appended..*size)
                .map(|_| {
                    let body = support::received(Uuid::now_v7());
                    platform::log::NewEvent {
                        id: Uuid::now_v7(),
                        case_id: Uuid::now_v7(),
                        kind: "ReportReceived",
                        caused_by: None,
                        traceparent: None,
                        occurred_at: platform::clock::wall(),
                        payload: domain::event::encode(body),
                    }
                })
                .collect();
            appended += events.len() as u64;
            ledger.append("intake", &events).await;
        }
        checkpoints.push(ledger.wait_for_checkpoint(*size).await);
    }
    checkpoints
}

#[tokio::test]
async fn proofs_show_that_nothing_under_a_checkpoint_changed() {
    let ledger = TestLedger::start().await;
    let checkpoints = grow(&ledger, &[1, 5, 256, 700]).await;
    let newest = checkpoints.last().unwrap();
    assert_eq!(newest.size, 700);
    assert!(newest.note.starts_with("takedown.example/ledger\n700\n"));

    for old in &checkpoints {
        let request = ledger.as_auditor(v1::GetConsistencyProofRequest {
            from_size: old.size,
            to_size: newest.size,
        });
        let response = ledger.client.clone().get_consistency_proof(request).await;
        let proof = hashes(&response.unwrap().into_inner().proof);
        let (from, to) = (hash(&old.root), hash(&newest.root));
        assert!(proof::verify_consistency(
            old.size,
            &from,
            newest.size,
            &to,
            &proof
        ));
        assert!(!proof::verify_consistency(
            old.size,
            &[1; 32],
            newest.size,
            &to,
            &proof
        ));
    }
    let leaves = ledger.leaves(0).await;
    for (index, size) in [
        (0, 0),
        (699, 0),
        (255, 256),
        (256, 700),
        (300, 0),
        (0, 1),
        (4, 5),
        (511, 0),
    ] {
        let by_id = Target::EventId(leaves[index as usize].event_id.clone());
        for target in [Target::LeafIndex(index), by_id] {
            let request = ledger.as_auditor(v1::GetInclusionProofRequest {
                target: Some(target),
                tree_size: size,
            });
            let response = ledger.client.clone().get_inclusion_proof(request).await;
            let response = response.unwrap().into_inner();
            let checkpoint = response.checkpoint.unwrap();
            assert_eq!(response.tree_size, checkpoint.size);
            assert_eq!(response.leaf_index, index);
            let root = hash(&checkpoint.root);
            let leaf = hash(&response.leaf_hash);
            let path = hashes(&response.audit_path);
            assert!(
                proof::verify_inclusion(&leaf, index, response.tree_size, &path, &root),
                "{index} in {size}"
            );
        }
    }
    // A proof for a size that was not signed has no checkpoint; the caller must know the root.
    let request = ledger.as_auditor(v1::GetInclusionProofRequest {
        target: Some(Target::LeafIndex(3)),
        tree_size: 6,
    });
    let response = ledger
        .client
        .clone()
        .get_inclusion_proof(request)
        .await
        .unwrap();
    let response = response.into_inner();
    let signed = ledger.checkpoints().await.iter().any(|c| c.size == 6);
    assert_eq!(
        (response.tree_size, response.checkpoint.is_some()),
        (6, signed)
    );
    // Only every eighth level is stored.
    assert_eq!(ledger.count("select count(*) from node").await, 700 / 256);
}

#[tokio::test]
async fn new_leaves_are_signed_within_a_second() {
    let ledger = TestLedger::start().await;
    ledger.report(Uuid::now_v7()).await;
    ledger.wait_for_checkpoint(1).await;
    let delays: Vec<f64> = sqlx::query_scalar(
        "select extract(epoch from c.made_at - l.recorded_at)::float8 from checkpoint c join leaf l on l.index = c.size - 1",
    )
    .fetch_all(&ledger.pool)
    .await
    .unwrap();
    assert!(
        delays.iter().all(|delay| (0.0..1.0).contains(delay)),
        "{delays:?}"
    );
    // A tree that has not grown is not signed again.
    let keyring = &ledger.keyring;
    let signer = ledger::CheckpointSigner::new(
        ledger.pool.clone(),
        keyring.signer(SigningContext::Checkpoint),
        platform::clock::Clock::Database,
        &ledger::Config::default(),
    );
    assert_eq!(signer.run_once().await.unwrap(), None);
    ledger
        .emit("verification", Uuid::now_v7(), None, actionable())
        .await;
    ledger.wait_for_checkpoint(2).await;
    assert_eq!(ledger.checkpoints().await.len(), 2);
}

/// A change to the database, and the first fault that a verifier must find.
struct Tampering {
    name: &'static str,
    sql: &'static [&'static str],
    first_fault: (FaultLocation, &'static str),
}

/// Prevents the running ledger from signing the tampered tree.
const STOP_SIGNING: &str = "create rule stop_signing as on insert to checkpoint do instead nothing";

const TAMPERINGS: [Tampering; 14] = [
    Tampering {
        name: "a payload",
        sql: &["update leaf set payload = payload || '\\x00' where index = 3"],
        first_fault: (FaultLocation::Leaf(3), "leaf_changed"),
    },
    Tampering {
        name: "a time",
        sql: &["update leaf set occurred_at = occurred_at - interval '1 second' where index = 3"],
        first_fault: (FaultLocation::Leaf(3), "leaf_changed"),
    },
    Tampering {
        name: "a hash",
        sql: &["update leaf set leaf_hash = sha256('x') where index = 7"],
        first_fault: (FaultLocation::Leaf(7), "leaf_changed"),
    },
    Tampering {
        name: "a leaf deleted",
        sql: &["delete from leaf where index = 5"],
        first_fault: (FaultLocation::Leaf(5), "leaf_missing"),
    },
    Tampering {
        name: "a leaf deleted and the following ones moved",
        sql: &[
            "delete from leaf where index = 5",
            "update leaf set index = -index where index > 5",
            "update leaf set index = -index - 1 where index < 0",
        ],
        first_fault: (FaultLocation::Leaf(5), "leaf_changed"),
    },
    Tampering {
        name: "two leaves swapped",
        sql: &[
            "update leaf set index = 1000 where index = 2",
            "update leaf set index = 2 where index = 8",
            "update leaf set index = 8 where index = 1000",
        ],
        first_fault: (FaultLocation::Leaf(2), "leaf_changed"),
    },
    Tampering {
        name: "the last leaves deleted",
        sql: &[
            "delete from leaf where index >= 9",
        ],
        first_fault: (FaultLocation::Leaf(9), "leaf_missing"),
    },
    Tampering {
        name: "a leaf added",
        sql: &[
            "insert into leaf (index, event_id, producer, shard, position, kind, case_id, occurred_at, payload, salt, leaf_hash, recorded_at, format)
            select 12, gen_random_uuid(), producer, shard, position, kind, case_id, occurred_at, payload, salt, leaf_hash, recorded_at, format
            from leaf where index = 11",
            "update tree set size = 13, frontier = frontier || sha256('x')",
        ],
        first_fault: (FaultLocation::Leaf(12), "leaf_changed"),
    },
    Tampering {
        name: "the root stored with a note",
        sql: &["update checkpoint set root = sha256('x') where size = 12"],
        first_fault: (FaultLocation::Checkpoint(12), "checkpoint_changed"),
    },
    Tampering {
        name: "a note",
        sql: &["update checkpoint set note = replace(note, E'\\n12\\n', E'\\n11\\n') where size = 12"],
        first_fault: (FaultLocation::Checkpoint(12), "checkpoint_forged"),
    },
    Tampering {
        name: "all checkpoints deleted",
        sql: &["delete from checkpoint"],
        first_fault: (FaultLocation::Leaf(0), "leaf_unsigned"),
    },
    Tampering {
        name: "the newest checkpoint deleted",
        sql: &["delete from checkpoint where size > 10"],
        first_fault: (FaultLocation::Leaf(10), "leaf_unsigned"),
    },
    Tampering {
        name: "the time of recording",
        sql: &["update leaf set recorded_at = recorded_at - interval '1 hour' where index = 4"],
        first_fault: (FaultLocation::Leaf(4), "leaf_changed"),
    },
    Tampering {
        name: "the format of a leaf",
        sql: &["update leaf set format = 1 where index = 4"],
        first_fault: (FaultLocation::Leaf(4), "leaf_changed"),
    },
];

#[tokio::test]
async fn every_tampering_is_found_at_its_location() {
    for tampering in TAMPERINGS {
        let ledger = TestLedger::start().await;
        grow(&ledger, &[4, 10, 12]).await;
        let untampered = ledger.verify().await;
        assert_eq!(untampered.faults, []);
        assert_eq!((untampered.leaves, untampered.covered), (12, 12));

        let mut tx = ledger.pool.begin().await.unwrap();
        for sql in [
            "alter table leaf drop constraint leaf_index_check",
            STOP_SIGNING,
        ] {
            sqlx::query(sql).execute(&mut *tx).await.unwrap();
        }
        for sql in tampering.sql {
            let done = sqlx::query(sqlx::AssertSqlSafe(*sql))
                .execute(&mut *tx)
                .await
                .unwrap();
            assert!(done.rows_affected() > 0, "{sql}");
        }
        tx.commit().await.unwrap();

        let report = ledger.verify().await;
        let first = report
            .faults
            .first()
            .map(|fault| (fault.location, fault.code));
        assert_eq!(
            first,
            Some(tampering.first_fault),
            "{}: {report:?}",
            tampering.name
        );
    }
}

#[tokio::test]
async fn a_forged_checkpoint_and_a_truncated_log_are_found() {
    let ledger = TestLedger::start().await;
    let checkpoints = grow(&ledger, &[4, 10]).await;
    let leaves = ledger.leaves(0).await;

    // A checkpoint that is signed by another key.
    let other_folder = tempfile::tempdir().unwrap();
    let other_keyring = Keyring::create(&other_folder.path().join("keyring.json")).unwrap();
    let body = ledger::note::CheckpointBody {
        origin: "takedown.example/ledger".into(),
        size: 10,
        root: hash(&checkpoints[1].root),
    };
    let forged = v1::Checkpoint {
        note: ledger::note::sign(&body, &other_keyring.signer(SigningContext::Checkpoint)).unwrap(),
        ..checkpoints[1].clone()
    };
    let mut verifier = ledger.verifier();
    verifier.add_checkpoint(&checkpoints[0]);
    verifier.add_checkpoint(&forged);
    for leaf in &leaves {
        verifier.add_leaf(leaf);
    }
    let report = verifier.finish();
    assert_eq!(report.covered, 4);
    let faults: Vec<_> = report.faults.iter().map(|f| (f.location, f.code)).collect();
    assert_eq!(
        faults,
        [
            (FaultLocation::Checkpoint(10), "checkpoint_forged"),
            (FaultLocation::Leaf(4), "leaf_unsigned")
        ]
    );

    // A checkpoint of a different tree, signed by the right key: two versions of the log exist.
    let other_body = ledger::note::CheckpointBody {
        root: [3; 32],
        ..body
    };
    let signer = ledger.keyring.signer(SigningContext::Checkpoint);
    let mut verifier = ledger.verifier();
    verifier.add_witness(&ledger::note::sign(&other_body, &signer).unwrap());
    for leaf in &leaves {
        verifier.add_leaf(leaf);
    }
    let faults = verifier.finish().faults;
    assert_eq!(
        (faults[0].location, faults[0].code),
        (FaultLocation::Checkpoint(10), "checkpoint_root")
    );

    // Leaves and checkpoints truncated together: only a checkpoint from another source shows it.
    let truncated = |witness: Option<&str>| {
        let mut verifier = ledger.verifier();
        if let Some(note) = witness {
            verifier.add_witness(note);
        }
        verifier.add_checkpoint(&checkpoints[0]);
        for leaf in &leaves[..4] {
            verifier.add_leaf(leaf);
        }
        verifier.finish()
    };
    assert!(truncated(None).is_sound());
    let faults = truncated(Some(&checkpoints[1].note)).faults;
    assert_eq!(
        (faults[0].location, faults[0].code),
        (FaultLocation::Leaf(4), "leaf_missing")
    );
}

/// The hash of a changed leaf, as a forger would recompute it.
fn recompute_hash(leaf: &v1::Leaf) -> Hash {
    let micros = |at: &Option<prost_types::Timestamp>| {
        let at = domain::wire::time("at", at.as_ref().unwrap()).unwrap();
        (at.unix_timestamp_nanos() / 1000).to_be_bytes()
    };
    let id = |text: &str| Uuid::parse_str(text).unwrap().into_bytes();
    let parts: [&[u8]; 13] = [
        b"takedown-leaf-2",
        &leaf.index.to_be_bytes(),
        &id(&leaf.event_id),
        leaf.producer.as_bytes(),
        &(leaf.shard as i16).to_be_bytes(),
        &leaf.position.to_be_bytes(),
        leaf.r#type.as_bytes(),
        &id(&leaf.case_id),
        &micros(&leaf.occurred_at),
        b"",
        &leaf.salt,
        &leaf.payload,
        &micros(&leaf.recorded_at),
    ];
    let mut commitment = Sha256::new();
    for part in parts {
        commitment.update((part.len() as u64).to_be_bytes());
        commitment.update(part);
    }
    ledger::merkle::leaf_hash(&commitment.finalize())
}

#[tokio::test]
async fn rewritten_leaves_without_a_checkpoint_are_found() {
    let ledger = TestLedger::start().await;
    grow(&ledger, &[4, 10, 12]).await;
    let mut leaf = ledger.leaves(11).await.remove(0);
    assert_eq!(recompute_hash(&leaf)[..], leaf.leaf_hash[..]);
    ledger.execute(STOP_SIGNING).await;
    leaf.payload = b"\x0a\x00".as_slice().into();
    sqlx::query("update leaf set payload = $1, leaf_hash = $2 where index = 11")
        .bind(&leaf.payload[..])
        .bind(&recompute_hash(&leaf)[..])
        .execute(&ledger.pool)
        .await
        .unwrap();
    let first = |report: &ledger::verify::VerificationReport| {
        let fault = report.faults.first().expect("a fault");
        (fault.location, fault.code)
    };
    let report = ledger.verify().await;
    assert_eq!(
        first(&report),
        (FaultLocation::Checkpoint(12), "checkpoint_root")
    );
    ledger
        .execute("delete from checkpoint where size > 10")
        .await;
    let report = ledger.verify().await;
    assert_eq!(first(&report), (FaultLocation::Leaf(10), "leaf_unsigned"));
}

#[tokio::test]
async fn the_checkpoint_of_an_earlier_verification_reveals_a_truncated_log() {
    let ledger = TestLedger::start().await;
    let checkpoints = grow(&ledger, &[4, 10]).await;
    let before = ledger.verify().await;
    assert!(before.is_sound());
    let newest = before.newest_note.expect("a note that was verified");
    assert_eq!(newest, checkpoints[1].note);

    sqlx::query("update tree set size = 4, frontier = $1")
        .bind(&checkpoints[0].root[..])
        .execute(&ledger.pool)
        .await
        .unwrap();
    ledger.execute("delete from leaf where index >= 4").await;
    ledger
        .execute("delete from checkpoint where size > 4")
        .await;
    assert!(ledger.verify().await.is_sound());
    let mut verifier = ledger.verifier();
    verifier.add_witness(&newest);
    let after = ledger.verify_with(verifier).await;
    let fault = after.faults.first().expect("a fault");
    assert_eq!(
        (fault.location, fault.code),
        (FaultLocation::Leaf(4), "leaf_missing")
    );
}

#[tokio::test]
async fn a_repeated_position_is_a_fault_and_a_missing_one_is_reported() {
    let ledger = TestLedger::start().await;
    grow(&ledger, &[4, 10]).await;
    let leaves = ledger.leaves(0).await;
    let add_at_position = |verifier: &mut ledger::verify::Verifier, leaf: &v1::Leaf, position| {
        let leaf = v1::Leaf {
            position,
            index: verifier.leaves(),
            ..leaf.clone()
        };
        verifier.add_leaf(&v1::Leaf {
            leaf_hash: recompute_hash(&leaf).to_vec().into(),
            ..leaf
        });
    };
    let mut verifier = ledger.verifier();
    for position in [1, 2, 2, 6] {
        add_at_position(&mut verifier, &leaves[0], position);
    }
    verifier.add_parked(&v1::ParkedPosition {
        producer: leaves[0].producer.clone(),
        shard: leaves[0].shard,
        position: 4,
    });
    let report = verifier.finish();
    let fault = report.faults.first().expect("a fault");
    assert_eq!(
        (fault.location, fault.code),
        (FaultLocation::Leaf(2), "position_repeated")
    );
    let gaps: Vec<_> = report.gaps.iter().map(|h| (h.first, h.last)).collect();
    assert_eq!(gaps, [(3, 3), (5, 5)]);
    assert_eq!(ledger.verify().await.gaps, []);
}

#[tokio::test]
async fn after_a_key_rotation_checkpoints_of_the_old_key_are_still_valid() {
    let ledger = TestLedger::start().await;
    ledger.emit("dispatch", Uuid::now_v7(), None, sent()).await;
    let checkpoint = ledger.wait_for_checkpoint(1).await;
    let other_folder = tempfile::tempdir().unwrap();
    let next = Keyring::create(&other_folder.path().join("keyring.json")).unwrap();
    let mut keys = next.public_keys(SigningContext::Checkpoint);
    keys.extend(ledger.keyring.public_keys(SigningContext::Checkpoint));
    let trust = ledger::note::TrustedKeys::new("takedown.example/ledger", keys).unwrap();
    assert_eq!(trust.verify(&checkpoint.note).unwrap().size, 1);
    let other_keys = next.public_keys(SigningContext::Checkpoint);
    let trust = ledger::note::TrustedKeys::new("takedown.example/ledger", other_keys).unwrap();
    assert_eq!(
        trust.verify(&checkpoint.note),
        Err(ledger::note::NoteError::Unsigned)
    );
}
