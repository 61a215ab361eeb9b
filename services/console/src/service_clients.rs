//! gRPC clients of the services. Each call carries the caller's own token and has a time limit.

use platform::error::{Kind, Problem};
use proto::v1;
use proto::v1::dispatch_service_client::DispatchServiceClient;
use proto::v1::intake_service_client::IntakeServiceClient;
use proto::v1::ledger_service_client::LedgerServiceClient;
use proto::v1::parked_service_client::ParkedServiceClient;
use proto::v1::verification_service_client::VerificationServiceClient;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::service::Interceptor;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::Channel;
use tonic::{Request, Response, Status};

use crate::edge::Edge;
use crate::session::{Session, SignedIn};
use crate::tokens::{AccessToken, Audience};

/// A response may contain a whole list, in octets.
const MAX_RESPONSE: usize = 16 * 1024 * 1024;

type AuthorizedChannel = InterceptedService<Channel, BearerToken>;

#[derive(Clone)]
pub(crate) struct BearerToken(MetadataValue<Ascii>);

impl Interceptor for BearerToken {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        request
            .metadata_mut()
            .insert("authorization", self.0.clone());
        platform::trace::inject(request.metadata_mut());
        Ok(request)
    }
}

macro_rules! clients {
    ($($name:ident $audience:ident $client:ident;)*) => {
        impl Edge {$(
            pub(crate) async fn $name(&self, signed_in: &SignedIn) -> Result<$client<AuthorizedChannel>, Problem> {
                let token = self.token(&signed_in.session, Audience::$audience).await?;
                Ok($client::with_interceptor(self.deps.$name.clone(), BearerToken(token.header))
                    .max_decoding_message_size(MAX_RESPONSE))
            }
        )*}
    };
}

clients! {
    intake Intake IntakeServiceClient;
    verification Verification VerificationServiceClient;
    dispatch Dispatch DispatchServiceClient;
    ledger Ledger LedgerServiceClient;
}

impl Edge {
    /// Verification without a token, for signing in and for exchanging a session.
    pub(crate) fn verification_without_token(&self) -> VerificationServiceClient<Channel> {
        VerificationServiceClient::new(self.deps.verification.clone())
    }

    /// The list of parked events, which every service serves.
    pub(crate) async fn parked_events(
        &self,
        signed_in: &SignedIn,
        service: Audience,
    ) -> Result<ParkedServiceClient<AuthorizedChannel>, Problem> {
        let token = self.token(&signed_in.session, service).await?;
        let channel = match service {
            Audience::Intake => &self.deps.intake,
            Audience::Verification => &self.deps.verification,
            Audience::Dispatch => &self.deps.dispatch,
            Audience::Ledger => &self.deps.ledger,
        };
        Ok(ParkedServiceClient::with_interceptor(
            channel.clone(),
            BearerToken(token.header),
        ))
    }

    /// Awaits a response, for at most the configured time.
    pub(crate) async fn call<T>(
        &self,
        call: impl Future<Output = Result<Response<T>, Status>>,
    ) -> Result<T, Problem> {
        match tokio::time::timeout(self.config().call_timeout(), call).await {
            Ok(response) => Ok(response?.into_inner()),
            Err(_) => Err(Problem::from_kind(Kind::Unavailable)),
        }
    }

    /// A token of the session for this audience: from the cache, or newly exchanged.
    pub(crate) async fn token(
        &self,
        session: &Session,
        audience: Audience,
    ) -> Result<AccessToken, Problem> {
        if let Some(token) = self.tokens.get(session.expose(), audience) {
            return Ok(token);
        }
        let request = v1::ExchangeSessionRequest {
            session: session.expose().to_owned(),
            audience: audience.name().to_owned(),
        };
        let mut client = self.verification_without_token();
        let response = match self.call(client.exchange_session(request)).await {
            Err(problem) if problem.kind == Kind::Unauthenticated => {
                self.tokens.remove_session(session.expose());
                return Err(problem);
            }
            response => response?,
        };
        let token = AccessToken::new(response)?;
        self.tokens
            .insert(session.expose(), audience, token.clone());
        Ok(token)
    }
}
