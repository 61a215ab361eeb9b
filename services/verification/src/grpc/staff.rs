//! Calls about staff accounts and sessions. Signing in, signing out and exchanging a session carry their own
//! credential; all other calls need a token.

use domain::id::Subject;
use domain::wire::timestamp;
use proto::v1;
use tonic::Request;

use super::{Grpc, parse, to_proto};
use crate::error::Error;
use crate::staff::staff_name;

impl Grpc {
    pub(super) async fn sign_in(
        &self,
        request: Request<v1::SignInRequest>,
    ) -> Result<v1::SignInResponse, Error> {
        let request = request.into_inner();
        let name = staff_name(&request.name)?;
        let password = parse::secret("password", &request.password)?;
        let signed_in = self.sessions.sign_in(&name, password).await?;
        Ok(v1::SignInResponse {
            session: signed_in.session,
            staff: Some(to_proto::staff(&signed_in.member)),
            expires_at: Some(timestamp(signed_in.expires_at)),
        })
    }

    pub(super) async fn sign_out(
        &self,
        request: Request<v1::SignOutRequest>,
    ) -> Result<v1::SignOutResponse, Error> {
        let request = request.into_inner();
        let session = parse::secret("session", &request.session)?;
        self.sessions.sign_out(session).await?;
        Ok(v1::SignOutResponse {})
    }

    pub(super) async fn exchange_session(
        &self,
        request: Request<v1::ExchangeSessionRequest>,
    ) -> Result<v1::ExchangeSessionResponse, Error> {
        let request = request.into_inner();
        let session = parse::secret("session", &request.session)?;
        let exchanged = self.sessions.exchange(session, &request.audience).await?;
        Ok(v1::ExchangeSessionResponse {
            token: exchanged.token,
            expires_at: Some(timestamp(exchanged.expires_at)),
            staff: Some(to_proto::staff(&exchanged.member)),
        })
    }

    pub(super) async fn create_staff(
        &self,
        request: Request<v1::CreateStaffRequest>,
    ) -> Result<v1::CreateStaffResponse, Error> {
        let (person, request) = self.authenticate(request)?;
        let name = staff_name(&request.name)?;
        let password = parse::new_password(request.password)?;
        let roles = parse::roles(&request.roles)?;
        let member = self.sessions.create(&person, name, password, roles).await?;
        Ok(v1::CreateStaffResponse {
            staff: Some(to_proto::staff(&member)),
        })
    }

    pub(super) async fn list_staff(
        &self,
        request: Request<v1::ListStaffRequest>,
    ) -> Result<v1::ListStaffResponse, Error> {
        self.authenticate(request)?;
        let members = self.sessions.list().await?;
        Ok(v1::ListStaffResponse {
            staff: members.iter().map(to_proto::staff).collect(),
        })
    }

    pub(super) async fn revoke_staff(
        &self,
        request: Request<v1::RevokeStaffRequest>,
    ) -> Result<v1::RevokeStaffResponse, Error> {
        let (person, request) = self.authenticate(request)?;
        let subject: Subject = request.subject.parse()?;
        self.sessions.revoke(&person, subject).await?;
        Ok(v1::RevokeStaffResponse {})
    }
}
