//! Every address of the console.

use axum::Router;
use axum::extract::{DefaultBodyLimit, State};
use axum::middleware::from_fn_with_state;
use axum::routing::{get, post};
use http::StatusCode;
use platform::error::Kind;

use crate::edge::Edge;
use crate::page_error::PageError;
use crate::pages::{
    case, case_actions, cases, decide, lists, overdue, parked, pipeline, providers, queue, shift,
    sign_in,
};
use crate::{assets, middleware, page_updates};

/// In octets. Forms are short.
const MAX_FORM: usize = 16 * 1024;

/// An address that a form is sent to can be loaded: the page of a refused form has it in a browser without scripts. It
/// leads to the page of the form.
pub(crate) fn router(edge: Edge) -> Router {
    Router::new()
        .route("/", get(pipeline::page))
        .route("/events", get(page_updates::pipeline))
        .route("/sign-in", get(sign_in::page).post(sign_in::sign_in))
        .route("/sign-out", post(sign_in::sign_out))
        .route("/queue", get(queue::page))
        .route("/queue/next", get(queue::redirect).post(queue::claim_next))
        .route("/queue/{case}", get(decide::page))
        .route(
            "/queue/{case}/claim",
            get(decide::redirect).post(decide::claim),
        )
        .route(
            "/queue/{case}/reveal",
            get(decide::redirect).post(decide::reveal),
        )
        .route(
            "/queue/{case}/release",
            get(decide::redirect).post(decide::release),
        )
        .route(
            "/queue/{case}/police-hold",
            get(decide::redirect).post(decide::put_on_police_hold),
        )
        .route(
            "/queue/{case}/decide",
            get(decide::redirect).post(decide::decide),
        )
        .route("/overdue", get(overdue::page))
        .route("/overdue/events", get(page_updates::overdue))
        .route("/cases", get(cases::page).post(cases::find_by_url))
        .route("/cases/{case}", get(case::page))
        .route(
            "/cases/{case}/withdraw",
            get(case::redirect).post(case_actions::withdraw_verdict),
        )
        .route(
            "/cases/{case}/assess-again",
            get(case::redirect).post(case_actions::assess_again),
        )
        .route(
            "/cases/{case}/police-hold",
            get(case::redirect).post(case_actions::put_on_police_hold),
        )
        .route(
            "/cases/{case}/lift-hold",
            get(case::redirect).post(case_actions::lift_police_hold),
        )
        .route(
            "/cases/{case}/notices/{notice}",
            get(case::redirect_from_notice).post(case_actions::answer_provider),
        )
        .route("/providers", get(providers::page))
        .route("/providers/{provider}", get(providers::provider_page))
        .route("/lists", get(lists::page))
        .route(
            "/lists/approve",
            get(lists::redirect).post(lists::approve_list),
        )
        .route(
            "/rules/approve",
            get(lists::redirect).post(lists::approve_rule),
        )
        .route(
            "/rules/retire",
            get(lists::redirect).post(lists::retire_rule),
        )
        .route("/shift", get(shift::page))
        .route("/shift/events", get(page_updates::shift))
        .route("/parked", get(parked::page))
        .route("/assets/{hash}/{*name}", get(assets::serve))
        .route("/healthz", get(is_alive))
        .route("/readyz", get(is_ready))
        .fallback(unknown_page)
        .method_not_allowed_fallback(unknown_method)
        .layer(DefaultBodyLimit::max(MAX_FORM))
        .layer(from_fn_with_state(edge.clone(), middleware::handle))
        .with_state(edge)
}

async fn unknown_page() -> PageError {
    PageError::new(Kind::NotFound, "page_unknown")
}

async fn unknown_method() -> (StatusCode, PageError) {
    let error = PageError::new(Kind::Invalid, "method_unknown");
    (StatusCode::METHOD_NOT_ALLOWED, error)
}

async fn is_alive() -> &'static str {
    "ok\n"
}

/// Without verification no page can be shown: every page needs a signed-in member of staff.
async fn is_ready(State(edge): State<Edge>) -> (StatusCode, &'static str) {
    if platform::grpc::is_ready(edge.deps.verification.clone()).await {
        return (StatusCode::OK, "ok\n");
    }
    (
        StatusCode::SERVICE_UNAVAILABLE,
        "verification does not respond: staff cannot sign in\n",
    )
}
