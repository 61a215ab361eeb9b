//! The gRPC service: parses requests, reads from the store and replies. It only reads.

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
use proto::v1::get_inclusion_proof_request::Target;
use proto::v1::ledger_service_server::LedgerService;
use sqlx::{PgConnection, PgPool};
use tonic::metadata::MetadataMap;
use tonic::{Request, Response, Status};

use crate::auth;
use crate::error::Error;
use crate::gauges::GAUGES;
use crate::merkle::{Hash, proof};
use crate::store;
use crate::timeline;

/// Largest number of leaves in one message, and of checkpoints in one response.
const PAGE: usize = 500;
/// Largest encoded size of the leaves in one message, in bytes; well below the limit of clients.
const PAGE_BYTES: usize = 1024 * 1024;
/// Largest number of events in a timeline.
const MAX_TIMELINE: usize = 10_000;

/// Implements `LedgerService`.
#[derive(Clone)]
pub struct LedgerGrpc {
    pool: PgPool,
    staff: Arc<StaffTokenVerifier>,
}

impl LedgerGrpc {
    pub fn new(pool: PgPool, staff: StaffTokenVerifier) -> Self {
        Self {
            pool,
            staff: Arc::new(staff),
        }
    }

    fn authorize(&self, metadata: &MetadataMap) -> Result<(), Status> {
        Ok(auth::require_staff(&self.staff, metadata)?)
    }

    async fn inclusion(
        &self,
        request: v1::GetInclusionProofRequest,
    ) -> Result<v1::GetInclusionProofResponse, Error> {
        let target = request.target.ok_or_else(|| Invalid::missing("target"))?;
        let requested_size = number("tree_size", request.tree_size)?;
        let mut conn = self.pool.acquire().await?;
        let (index, leaf_hash) = match target {
            Target::EventId(id) => {
                let id: EventId = id.parse()?;
                let found = store::leaf::find_by_event(&mut conn, id.uuid()).await?;
                found.ok_or_else(|| Error::not_found("event"))?
            }
            Target::LeafIndex(index) => {
                let index = number("leaf_index", index)?;
                let found = store::leaf::find_by_index(&mut conn, index).await?;
                found.ok_or_else(|| Error::not_found("leaf"))?
            }
        };
        let checkpoint = if requested_size == 0 {
            store::checkpoint::newest(&mut conn).await?
        } else {
            let next = store::checkpoint::page(&mut conn, requested_size, 1)
                .await?
                .pop();
            next.filter(|checkpoint| checkpoint.size == requested_size)
        };
        let tree_size = match (requested_size, &checkpoint) {
            (0, newest) => newest.as_ref().map_or(0, |checkpoint| checkpoint.size),
            (size, _) => size,
        };
        let current_size = store::tree::read(&mut conn).await?.size();
        let plan = proof::inclusion(index, tree_size)
            .filter(|_| tree_size <= current_size)
            .ok_or_else(|| Error::tree_too_small("tree_size"))?;
        let audit_path = hashes(&mut conn, &plan).await?;
        Ok(v1::GetInclusionProofResponse {
            leaf_index: index,
            tree_size,
            leaf_hash: leaf_hash.into(),
            audit_path: to_bytes(&audit_path),
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
            return Err(Error::tree_too_small("to_size"));
        }
        let proof = hashes(&mut conn, &plan).await?;
        Ok(v1::GetConsistencyProofResponse {
            proof: to_bytes(&proof),
        })
    }
}

/// Parses a number that fits a database column.
fn number(field: &'static str, value: u64) -> Result<u64, Invalid> {
    i64::try_from(value).map(|_| value).map_err(|_| {
        Invalid::new(
            "number_too_large",
            field,
            format!(
                "`{field}` is larger than any tree; send a size or index that the ledger returned"
            ),
        )
    })
}

async fn hashes(conn: &mut PgConnection, plan: &proof::ProofPlan) -> Result<Vec<Hash>, Error> {
    let nodes: Vec<_> = plan.iter().flatten().copied().collect();
    let found = store::tree::hashes(conn, &nodes).await?;
    proof::fill(plan, |node| found.get(&node).copied())
        .ok_or_else(|| Error::bad_row("node", "rows", "a subtree has none"))
}

fn to_bytes(hashes: &[Hash]) -> Vec<bytes::Bytes> {
    hashes
        .iter()
        .map(|hash| bytes::Bytes::copy_from_slice(hash))
        .collect()
}

type LeafStream = Pin<Box<dyn Stream<Item = Result<v1::ReadLeavesResponse, Status>> + Send>>;

/// Reads leaves up to the size that the tree had when the call began.
struct LeafReader {
    pool: PgPool,
    next: u64,
    end: u64,
    /// Leaves that are read but not sent yet.
    buffer: VecDeque<v1::Leaf>,
    /// Sent with the first message; `None` afterwards.
    parked: Option<Vec<v1::ParkedPosition>>,
}

impl LeafReader {
    /// The next message, or `None` at the end.
    async fn next_message(&mut self) -> Result<Option<v1::ReadLeavesResponse>, Error> {
        if self.buffer.is_empty() {
            let mut conn = self.pool.acquire().await?;
            let page = store::leaf::page(&mut conn, self.next, self.end, PAGE as i64).await?;
            if let Some(last) = page.last() {
                self.next = last.index + 1;
            }
            self.buffer = page.into();
        }
        let mut leaves = Vec::new();
        let mut bytes = 0;
        while let Some(leaf) = self.buffer.pop_front() {
            bytes += leaf.encoded_len();
            // A leaf that exceeds the limit is sent alone.
            if bytes > PAGE_BYTES && !leaves.is_empty() {
                self.buffer.push_front(leaf);
                break;
            }
            leaves.push(leaf);
        }
        let parked = self.parked.take();
        Ok(
            (parked.is_some() || !leaves.is_empty()).then(|| v1::ReadLeavesResponse {
                leaves,
                parked: parked.unwrap_or_default(),
                tree_size: self.end,
            }),
        )
    }
}

#[tonic::async_trait]
impl LedgerService for LedgerGrpc {
    type ReadLeavesStream = LeafStream;

