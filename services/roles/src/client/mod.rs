//! gRPC clients of the services for a member of staff, whose session is exchanged for short-lived tokens.

mod authorized;
mod profile;

use std::sync::Arc;

use anyhow::{Context as _, Result};
use platform::grpc::Transport;
use platform::tls::{ServiceRole, Tls, TlsFiles};
use proto::v1::dispatch_service_client::DispatchServiceClient;
use proto::v1::intake_service_client::IntakeServiceClient;
use proto::v1::ledger_service_client::LedgerServiceClient;
use proto::v1::verification_service_client::VerificationServiceClient;
use proto::v1::{SignInRequest, Staff};
use secrecy::{ExposeSecret as _, SecretString};
use tonic::transport::Channel;

pub use authorized::Authorized;
use authorized::{Audience, StaffSession};
pub use profile::{Addresses, Operator, Profile};

/// The role of the command line in certificates.
const OPERATOR: &str = "operator";

/// Limit of a response, in bytes: enough for a page of cases with all details.
const MAX_RESPONSE: usize = 64 * 1024 * 1024;

/// Clients of the four core services for one member of staff. Clones share connections and tokens.
#[derive(Clone)]
pub struct Client {
    intake: Channel,
    verification: Channel,
    dispatch: Channel,
    ledger: Channel,
    session: Arc<StaffSession>,
}

impl Client {
    /// Connects without TLS, on this machine. Sends nothing yet; an invalid session is refused at the first
    /// call.
    pub fn new(addresses: &Addresses, session: SecretString) -> Result<Self> {
        Self::over(&Transport::Plaintext, addresses, session)
    }

    /// Connects with the addresses, session and, if given, certificates of a profile.
    pub fn from_profile(profile: &Profile) -> Result<Self> {
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
            session: Arc::new(StaffSession::new(verification.clone(), session)),
            verification,
        })
    }

    /// A client for another person, over the same channels.
    #[must_use]
    pub fn with_session(&self, session: SecretString) -> Self {
        Self {
            session: Arc::new(StaffSession::new(self.verification.clone(), session)),
            ..self.clone()
        }
    }

    /// Signs a person in by name and password.
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

    /// The session's secret. Send it only to verification.
    pub fn session(&self) -> &SecretString {
        self.session.secret()
    }

    /// The signed-in person's current account.
    pub async fn staff(&self) -> Result<Staff, tonic::Status> {
        self.session.staff().await
    }

    pub fn intake(&self) -> IntakeServiceClient<Authorized> {
        IntakeServiceClient::new(self.authorized(&self.intake, Audience::Intake))
            .max_decoding_message_size(MAX_RESPONSE)
    }

    pub fn verification(&self) -> VerificationServiceClient<Authorized> {
        VerificationServiceClient::new(self.authorized(&self.verification, Audience::Verification))
            .max_decoding_message_size(MAX_RESPONSE)
    }

    pub fn dispatch(&self) -> DispatchServiceClient<Authorized> {
        DispatchServiceClient::new(self.authorized(&self.dispatch, Audience::Dispatch))
            .max_decoding_message_size(MAX_RESPONSE)
    }

    pub fn ledger(&self) -> LedgerServiceClient<Authorized> {
        LedgerServiceClient::new(self.authorized(&self.ledger, Audience::Ledger))
            .max_decoding_message_size(MAX_RESPONSE)
    }

    /// The channels by service name, for health checks and calls without a credential.
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

/// The command line's transport: with the operator's certificate, or without TLS on this machine.
pub fn transport(files: Option<&TlsFiles>) -> Result<Transport> {
    let Some(files) = files else {
        return Ok(Transport::Plaintext);
    };
    let role = ServiceRole::parse(OPERATOR).context("an operator is a role")?;
    let tls = Tls::open(files.clone(), &role)
        .context("the certificates in client.toml cannot be used")?;
    Ok(Transport::MutualTls(tls))
}
