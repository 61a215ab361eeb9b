//! Calls about a case whatever stands of it: a verdict taken back, an assessment begun anew, police holds.

use domain::id::CaseId;
use domain::wire::required_time;
use proto::v1;
use tonic::Request;

use super::{Grpc, parse, transact};
use crate::commands::{hold, withdraw};
use crate::error::Error;

impl Grpc {
    pub(super) async fn withdraw_verdict(
        &self,
        request: Request<v1::WithdrawVerdictRequest>,
    ) -> Result<v1::WithdrawVerdictResponse, Error> {
        let (person, request) = self.admit(request)?;
        let id: CaseId = request.case_id.parse()?;
        let reason = parse::reason(&request.reason)?;
        let case = transact!(self, |conn, now| withdraw::withdraw(
            conn,
            &self.means,
            &person,
            now,
            &withdraw::Asked {
                case: id,
                reason: &reason,
                again: request.assess_again,
            }
        ))?;
        self.appended.ring();
        Ok(v1::WithdrawVerdictResponse {
            assessment: self.shown_one(case).await?,
        })
    }

    pub(super) async fn assess_again(
        &self,
        request: Request<v1::AssessAgainRequest>,
    ) -> Result<v1::AssessAgainResponse, Error> {
        let (person, request) = self.admit(request)?;
        let id: CaseId = request.case_id.parse()?;
        let reason = parse::reason(&request.reason)?;
        let case = transact!(self, |conn, now| withdraw::assess_again(
            conn,
            &self.means,
            &person,
            now,
            id,
            &reason
        ))?;
        Ok(v1::AssessAgainResponse {
            assessment: self.shown_one(case).await?,
        })
    }

    pub(super) async fn hold_case(
        &self,
        request: Request<v1::HoldCaseRequest>,
    ) -> Result<v1::HoldCaseResponse, Error> {
        let (person, request) = self.admit(request)?;
        let id: CaseId = request.case_id.parse()?;
        let reason = parse::reason(&request.reason)?;
        let until = required_time("until", request.until.as_ref())?;
        // What Postgres keeps, so that a repeated request names the same moment.
        let until = until
            .replace_nanosecond(until.nanosecond() / 1000 * 1000)
            .unwrap_or(until);
        let case = transact!(self, |conn, now| hold::hold(
            conn,
            &self.means,
            &person,
            now,
            id,
            &reason,
            until
        ))?;
        self.appended.ring();
        Ok(v1::HoldCaseResponse {
            assessment: self.shown_one(case).await?,
        })
    }

    pub(super) async fn release_hold(
        &self,
        request: Request<v1::ReleaseHoldRequest>,
    ) -> Result<v1::ReleaseHoldResponse, Error> {
        let (person, request) = self.admit(request)?;
        let id: CaseId = request.case_id.parse()?;
        let case = transact!(self, |conn, now| hold::release(
            conn,
            &self.means,
            &person,
            now,
            id
        ))?;
        self.appended.ring();
        Ok(v1::ReleaseHoldResponse {
            assessment: self.shown_one(case).await?,
        })
    }
}