    async fn get_timeline(
        &self,
        request: Request<v1::GetTimelineRequest>,
    ) -> Result<Response<v1::GetTimelineResponse>, Status> {
        self.authorize(request.metadata())?;
        let case: CaseId = request.get_ref().case_id.parse().map_err(Error::from)?;
        let mut conn = self.pool.acquire().await.map_err(Error::from)?;
        // One event more than is returned shows whether there are earlier ones.
        let mut events = store::leaf::list_by_case(&mut conn, case.uuid(), MAX_TIMELINE as i64 + 1)
            .await
            .map_err(Error::from)?;
        let omitted = events.len().saturating_sub(MAX_TIMELINE);
        events.drain(..omitted);
        if events.is_empty() {
            return Err(Error::not_found("case").into());
        }
        Ok(Response::new(v1::GetTimelineResponse {
            entries: timeline::entries(&events),
            truncated: omitted > 0,
        }))
    }

    async fn get_conservation(
        &self,
        request: Request<v1::GetConservationRequest>,
    ) -> Result<Response<v1::GetConservationResponse>, Status> {
        self.authorize(request.metadata())?;
        let mut conn = self.pool.acquire().await.map_err(Error::from)?;
        let mut conservation = store::facts::conservation(&mut conn).await?;
        let now = Clock::Database.now(&mut conn).await.map_err(Error::from)?;
        let gauges = metrics::readings(&mut conn, now, GAUGES).await;
        conservation.gauges = gauges.map_err(Error::from)?;
        Ok(Response::new(conservation))
    }

    /// Public, because a checkpoint reveals nothing about events and every holder of one is a witness.
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
        self.authorize(request.metadata())?;
        Ok(Response::new(self.inclusion(request.into_inner()).await?))
    }

    async fn get_consistency_proof(
        &self,
        request: Request<v1::GetConsistencyProofRequest>,
    ) -> Result<Response<v1::GetConsistencyProofResponse>, Status> {
        self.authorize(request.metadata())?;
        Ok(Response::new(self.consistency(request.get_ref()).await?))
    }

    async fn read_leaves(
        &self,
        request: Request<v1::ReadLeavesRequest>,
    ) -> Result<Response<LeafStream>, Status> {
        self.authorize(request.metadata())?;
        let next = number("from_index", request.get_ref().from_index).map_err(Error::from)?;
        let mut conn = self.pool.acquire().await.map_err(Error::from)?;
        let end = store::tree::read(&mut conn).await?.size();
        let parked = store::leaf::parked_positions(&mut conn).await?;
        drop(conn);
        let reader = LeafReader {
            pool: self.pool.clone(),
            next,
            end,
            buffer: VecDeque::new(),
            parked: Some(parked),
        };
        let messages = stream::try_unfold(reader, |mut reader| async move {
            let message = reader.next_message().await?;
            Ok(message.map(|message| (message, reader)))
        });
        Ok(Response::new(Box::pin(messages)))
    }

    async fn list_checkpoints(
        &self,
        request: Request<v1::ListCheckpointsRequest>,
    ) -> Result<Response<v1::ListCheckpointsResponse>, Status> {
        self.authorize(request.metadata())?;
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
