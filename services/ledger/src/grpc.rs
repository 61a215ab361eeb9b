//! The edge: parse, ask the store, reply. No SQL, and nothing is written here.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;

use domain::Invalid;
use domain::id::{CaseId, EventId};
use futures::{Stream, stream};
use platform::clock::Clock;
use platform::metrics;
use platform::sealed::StaffTokenVerifier;
use prost::Message;
use proto::v1;
use proto::v1::get_inclusion_proof_request::Of;
use proto::v1::ledger_service_server::LedgerService;
use sqlx::{PgConnection, PgPool};
use tonic::metadata::MetadataMap;
use tonic::{Request, Response, Status};

use crate::auth;
use crate::error::Error;
use crate::merkle::{Hash, proof};
use crate::signs::SIGNS;
use crate::store;
use crate::timeline;

/// Leaves of one message, and checkpoints of one answer.
const PAGE: usize = 500;
/// What the leaves of one message may weigh: well below what a client takes.
const PAGE_BYTES: usize = 1024 * 1024;
/// Events of one timeline, the newest: more does not fit an answer.
const TIMELINE: usize = 10_000;

/// The service.
#[derive(Clone)]
pub struct Ledger {
    pool: PgPool,
    staff: Arc<StaffTokenVerifier>,
}

impl Ledger {
    pub fn new(pool: PgPool, staff: StaffTokenVerifier) -> Self {
        Self {
            pool,
            staff: Arc::new(staff),
        }
    }

    fn admit(&self, metadata: &MetadataMap) -> Result<(), Status> {
        Ok(auth::staff(&self.staff, metadata)?)
    }

    async fn inclusion(
        &self,
        request: v1::GetInclusionProofRequest,
    ) -> Result<v1::GetInclusionProofResponse, Error> {
        let of = request.of.ok_or_else(|| Invalid::missing("of"))?;
        let asked = number("tree_size", request.tree_size)?;
        let mut conn = self.pool.acquire().await?;
        let (index, leaf_hash) = match of {
            Of::EventId(id) => {
                let id: EventId = id.parse()?;
                let found = store::leaf::of_event(&mut conn, id.uuid()).await?;
                found.ok_or_else(|| Error::unknown("event"))?
            }
            Of::LeafIndex(index) => {
                let index = number("leaf_index", index)?;
                let found = store::leaf::at(&mut conn, index).await?;
                found.ok_or_else(|| Error::unknown("leaf"))?
            }
        };
        let checkpoint = if asked == 0 {
            store::checkpoint::newest(&mut conn).await?
        } else {
            let next = store::checkpoint::page(&mut conn, asked, 1).await?.pop();
            next.filter(|checkpoint| checkpoint.size == asked)
        };
        let tree_size = match (asked, &checkpoint) {
            (0, newest) => newest.as_ref().map_or(0, |checkpoint| checkpoint.size),
            (asked, _) => asked,
        };
        let grown = store::tree::read(&mut conn).await?.size();
        let plan = proof::inclusion(index, tree_size)
            .filter(|_| tree_size <= grown)
            .ok_or_else(|| Error::too_early("tree_size"))?;
        let audit_path = hashes(&mut conn, &plan).await?;
        Ok(v1::GetInclusionProofResponse {
            leaf_index: index,
            tree_size,
            leaf_hash: leaf_hash.into(),
            audit_path: wire(&audit_path),
            checkpoint,
        })
    }

    async fn consistency(
        &self,
        request: &v1::GetConsistencyProofRequest,
    ) -> Result<v1::GetConsistencyProofResponse, Error> {
        let (from, to) = (
            number("from_size", request.from_size)?,
            number("to_size", request.to_size)?,
        );
        let plan = proof::consistency(from, to).ok_or_else(|| {
            Invalid::new(
                "sizes_out_of_order",
                "from_size",
                "`from_size` must be at least 1 and at most `to_size`; send the sizes of two checkpoints, the older first",
            )
        })?;
        let mut conn = self.pool.acquire().await?;
        if to > store::tree::read(&mut conn).await?.size() {
            return Err(Error::too_early("to_size"));
        }
        let proof = hashes(&mut conn, &plan).await?;
        Ok(v1::GetConsistencyProofResponse {
            proof: wire(&proof),
        })
    }
}

/// A number that the database can hold.
fn number(field: &'static str, value: u64) -> Result<u64, Invalid> {
    i64::try_from(value).map(|_| value).map_err(|_| {
        Invalid::new(
            "number_too_large",
            field,
            format!(
                "`{field}` is larger than any tree; send the size or index that you were given"
            ),
        )
    })
}

async fn hashes(conn: &mut PgConnection, plan: &proof::Plan) -> Result<Vec<Hash>, Error> {
    let nodes: Vec<_> = plan.iter().flatten().copied().collect();
    let found = store::tree::hashes(conn, &nodes).await?;
    proof::fill(plan, |node| found.get(&node).copied())
        .ok_or_else(|| Error::bad_row("node", "rows", "a subtree has none"))
}

fn wire(hashes: &[Hash]) -> Vec<bytes::Bytes> {
    hashes
        .iter()
        .map(|hash| bytes::Bytes::copy_from_slice(hash))
        .collect()
}

type Leaves = Pin<Box<dyn Stream<Item = Result<v1::ReadLeavesResponse, Status>> + Send>>;

/// A reader of leaves up to where the tree ended when it was opened.
struct Reader {
    pool: PgPool,
    next: u64,
    end: u64,
    read: VecDeque<v1::Leaf>,
    /// What the first message tells besides; `None` once it is told.
    parked: Option<Vec<v1::ParkedPosition>>,
}

