//! The services as a member of staff reaches them: gRPC, with a session that is exchanged for short-lived tokens.
//!
//! It must not know what a request means, and must not keep a token longer than half its life.

mod authorized;
mod profile;

use std::sync::Arc;

use anyhow::{Context as _, Result};
use platform::grpc::Transport;
use platform::tls::{Role, Tls, TlsFiles};
use proto::v1::dispatch_service_client::DispatchServiceClient;
use proto::v1::intake_service_client::IntakeServiceClient;
use proto::v1::ledger_service_client::LedgerServiceClient;
use proto::v1::verification_service_client::VerificationServiceClient;
use proto::v1::{SignInRequest, Staff};
use secrecy::{ExposeSecret as _, SecretString};
use tonic::transport::Channel;

pub use authorized::Authorized;
use authorized::{Audience, Session};
pub use profile::{Addresses, Operator, Profile};

/// The role of whoever works at the command line, as their certificate names it.
const OPERATOR: &str = "operator";

/// Room for pages of cases with everything that is known of them.
const MAX_ANSWER: usize = 64 * 1024 * 1024;

/// One member of staff at the four core services. Clones share their connections and tokens.
#[derive(Clone)]
pub struct Client {
    intake: Channel,
    verification: Channel,
    dispatch: Channel,
    ledger: Channel,
    session: Arc<Session>,
}

impl Client {
    /// On this machine. Nothing is sent yet; a session that does not hold shows at the first call.
    pub fn new(addresses: &Addresses, session: SecretString) -> Result<Self> {
        Self::over(&Transport::Plain, addresses, session)
    }

    /// As a profile says: with its certificates where it names some.
    pub fn of(profile: &Profile) -> Result<Self> {
        let transport = transport(profile.tls.as_ref())?;
        Self::over(
            &transport,
            &profile.addresses,
            profile.operator.session.clone(),
        )
    }

    pub fn over(
        transport: &Transport,
        addresses: &Addresses,
        session: SecretString,
    ) -> Result<Self> {
        let verification = transport.channel("verification", &addresses.verification)?;
        Ok(Self {
            intake: transport.channel("intake", &addresses.intake)?,
            dispatch: transport.channel("dispatch", &addresses.dispatch)?,
            ledger: transport.channel("ledger", &addresses.ledger)?,
            session: Arc::new(Session::new(verification.clone(), session)),
            verification,
        })
    }

    /// Somebody else at the same services, over connections of their own kind: the channels are shared.
    #[must_use]
    pub fn with_session(&self, session: SecretString) -> Self {
        Self {
            session: Arc::new(Session::new(self.verification.clone(), session)),
            ..self.clone()
        }
    }

    /// Signs somebody in by name and password.
    pub async fn sign_in(
        &self,
        name: &str,
        password: &SecretString,
    ) -> Result<Self, tonic::Status> {
        let request = SignInRequest {
            name: name.to_owned(),
            password: password.expose_secret().to_owned(),
        };
        let signed_in = VerificationServiceClient::new(self.verification.clone())
            .sign_in(request)
            .await?
            .into_inner();
        Ok(self.with_session(signed_in.session.into()))
    }

    /// To be shown to nobody but verification.
    pub fn session(&self) -> &SecretString {
        self.session.secret()
    }

    /// Who this is, as verification knows them now.
    pub async fn staff(&self) -> Result<Staff, tonic::Status> {
        self.session.staff().await
    }

    pub fn intake(&self) -> IntakeServiceClient<Authorized> {
        IntakeServiceClient::new(self.authorized(&self.intake, Audience::Intake))
            .max_decoding_message_size(MAX_ANSWER)
    }

    pub fn verification(&self) -> VerificationServiceClient<Authorized> {
        VerificationServiceClient::new(self.authorized(&self.verification, Audience::Verification))
            .max_decoding_message_size(MAX_ANSWER)
    }

    pub fn dispatch(&self) -> DispatchServiceClient<Authorized> {
        DispatchServiceClient::new(self.authorized(&self.dispatch, Audience::Dispatch))
            .max_decoding_message_size(MAX_ANSWER)
    }

    pub fn ledger(&self) -> LedgerServiceClient<Authorized> {
        LedgerServiceClient::new(self.authorized(&self.ledger, Audience::Ledger))
            .max_decoding_message_size(MAX_ANSWER)
    }

    /// The bare channels by the service's name, for health and whatever needs no credential.
    pub fn channels(&self) -> [(&'static str, Channel); 4] {
        [
            ("intake", self.intake.clone()),
            ("verification", self.verification.clone()),
            ("dispatch", self.dispatch.clone()),
            ("ledger", self.ledger.clone()),
        ]
    }

    fn authorized(&self, channel: &Channel, audience: Audience) -> Authorized {
        Authorized::new(channel.clone(), audience, self.session.clone())
    }
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Client(<session>)")
    }
}

/// How the command line reaches the roles: as an operator, or plainly where they are on this machine without TLS.
pub fn transport(files: Option<&TlsFiles>) -> Result<Transport> {
    let Some(files) = files else {
        return Ok(Transport::Plain);
    };
    let role = Role::parse(OPERATOR).context("an operator is a role")?;
    let tls = Tls::open(files.clone(), &role)
        .context("the certificates that client.toml names cannot be used")?;
    Ok(Transport::Proven(tls))
}
