//! The routes, and the OpenAPI document generated from the same list.

use axum::Router;
use axum::extract::State;
use axum::middleware::from_fn_with_state;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::StatusCode;
use http::header::CONTENT_TYPE;
use platform::error::{Kind, Problem};
use serde_json::{Value, json};
use tower_http::catch_panic::CatchPanicLayer;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::{Modify, OpenApi};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::edge::Edge;
use crate::input::NoQuery;
use crate::middleware;
use crate::problem::{CommonProblems, ProblemResponse};
use crate::{docs, health, jwks, notice_page, provider, reports};

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Takedown notices",
        description = "For hosting providers: read the notices that the hotline sent you, answer them, and choose how they are delivered. \
            For partners and the public: submit reports and read their outcome. Errors are problem documents (RFC 9457); \
            programs use `code`. Every response has `RateLimit` and `RateLimit-Policy`, except those of `/healthz` and `/readyz`, which are not limited.",
        license(name = "Apache-2.0", identifier = "Apache-2.0")
    ),
    servers((url = "/", description = "The gateway that serves this document")),
    tags(
        (name = "notices", description = "Notices, and your answers to them"),
        (name = "preferences", description = "How notices are delivered to you"),
        (name = "webhooks", description = "Webhook endpoints, and the log of deliveries"),
        (name = "access", description = "Your keys for this API"),
        (name = "keys", description = "The public keys of notice signatures"),
        (name = "mail", description = "The page behind the link in a notice mail"),
        (name = "reports", description = "Submitting reports, and their outcome"),
        (name = "operation", description = "Health checks and documentation")
    ),
    modifiers(&SecuritySchemes)
)]
struct ApiDocument;

struct SecuritySchemes;

impl Modify for SecuritySchemes {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        let components = document.components.get_or_insert_default();
        for (name, description) in [
            (
                "provider_key",
                "A provider's key, `tdh_…`, with the scopes read, answer or settings.",
            ),
            ("partner_key", "A partner's key, `tdp_…`."),
        ] {
            let scheme = HttpBuilder::new()
                .scheme(HttpAuthScheme::Bearer)
                .description(Some(description))
                .build();
            components.add_security_scheme(name, SecurityScheme::Http(scheme));
        }
    }
}

/// The OpenAPI 3.1 document of every route.
pub fn openapi() -> utoipa::openapi::OpenApi {
    documented().into_openapi()
}

/// The router with all routes and the middleware.
pub(crate) fn router(edge: Edge) -> Router {
    let (router, _) = documented().split_for_parts();
    router
        .fallback(unknown_route)
        .method_not_allowed_fallback(method_not_allowed)
        .layer(CatchPanicLayer::custom(middleware::panic_response))
        .layer(from_fn_with_state(edge.clone(), middleware::apply))
        .with_state(edge)
}

fn documented() -> OpenApiRouter<Edge> {
    OpenApiRouter::with_openapi(ApiDocument::openapi())
        .routes(routes!(provider::notices::list))
        .routes(routes!(provider::notices::read))
        .routes(routes!(provider::answers::answer))
        .routes(routes!(provider::answers::answer_batch))
        .routes(routes!(provider::verify::verify))
        .routes(routes!(
            provider::preferences::read,
            provider::preferences::write
        ))
        .routes(routes!(provider::events::follow))
        .routes(routes!(
            provider::webhooks::list,
            provider::webhooks::create
        ))
        .routes(routes!(provider::webhooks::delete))
        .routes(routes!(provider::webhooks::rotate))
        .routes(routes!(provider::webhooks::test))
        .routes(routes!(provider::deliveries::list))
        .routes(routes!(provider::deliveries::redeliver))
        .routes(routes!(provider::keys::list, provider::keys::create))
        .routes(routes!(provider::keys::rotate))
        .routes(routes!(provider::keys::revoke))
        .routes(routes!(jwks::signing_keys))
        .routes(routes!(notice_page::show, notice_page::answer))
        .routes(routes!(notice_page::style))
        .routes(routes!(reports::submit::submit))
        .routes(routes!(reports::outcome::read))
        .routes(routes!(reports::outcome::withdraw))
        .routes(routes!(openapi_document))
        .routes(routes!(docs::index))
        .routes(routes!(docs::file))
        .routes(routes!(health::alive))
        .routes(routes!(health::ready))
}

/// This document.
#[utoipa::path(get, path = "/openapi.json", operation_id = "openapi", tag = "operation", security(()), responses((status = 200, description = "OpenAPI 3.1.", body = serde_json::Value), CommonProblems))]
async fn openapi_document(
    State(edge): State<Edge>,
    _: NoQuery,
) -> Result<Response, ProblemResponse> {
    let body = if let Some(body) = edge.openapi_json.get() {
        body.clone()
    } else {
        let body = render_openapi(&edge.config.public_base)?;
        edge.openapi_json.get_or_init(|| body).clone()
    };
    Ok(([(CONTENT_TYPE, "application/json")], body).into_response())
}

/// The document as JSON, with the public base URL, and with the rules that the schema attributes cannot
/// express.
fn render_openapi(public_base: &str) -> Result<Bytes, Problem> {
    let mut document = openapi();
    for server in document.servers.iter_mut().flatten() {
        public_base.clone_into(&mut server.url);
    }
    let internal = |_| Problem::from_kind(Kind::Internal);
    let mut document = serde_json::to_value(&document).map_err(internal)?;
    for (schema, property, value, required) in REQUIRED_WITH {
        let rules = &mut document["components"]["schemas"][schema]["allOf"];
        let rule = json!({
            "if": { "properties": { property: { "const": value } } },
            "then": { "required": [required], "properties": { required: { "type": "string", "minLength": 1 } } },
        });
        match rules {
            Value::Array(rules) => rules.push(rule),
            absent => *absent = json!([rule]),
        }
    }
    for (schema, list) in PARTIAL_LISTS {
        let items = &mut document["components"]["schemas"][schema]["properties"][list]["items"];
        *items = json!({
            "anyOf": [items.take(), { "description": "An invalid element does not affect the others: its result is a problem." }],
        });
    }
    serde_json::to_vec(&document)
        .map(Bytes::from)
        .map_err(internal)
}

/// Schema and property of the lists whose elements are validated one by one: an invalid element has a result
/// of its own and does not make the request fail.
const PARTIAL_LISTS: [(&str, &str); 2] =
    [("AnswerBatch", "answers"), ("SubmissionBody", "reports")];

/// Properties that are required with a certain value of another property: schema, property, value, and the
/// required property.
const REQUIRED_WITH: [(&str, &str, &str, &str); 4] = [
    ("AnswerBody", "answer", "need_time", "until"),
    ("AnswerItem", "answer", "need_time", "until"),
    ("PreferencesUpdate", "channel", "webhook", "webhook_url"),
    ("PreferencesUpdate", "channel", "email", "abuse_contact"),
];

async fn unknown_route() -> ProblemResponse {
    Problem::new(
        Kind::NotFound,
        "route_unknown",
        "There is no route with this path; /openapi.json lists the routes.",
    )
    .into()
}

/// The router adds `Allow`.
async fn method_not_allowed() -> ProblemResponse {
    ProblemResponse::with_status(
        StatusCode::METHOD_NOT_ALLOWED,
        "method_not_allowed",
        "This method is not allowed here; the Allow header lists the methods that are.",
    )
}