impl Reader {
    /// The next message; none at the end.
    async fn message(&mut self) -> Result<Option<v1::ReadLeavesResponse>, Error> {
        if self.read.is_empty() {
            let mut conn = self.pool.acquire().await?;
            let page = store::leaf::page(&mut conn, self.next, self.end, PAGE as i64).await?;
            if let Some(last) = page.last() {
                self.next = last.index + 1;
            }
            self.read = page.into();
        }
        let mut leaves = Vec::new();
        let mut bytes = 0;
        while let Some(leaf) = self.read.pop_front() {
            bytes += leaf.encoded_len();
            // A leaf that is heavier than a message should be still goes, alone.
            if bytes > PAGE_BYTES && !leaves.is_empty() {
                self.read.push_front(leaf);
                break;
            }
            leaves.push(leaf);
        }
        let first = self.parked.take();
        Ok(
            (first.is_some() || !leaves.is_empty()).then(|| v1::ReadLeavesResponse {
                leaves,
                parked: first.unwrap_or_default(),
                tree_size: self.end,
            }),
        )
    }
}

#[tonic::async_trait]
impl LedgerService for Ledger {
    type ReadLeavesStream = Leaves;

    async fn get_timeline(
        &self,
        request: Request<v1::GetTimelineRequest>,
    ) -> Result<Response<v1::GetTimelineResponse>, Status> {
        self.admit(request.metadata())?;
        let case: CaseId = request.get_ref().case_id.parse().map_err(Error::from)?;
        let mut conn = self.pool.acquire().await.map_err(Error::from)?;
        // One more than is shown, to know whether there are others.
        let mut told = store::leaf::of_case(&mut conn, case.uuid(), TIMELINE as i64 + 1)
            .await
            .map_err(Error::from)?;
        let before = told.len().saturating_sub(TIMELINE);
        told.drain(..before);
        if told.is_empty() {
            return Err(Error::unknown("case").into());
        }
        Ok(Response::new(v1::GetTimelineResponse {
            entries: timeline::of(&told),
            truncated: before > 0,
        }))
    }

    async fn get_conservation(
        &self,
        request: Request<v1::GetConservationRequest>,
    ) -> Result<Response<v1::GetConservationResponse>, Status> {
        self.admit(request.metadata())?;
        let mut conn = self.pool.acquire().await.map_err(Error::from)?;
        let mut conservation = store::facts::conservation(&mut conn).await?;
        let now = Clock::Database.now(&mut conn).await.map_err(Error::from)?;
        let signs = metrics::signs(&mut conn, now, SIGNS).await;
        conservation.signs = signs.map_err(Error::from)?;
        Ok(Response::new(conservation))
    }

    /// Public: whoever holds a checkpoint is a witness, and it tells nothing else.
    async fn latest_checkpoint(
        &self,
        _: Request<v1::LatestCheckpointRequest>,
    ) -> Result<Response<v1::LatestCheckpointResponse>, Status> {
        let mut conn = self.pool.acquire().await.map_err(Error::from)?;
        let checkpoint = store::checkpoint::newest(&mut conn).await?;
        Ok(Response::new(v1::LatestCheckpointResponse { checkpoint }))
    }

    async fn get_inclusion_proof(
        &self,
        request: Request<v1::GetInclusionProofRequest>,
    ) -> Result<Response<v1::GetInclusionProofResponse>, Status> {
        self.admit(request.metadata())?;
        Ok(Response::new(self.inclusion(request.into_inner()).await?))
    }

    async fn get_consistency_proof(
        &self,
        request: Request<v1::GetConsistencyProofRequest>,
    ) -> Result<Response<v1::GetConsistencyProofResponse>, Status> {
        self.admit(request.metadata())?;
        Ok(Response::new(self.consistency(request.get_ref()).await?))
    }

    async fn read_leaves(
        &self,
        request: Request<v1::ReadLeavesRequest>,
    ) -> Result<Response<Leaves>, Status> {
        self.admit(request.metadata())?;
        let next = number("from_index", request.get_ref().from_index).map_err(Error::from)?;
        let mut conn = self.pool.acquire().await.map_err(Error::from)?;
        let end = store::tree::read(&mut conn).await?.size();
        let parked = store::leaf::parked(&mut conn).await?;
        drop(conn);
        let reader = Reader {
            pool: self.pool.clone(),
            next,
            end,
            read: VecDeque::new(),
            parked: Some(parked),
        };
        let messages = stream::try_unfold(reader, |mut reader| async move {
            let message = reader.message().await?;
            Ok(message.map(|message| (message, reader)))
        });
        Ok(Response::new(Box::pin(messages)))
    }

    async fn list_checkpoints(
        &self,
        request: Request<v1::ListCheckpointsRequest>,
    ) -> Result<Response<v1::ListCheckpointsResponse>, Status> {
        self.admit(request.metadata())?;
        let from = number("from_size", request.get_ref().from_size).map_err(Error::from)?;
        let mut conn = self.pool.acquire().await.map_err(Error::from)?;
        let mut checkpoints = store::checkpoint::page(&mut conn, from, PAGE as i64 + 1).await?;
        let next_size = match checkpoints.len() {
            more if more > PAGE => checkpoints.pop().map_or(0, |next| next.size),
            _ => 0,
        };
        Ok(Response::new(v1::ListCheckpointsResponse {
            checkpoints,
            next_size,
        }))
    }
}
