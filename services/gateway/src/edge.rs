//! Clients of intake and dispatch. Every call carries the caller's credential, if there is one, and a
//! timeout.

use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use proto::v1::dispatch_service_client::DispatchServiceClient;
use proto::v1::intake_service_client::IntakeServiceClient;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tonic::Request;
use tonic::transport::Channel;

use crate::caller::Credential;
use crate::rate_limiter::RateLimiter;
use crate::stream_slots::StreamSlots;
use crate::{Config, Deps};

/// Shared by all routes. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Edge(Arc<EdgeState>);

pub(crate) struct EdgeState {
    pub(crate) intake_channel: Channel,
    pub(crate) dispatch_channel: Channel,
    pub(crate) config: Config,
    pub(crate) credential_limiter: RateLimiter,
    pub(crate) address_limiter: RateLimiter,
    pub(crate) in_flight: Arc<Semaphore>,
    pub(crate) stream_slots: StreamSlots,
    /// Ends event streams; other requests are finished.
    pub(crate) shutdown: CancellationToken,
    /// The OpenAPI document, rendered on first use.
    pub(crate) openapi_json: OnceLock<Bytes>,
}

impl std::ops::Deref for Edge {
    type Target = EdgeState;

    fn deref(&self) -> &EdgeState {
        &self.0
    }
}

impl Edge {
    pub(crate) fn new(deps: Deps, shutdown: CancellationToken) -> Self {
        let limits = &deps.config.limits;
        Self(Arc::new(EdgeState {
            credential_limiter: RateLimiter::new(limits.credential),
            address_limiter: RateLimiter::new(limits.address),
            in_flight: Arc::new(Semaphore::new(limits.in_flight)),
            stream_slots: StreamSlots::new(limits.streams, limits.streams_per_credential),
            shutdown,
            openapi_json: OnceLock::new(),
            intake_channel: deps.intake,
            dispatch_channel: deps.dispatch,
            config: deps.config,
        }))
    }

    pub(crate) fn intake(&self) -> IntakeServiceClient<Channel> {
        IntakeServiceClient::new(self.intake_channel.clone())
            .max_decoding_message_size(platform::grpc::MAX_MESSAGE)
    }

    pub(crate) fn dispatch(&self) -> DispatchServiceClient<Channel> {
        DispatchServiceClient::new(self.dispatch_channel.clone())
            .max_decoding_message_size(platform::grpc::MAX_MESSAGE)
    }

    /// A call without the caller's credential: a public one, or one whose message contains the credential.
    pub(crate) fn anonymous_request<T>(&self, message: T) -> Request<T> {
        let mut request = Request::new(message);
        request.set_timeout(self.config.limits.request_timeout());
        platform::trace::inject(request.metadata_mut());
        request
    }

    /// A call with the caller's credential.
    pub(crate) fn authenticated_request<T>(
        &self,
        credential: &Credential,
        message: T,
    ) -> Request<T> {
        let mut request = self.anonymous_request(message);
        request
            .metadata_mut()
            .insert("authorization", credential.header());
        request
    }
}
