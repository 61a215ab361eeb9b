//! The ways to the owners, and what every call to them carries: the caller's credential and a deadline.

use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use proto::v1::dispatch_service_client::DispatchServiceClient;
use proto::v1::intake_service_client::IntakeServiceClient;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tonic::Request;
use tonic::transport::Channel;

use crate::caller::Credential;
use crate::limits::Limiter;
use crate::streams::Streams;
use crate::{Config, Deps, docs};

/// What every route works with. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Edge(Arc<Inner>);

pub(crate) struct Inner {
    pub(crate) intake_channel: Channel,
    pub(crate) dispatch_channel: Channel,
    pub(crate) config: Config,
    pub(crate) by_credential: Limiter,
    pub(crate) by_address: Limiter,
    pub(crate) in_flight: Arc<Semaphore>,
    pub(crate) streams: Streams,
    /// Streams end by it; everything else is finished.
    pub(crate) shutdown: CancellationToken,
    pub(crate) docs: Arc<utoipa_swagger_ui::Config<'static>>,
    /// The OpenAPI document, rendered once.
    pub(crate) document: OnceLock<Bytes>,
}

impl std::ops::Deref for Edge {
    type Target = Inner;

    fn deref(&self) -> &Inner {
        &self.0
    }
}

impl Edge {
    pub(crate) fn new(deps: Deps, shutdown: CancellationToken) -> Self {
        let limits = &deps.config.limits;
        Self(Arc::new(Inner {
            by_credential: Limiter::new(limits.credential),
            by_address: Limiter::new(limits.address),
            in_flight: Arc::new(Semaphore::new(limits.in_flight)),
            streams: Streams::new(limits.streams, limits.streams_each),
            shutdown,
            docs: Arc::new(docs::config()),
            document: OnceLock::new(),
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

    /// A call in the name of nobody: a public one, or one whose message is the credential.
    pub(crate) fn unnamed<T>(&self, message: T) -> Request<T> {
        let mut request = Request::new(message);
        request.set_timeout(self.config.limits.call());
        platform::trace::put(request.metadata_mut());
        request
    }

    /// A call in the caller's name.
    pub(crate) fn named<T>(&self, credential: &Credential, message: T) -> Request<T> {
        let mut request = self.unnamed(message);
        request
            .metadata_mut()
            .insert("authorization", credential.header());
        request
    }
}
