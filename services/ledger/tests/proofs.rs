//! The log proves itself: to whoever holds a checkpoint, by proofs, and to whoever reads it all, by computing it again.

mod support;

use ledger::merkle::{Hash, proof};
use ledger::verify::Place;
use platform::sealed::{Keyring, SigningContext};
use proto::v1;
use proto::v1::get_inclusion_proof_request::Of;
use sha2::{Digest, Sha256};
use support::{World, actionable, sent};
use uuid::Uuid;

fn hash(bytes: &[u8]) -> Hash {
    bytes.try_into().unwrap()
}

fn hashes(list: &[bytes::Bytes]) -> Vec<Hash> {
    list.iter().map(|bytes| hash(bytes)).collect()
}

/// Several batches with a checkpoint each, across the size of a stored subtree.
async fn grown(world: &World, sizes: &[u64]) -> Vec<v1::Checkpoint> {
    let mut checkpoints = Vec::new();
    let mut said = 0;
    for size in sizes {
        while said < *size {
            let events: Vec<_> = (said..*size)
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
            said += events.len() as u64;
            world.append("intake", &events).await;
        }
        checkpoints.push(world.until_signed(*size).await);
    }
    checkpoints
}

#[tokio::test]
async fn whoever_holds_a_checkpoint_can_be_shown_that_nothing_under_it_changed() {
    let world = World::start().await;
    let checkpoints = grown(&world, &[1, 5, 256, 700]).await;
    let newest = checkpoints.last().unwrap();
    assert_eq!(newest.size, 700);
    assert!(newest.note.starts_with("takedown.example/ledger\n700\n"));

    for old in &checkpoints {
        let request = world.as_auditor(v1::GetConsistencyProofRequest {
            from_size: old.size,
            to_size: newest.size,
        });
        let answer = world.client.clone().get_consistency_proof(request).await;
        let proof = hashes(&answer.unwrap().into_inner().proof);
        let (from, to) = (hash(&old.root), hash(&newest.root));
        assert!(proof::holds_consistency(
            old.size,
            &from,
            newest.size,
            &to,
            &proof
        ));
        assert!(!proof::holds_consistency(
            old.size,
            &[1; 32],
            newest.size,
            &to,
            &proof
        ));
    }
    let leaves = world.leaves(0).await;
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
        let by_id = Of::EventId(leaves[index as usize].event_id.clone());
        for of in [Of::LeafIndex(index), by_id] {
            let request = world.as_auditor(v1::GetInclusionProofRequest {
                of: Some(of),
                tree_size: size,
            });
            let answer = world.client.clone().get_inclusion_proof(request).await;
            let answer = answer.unwrap().into_inner();
            let checkpoint = answer.checkpoint.unwrap();
            assert_eq!(answer.tree_size, checkpoint.size);
            assert_eq!(answer.leaf_index, index);
            let root = hash(&checkpoint.root);
            let leaf = hash(&answer.leaf_hash);
            let path = hashes(&answer.audit_path);
            assert!(
                proof::holds_inclusion(&leaf, index, answer.tree_size, &path, &root),
                "{index} in {size}"
            );
        }
    }
    // A tree that was never signed can be proved against by whoever computed its root; it has no checkpoint.
    let request = world.as_auditor(v1::GetInclusionProofRequest {
        of: Some(Of::LeafIndex(3)),
        tree_size: 6,
    });
    let answer = world
        .client
        .clone()
        .get_inclusion_proof(request)
        .await
        .unwrap();
    let answer = answer.into_inner();
    let signed = world.checkpoints().await.iter().any(|c| c.size == 6);
    assert_eq!((answer.tree_size, answer.checkpoint.is_some()), (6, signed));
    // Only every eighth level is stored.
    assert_eq!(world.count("select count(*) from node").await, 700 / 256);
}

