//! Calls that withdraw a verdict, have a case assessed again, or place and release a police hold.

use domain::id::CaseId;
use domain::wire::required_time;
use proto::v1;
use tonic::Request;

use super::{Grpc, parse, transact};
use crate::commands::{police_hold, withdraw};
use crate::error::Error;

impl Grpc {
    pub(super) async fn withdraw_verdict(
        &self,
        request: Request<v1::WithdrawVerdictRequest>,
    ) -> Result<v1::WithdrawVerdictResponse, Error> {
        let (person, request) = self.authenticate(request)?;
        let id: CaseId = request.case_id.parse()?;
        let reason = parse::reason(&request.reason)?;
        let case = transact!(self, |conn, now| withdraw::withdraw(
            conn,
            &self.context,
            &person,
            now,
            &withdraw::WithdrawalRequest {
                case: id,
                reason: &reason,
                assess_again: request.assess_again,
            }
        ))?;
        self.appended.notify();
        Ok(v1::WithdrawVerdictResponse {
            assessment: self.assessment(case).await?,
        })
    }

    pub(super) async fn assess_again(
        &self,
        request: Request<v1::AssessAgainRequest>,
    ) -> Result<v1::AssessAgainResponse, Error> {
        let (person, request) = self.authenticate(request)?;
        let id: CaseId = request.case_id.parse()?;
        let reason = parse::reason(&request.reason)?;
        let case = transact!(self, |conn, now| withdraw::assess_again(
            conn,
            &self.context,
            &person,
            now,
            id,
            &reason
        ))?;
        Ok(v1::AssessAgainResponse {
            assessment: self.assessment(case).await?,
        })
    }

    pub(super) async fn hold_case(
        &self,
        request: Request<v1::HoldCaseRequest>,
    ) -> Result<v1::HoldCaseResponse, Error> {
        let (person, request) = self.authenticate(request)?;
        let id: CaseId = request.case_id.parse()?;
        let reason = parse::reason(&request.reason)?;
        let until = required_time("until", request.until.as_ref())?;
        // Rounded to the precision of Postgres, so that a repeated request names the same time.
        let until = until
            .replace_nanosecond(until.nanosecond() / 1000 * 1000)
            .unwrap_or(until);
        let case = transact!(self, |conn, now| police_hold::police_hold(
            conn,
            &self.context,
            &person,
            now,
            id,
            &reason,
            until
        ))?;
        self.appended.notify();
        Ok(v1::HoldCaseResponse {
            assessment: self.assessment(case).await?,
        })
    }

    pub(super) async fn release_hold(
        &self,
        request: Request<v1::ReleaseHoldRequest>,
    ) -> Result<v1::ReleaseHoldResponse, Error> {
        let (person, request) = self.authenticate(request)?;
        let id: CaseId = request.case_id.parse()?;
        let case = transact!(self, |conn, now| police_hold::release(
            conn,
            &self.context,
            &person,
            now,
            id
        ))?;
        self.appended.notify();
        Ok(v1::ReleaseHoldResponse {
            assessment: self.assessment(case).await?,
        })
    }
}
