//! Calls to the owners, each with the caller's own token and an end.

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
use crate::session::{Session, Signed};
use crate::tokens::{Audience, Token};

/// Lists in one answer.
const MAX_ANSWER: usize = 16 * 1024 * 1024;

type Authorised = InterceptedService<Channel, Bearer>;

#[derive(Clone)]
pub(crate) struct Bearer(MetadataValue<Ascii>);

impl Interceptor for Bearer {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        request
            .metadata_mut()
            .insert("authorization", self.0.clone());
        platform::trace::put(request.metadata_mut());
        Ok(request)
    }
}

macro_rules! clients {
    ($($name:ident $audience:ident $client:ident;)*) => {
        impl Edge {$(
            pub(crate) async fn $name(&self, signed: &Signed) -> Result<$client<Authorised>, Problem> {
                let token = self.token(&signed.session, Audience::$audience).await?;
                Ok($client::with_interceptor(self.deps.$name.clone(), Bearer(token.header))
                    .max_decoding_message_size(MAX_ANSWER))
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
    /// Verification before anybody is signed in.
    pub(crate) fn reception(&self) -> VerificationServiceClient<Channel> {
        VerificationServiceClient::new(self.deps.verification.clone())
    }

    /// What each owner answers for alike: events that it could not apply.
    pub(crate) async fn parked(
        &self,
        signed: &Signed,
        owner: Audience,
    ) -> Result<ParkedServiceClient<Authorised>, Problem> {
        let token = self.token(&signed.session, owner).await?;
        let channel = match owner {
            Audience::Intake => &self.deps.intake,
            Audience::Verification => &self.deps.verification,
            Audience::Dispatch => &self.deps.dispatch,
            Audience::Ledger => &self.deps.ledger,
        };
        Ok(ParkedServiceClient::with_interceptor(
            channel.clone(),
            Bearer(token.header),
        ))
    }

    /// Waits for an owner's answer, but not for ever.
    pub(crate) async fn ask<T>(
        &self,
        call: impl Future<Output = Result<Response<T>, Status>>,
    ) -> Result<T, Problem> {
        match tokio::time::timeout(self.config().call(), call).await {
            Ok(answer) => Ok(answer?.into_inner()),
            Err(_) => Err(Problem::of(Kind::Unavailable)),
        }
    }

    /// A token for this audience: one that is kept, or a new one.
    pub(crate) async fn token(
        &self,
        session: &Session,
        audience: Audience,
    ) -> Result<Token, Problem> {
        if let Some(token) = self.tokens.get(session.expose(), audience) {
            return Ok(token);
        }
        let request = v1::ExchangeSessionRequest {
            session: session.expose().to_owned(),
            audience: audience.name().to_owned(),
        };
        let mut reception = self.reception();
        let answer = self.ask(reception.exchange_session(request)).await?;
        let token = Token::new(answer)?;
        self.tokens.keep(session.expose(), audience, token.clone());
        Ok(token)
    }
}
