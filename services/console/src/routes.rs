//! Every address of the console.

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::middleware::from_fn_with_state;
use axum::routing::{get, post};
use http::StatusCode;
use platform::error::{Kind, Problem};

use crate::edge::Edge;
use crate::pages::{
    acts, case, cases, decide, lists, overdue, parked, pipeline, providers, queue, shift, sign_in,
};
use crate::refused::Refused;
use crate::{assets, events, guard, health};

/// Forms are short.
const MAX_FORM: usize = 16 * 1024;

pub(crate) fn router(edge: Edge) -> Router {
    Router::new()
        .route("/", get(pipeline::page))
        .route("/events", get(events::pipeline))
        .route("/sign-in", get(sign_in::page).post(sign_in::enter))
        .route("/sign-out", post(sign_in::leave))
        .route("/queue", get(queue::page))
        .route("/queue/next", post(queue::claim_next))
        .route("/queue/{case}", get(decide::page))
        .route("/queue/{case}/claim", post(decide::claim))
        .route(
            "/queue/{case}/reveal",
            get(decide::once_more).post(decide::reveal),
        )
        .route("/queue/{case}/release", post(decide::release))
        .route("/queue/{case}/decide", post(decide::decide))
        .route("/overdue", get(overdue::page))
        .route("/overdue/events", get(events::overdue))
        .route("/cases", get(cases::page).post(cases::by_url))
        .route("/cases/{case}", get(case::page))
        .route("/cases/{case}/withdraw", post(acts::withdraw))
        .route("/cases/{case}/assess-again", post(acts::assess_again))
        .route("/cases/{case}/hold", post(acts::hold))
        .route("/cases/{case}/unhold", post(acts::unhold))
        .route("/cases/{case}/notices/{notice}", post(acts::supply))
        .route("/providers", get(providers::page))
        .route("/providers/{provider}", get(providers::one))
        .route("/lists", get(lists::page))
        .route("/lists/approve", post(lists::approve_list))
        .route("/rules/approve", post(lists::approve_rule))
        .route("/rules/retire", post(lists::retire_rule))
        .route("/shift", get(shift::page))
        .route("/shift/events", get(events::shift))
        .route("/parked", get(parked::page))
        .route("/assets/{digest}/{*name}", get(assets::serve))
        .route("/healthz", get(health::alive))
        .route("/readyz", get(health::ready))
        .fallback(unknown)
        .method_not_allowed_fallback(not_so)
        .layer(DefaultBodyLimit::max(MAX_FORM))
        .layer(from_fn_with_state(edge.clone(), guard::guard))
        .with_state(edge)
}

async fn unknown() -> Refused {
    Problem::new(
        Kind::NotFound,
        "page_unknown",
        "There is no page at this address; go on from the menu.",
    )
    .into()
}

async fn not_so() -> (StatusCode, Refused) {
    let problem = Problem::new(
        Kind::Invalid,
        "method_unknown",
        "Nothing can be sent to this address that way; open the page and use its forms.",
    );
    (StatusCode::METHOD_NOT_ALLOWED, problem.into())
}