#[tokio::test]
async fn what_was_heard_is_signed_within_a_second() {
    let world = World::start().await;
    world.report(Uuid::now_v7()).await;
    world.until_signed(1).await;
    let lateness: Vec<f64> = sqlx::query_scalar(
        "select extract(epoch from c.made_at - l.heard_at)::float8 from checkpoint c join leaf l on l.index = c.size - 1",
    )
    .fetch_all(&world.pool)
    .await
    .unwrap();
    assert!(
        lateness.iter().all(|late| (0.0..1.0).contains(late)),
        "{lateness:?}"
    );
    // Nothing new, nothing signed: one checkpoint a size.
    let keyring = &world.keyring;
    let again = ledger::Checkpoints::new(
        world.pool.clone(),
        keyring.signer(SigningContext::Checkpoint),
        platform::clock::Clock::Database,
        &ledger::Config::default(),
    );
    assert_eq!(again.run_once().await.unwrap(), None);
    world
        .say("verification", Uuid::now_v7(), None, actionable())
        .await;
    world.until_signed(2).await;
    assert_eq!(world.checkpoints().await.len(), 2);
}

/// What to do to the database, and what a verifier must say first.
struct Tampering {
    name: &'static str,
    sql: &'static [&'static str],
    first: (Place, &'static str),
}

/// The ledger that runs must not put its own signature under what was tampered with.
const NO_MORE_SIGNED: &str = "create rule no_more as on insert to checkpoint do instead nothing";

const TAMPERINGS: [Tampering; 14] = [
    Tampering {
        name: "a payload",
        sql: &["update leaf set payload = payload || '\\x00' where index = 3"],
        first: (Place::Leaf(3), "leaf_changed"),
    },
    Tampering {
        name: "a time",
        sql: &["update leaf set occurred_at = occurred_at - interval '1 second' where index = 3"],
        first: (Place::Leaf(3), "leaf_changed"),
    },
    Tampering {
        name: "a hash",
        sql: &["update leaf set leaf_hash = sha256('x') where index = 7"],
        first: (Place::Leaf(7), "leaf_changed"),
    },
    Tampering {
        name: "a leaf gone",
        sql: &["delete from leaf where index = 5"],
        first: (Place::Leaf(5), "leaf_missing"),
    },
    Tampering {
        name: "a leaf gone and the rest moved up",
        sql: &[
            "delete from leaf where index = 5",
            "update leaf set index = -index where index > 5",
            "update leaf set index = -index - 1 where index < 0",
        ],
        first: (Place::Leaf(5), "leaf_changed"),
    },
    Tampering {
        name: "two leaves swapped",
        sql: &[
            "update leaf set index = 1000 where index = 2",
            "update leaf set index = 2 where index = 8",
            "update leaf set index = 8 where index = 1000",
        ],
        first: (Place::Leaf(2), "leaf_changed"),
    },
    Tampering {
        name: "the tail cut off",
        sql: &[
            "delete from leaf where index >= 9",
        ],
        first: (Place::Leaf(9), "leaf_missing"),
    },
    Tampering {
        name: "a leaf added",
        sql: &[
            "insert into leaf (index, event_id, producer, shard, position, kind, case_id, occurred_at, payload, salt, leaf_hash, heard_at)
            select 12, gen_random_uuid(), producer, shard, position, kind, case_id, occurred_at, payload, salt, leaf_hash, heard_at
            from leaf where index = 11",
            "update tree set size = 13, frontier = frontier || sha256('x')",
        ],
        first: (Place::Leaf(12), "leaf_changed"),
    },
    Tampering {
        name: "a root beside its note",
        sql: &["update checkpoint set root = sha256('x') where size = 12"],
        first: (Place::Checkpoint(12), "checkpoint_changed"),
    },
    Tampering {
        name: "a note",
        sql: &["update checkpoint set note = replace(note, E'\\n12\\n', E'\\n11\\n') where size = 12"],
        first: (Place::Checkpoint(12), "checkpoint_forged"),
    },
    Tampering {
        name: "every checkpoint gone",
        sql: &["delete from checkpoint"],
        first: (Place::Leaf(0), "leaf_unsigned"),
    },
    Tampering {
        name: "the newest checkpoint gone, and with it what the last leaves stood on",
        sql: &["delete from checkpoint where size > 10"],
        first: (Place::Leaf(10), "leaf_unsigned"),
    },
    Tampering {
        name: "the moment of hearing",
        sql: &["update leaf set heard_at = heard_at - interval '1 hour' where index = 4"],
        first: (Place::Leaf(4), "leaf_changed"),
    },
    Tampering {
        name: "a leaf that commits to less than it did",
        sql: &["update leaf set format = 1 where index = 4"],
        first: (Place::Leaf(4), "leaf_changed"),
    },
];

