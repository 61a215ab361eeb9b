//! Queries the services for the dashboard. Every member of staff may read it.

use std::sync::Arc;

use platform::error::{Kind, Problem};
use proto::v1;

use crate::dashboard::{Dashboard, ServicePart};
use crate::edge::Edge;
use crate::page_error::PageError;
use crate::session::SignedIn;

/// The present dashboard, at most one refresh interval old.
pub(crate) async fn read(edge: &Edge, signed_in: &SignedIn) -> Result<Arc<Dashboard>, PageError> {
    let interval = edge.config().refresh_interval();
    // Boxed because the futures of four calls are large.
    let query = Box::pin(query(edge, signed_in));
    edge.dashboard.read(interval, query).await
}

/// Queries all services at once.
async fn query(edge: &Edge, signed_in: &SignedIn) -> Result<Dashboard, PageError> {
    let (intake, verification, dispatch, ledger) = futures::join!(
        async {
            let mut client = edge.intake(signed_in).await?;
            let request = v1::GetIntakeCountsRequest {};
            edge.call(client.get_intake_counts(request)).await
        },
        async {
            let mut client = edge.verification(signed_in).await?;
            let request = v1::GetVerificationCountsRequest {};
            edge.call(client.get_verification_counts(request)).await
        },
        async {
            let mut client = edge.dispatch(signed_in).await?;
            let request = v1::GetDispatchCountsRequest {};
            edge.call(client.get_dispatch_counts(request)).await
        },
        async {
            let mut client = edge.ledger(signed_in).await?;
            let request = v1::GetConservationRequest {};
            edge.call(client.get_conservation(request)).await
        },
    );
    Ok(Dashboard {
        intake: service_part(intake)?,
        verification: service_part(verification)?,
        dispatch: service_part(dispatch)?,
        ledger: service_part(ledger)?,
        gap: None,
        consumers: Vec::new(),
        read_at: platform::clock::wall(),
    })
}

/// A failed call is a missing part of the page, unless the session is no longer valid: then nothing is shown.
///
/// # Errors
///
/// The session is not valid.
pub(crate) fn service_part<T>(response: Result<T, Problem>) -> Result<ServicePart<T>, PageError> {
    match response {
        Err(problem) if problem.kind == Kind::Unauthenticated => Err(problem.into()),
        part => Ok(part),
    }
}