#[tokio::test]
async fn every_tampering_is_found_and_its_place_named() {
    for tampering in TAMPERINGS {
        let world = World::start().await;
        grown(&world, &[4, 10, 12]).await;
        let sound = world.verify().await;
        assert_eq!(sound.faults, []);
        assert_eq!((sound.leaves, sound.covered), (12, 12));

        let mut tx = world.pool.begin().await.unwrap();
        for sql in [
            "alter table leaf drop constraint leaf_index_check",
            NO_MORE_SIGNED,
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

        let report = world.verify().await;
        let first = report.faults.first().map(|fault| (fault.place, fault.code));
        assert_eq!(
            first,
            Some(tampering.first),
            "{}: {report:?}",
            tampering.name
        );
    }
}

#[tokio::test]
async fn a_forger_without_the_key_and_a_log_cut_off_whole_are_found_by_a_witness() {
    let world = World::start().await;
    let checkpoints = grown(&world, &[4, 10]).await;
    let leaves = world.leaves(0).await;

    // Signed by somebody else's key.
    let elsewhere = tempfile::tempdir().unwrap();
    let theirs = Keyring::create(&elsewhere.path().join("keyring.json")).unwrap();
    let statement = ledger::note::Statement {
        origin: "takedown.example/ledger".into(),
        size: 10,
        root: hash(&checkpoints[1].root),
    };
    let forged = v1::Checkpoint {
        note: ledger::note::sign(&statement, &theirs.signer(SigningContext::Checkpoint)).unwrap(),
        ..checkpoints[1].clone()
    };
    let mut verifier = world.verifier();
    verifier.checkpoint(&checkpoints[0]);
    verifier.checkpoint(&forged);
    for leaf in &leaves {
        verifier.leaf(leaf);
    }
    let report = verifier.finish();
    assert_eq!(report.covered, 4);
    let faults: Vec<_> = report.faults.iter().map(|f| (f.place, f.code)).collect();
    assert_eq!(
        faults,
        [
            (Place::Checkpoint(10), "checkpoint_forged"),
            (Place::Leaf(4), "leaf_unsigned")
        ]
    );

    // Another log, signed by the right key: somebody was shown a tree that this one did not grow from.
    let other = ledger::note::Statement {
        root: [3; 32],
        ..statement
    };
    let signer = world.keyring.signer(SigningContext::Checkpoint);
    let mut verifier = world.verifier();
    verifier.witness(&ledger::note::sign(&other, &signer).unwrap());
    for leaf in &leaves {
        verifier.leaf(leaf);
    }
    let faults = verifier.finish().faults;
    assert_eq!(
        (faults[0].place, faults[0].code),
        (Place::Checkpoint(10), "checkpoint_root")
    );

    // Leaves and checkpoints cut off together: only the note that a host holds tells.
    let cut = |witness: Option<&str>| {
        let mut verifier = world.verifier();
        if let Some(note) = witness {
            verifier.witness(note);
        }
        verifier.checkpoint(&checkpoints[0]);
        for leaf in &leaves[..4] {
            verifier.leaf(leaf);
        }
        verifier.finish()
    };
    assert!(cut(None).is_sound());
    let faults = cut(Some(&checkpoints[1].note)).faults;
    assert_eq!(
        (faults[0].place, faults[0].code),
        (Place::Leaf(4), "leaf_missing")
    );
}

/// What a forger who knows the format makes of a leaf that they changed.
fn rehashed(leaf: &v1::Leaf) -> Hash {
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
        &micros(&leaf.heard_at),
    ];
    let mut commitment = Sha256::new();
    for part in parts {
        commitment.update((part.len() as u64).to_be_bytes());
        commitment.update(part);
    }
    ledger::merkle::leaf_hash(&commitment.finalize())
}

#[tokio::test]
async fn a_tail_that_was_written_anew_is_not_believed_for_want_of_a_checkpoint() {
    let world = World::start().await;
    grown(&world, &[4, 10, 12]).await;
    let mut leaf = world.leaves(11).await.remove(0);
    assert_eq!(rehashed(&leaf)[..], leaf.leaf_hash[..]);
    world.execute(NO_MORE_SIGNED).await;
    leaf.payload = b"\x0a\x00".as_slice().into();
    sqlx::query("update leaf set payload = $1, leaf_hash = $2 where index = 11")
        .bind(&leaf.payload[..])
        .bind(&rehashed(&leaf)[..])
        .execute(&world.pool)
        .await
        .unwrap();
    let first = |report: &ledger::verify::Report| {
        let fault = report.faults.first().expect("a fault");
        (fault.place, fault.code)
    };
    let report = world.verify().await;
    assert_eq!(first(&report), (Place::Checkpoint(12), "checkpoint_root"));
    world
        .execute("delete from checkpoint where size > 10")
        .await;
    let report = world.verify().await;
    assert_eq!(first(&report), (Place::Leaf(10), "leaf_unsigned"));
}

#[tokio::test]
async fn what_was_verified_once_is_a_witness_against_a_log_that_was_cut_off_whole() {
    let world = World::start().await;
    let checkpoints = grown(&world, &[4, 10]).await;
    let before = world.verify().await;
    assert!(before.is_sound());
    let newest = before.newest.expect("a note that was verified");
    assert_eq!(newest, checkpoints[1].note);

    sqlx::query("update tree set size = 4, frontier = $1")
        .bind(&checkpoints[0].root[..])
        .execute(&world.pool)
        .await
        .unwrap();
    world.execute("delete from leaf where index >= 4").await;
    world.execute("delete from checkpoint where size > 4").await;
    assert!(world.verify().await.is_sound());
    let mut verifier = world.verifier();
    verifier.witness(&newest);
    let after = world.verify_with(verifier).await;
    let fault = after.faults.first().expect("a fault");
    assert_eq!((fault.place, fault.code), (Place::Leaf(4), "leaf_missing"));
}

#[tokio::test]
async fn a_position_has_one_leaf_and_one_without_a_leaf_is_named() {
    let world = World::start().await;
    grown(&world, &[4, 10]).await;
    let leaves = world.leaves(0).await;
    let of = |verifier: &mut ledger::verify::Verifier, leaf: &v1::Leaf, position| {
        let leaf = v1::Leaf {
            position,
            index: verifier.leaves(),
            ..leaf.clone()
        };
        verifier.leaf(&v1::Leaf {
            leaf_hash: rehashed(&leaf).to_vec().into(),
            ..leaf
        });
    };
    let mut verifier = world.verifier();
    for position in [1, 2, 2, 6] {
        of(&mut verifier, &leaves[0], position);
    }
    verifier.parked(&v1::ParkedPosition {
        producer: leaves[0].producer.clone(),
        shard: leaves[0].shard,
        position: 4,
    });
    let report = verifier.finish();
    let fault = report.faults.first().expect("a fault");
    assert_eq!(
        (fault.place, fault.code),
        (Place::Leaf(2), "position_repeated")
    );
    let holes: Vec<_> = report.holes.iter().map(|h| (h.first, h.last)).collect();
    assert_eq!(holes, [(3, 3), (5, 5)]);
    assert_eq!(world.verify().await.holes, []);
}

#[tokio::test]
async fn after_a_rotation_the_old_key_still_vouches_for_what_it_signed() {
    let world = World::start().await;
    world.say("dispatch", Uuid::now_v7(), None, sent()).await;
    let checkpoint = world.until_signed(1).await;
    let elsewhere = tempfile::tempdir().unwrap();
    let next = Keyring::create(&elsewhere.path().join("keyring.json")).unwrap();
    let mut keys = next.public_keys(SigningContext::Checkpoint);
    keys.extend(world.keyring.public_keys(SigningContext::Checkpoint));
    let trust = ledger::note::Trust::new("takedown.example/ledger", keys).unwrap();
    assert_eq!(trust.open(&checkpoint.note).unwrap().size, 1);
    let others = next.public_keys(SigningContext::Checkpoint);
    let trust = ledger::note::Trust::new("takedown.example/ledger", others).unwrap();
    assert_eq!(
        trust.open(&checkpoint.note),
        Err(ledger::note::NoteError::Unsigned)
    );
}
