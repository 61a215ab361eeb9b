//! Which path leads where, and the document that says so. Every route stands in both, for they are made together.

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
use crate::guard::{guard, panicked};
use crate::input::NoQuery;
use crate::problem::{Always, Refused};
use crate::{docs, health, keys, page, provider, reports};

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Takedown notices",
        description = "For hosting providers: read the notices that the hotline sent you, answer them, choose how they reach you. \
            For partners and the public: report, and ask what became of a report. Errors are problem documents (RFC 9457); \
            programs go by `code`. Every answer carries `RateLimit` and `RateLimit-Policy`, but for those of `/healthz` and `/readyz`, which are not limited.",
        license(name = "Apache-2.0", identifier = "Apache-2.0")
    ),
    servers((url = "/", description = "Where this document was served")),
    tags(
        (name = "notices", description = "What was sent to you, and your answers"),
        (name = "preferences", description = "How notices reach you"),
        (name = "webhooks", description = "Endpoints, and what was sent to you"),
        (name = "access", description = "Your keys for this API"),
        (name = "keys", description = "What notices are signed with"),
        (name = "mail", description = "The page behind the link in a mail"),
        (name = "reports", description = "Reporting, and what became of a report"),
        (name = "operation", description = "For whoever runs the gateway")
    ),
    modifiers(&Schemes)
)]
struct Document;

struct Schemes;

impl Modify for Schemes {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        let components = document.components.get_or_insert_default();
        for (name, says) in [
            (
                "provider_key",
                "A provider's key, `tdh_…`, with the scopes read, answer or settings.",
            ),
            ("partner_key", "A partner's key, `tdp_…`."),
        ] {
            let scheme = HttpBuilder::new()
                .scheme(HttpAuthScheme::Bearer)
                .description(Some(says))
                .build();
            components.add_security_scheme(name, SecurityScheme::Http(scheme));
        }
    }
}

/// The OpenAPI 3.1 document of every route.
pub fn openapi() -> utoipa::openapi::OpenApi {
    documented().into_openapi()
}

/// Everything that the server answers.
pub(crate) fn router(edge: Edge) -> Router {
    let (router, _) = documented().split_for_parts();
    router
        .fallback(unknown)
        .method_not_allowed_fallback(wrong_method)
        .layer(CatchPanicLayer::custom(panicked))
        .layer(from_fn_with_state(edge.clone(), guard))
        .with_state(edge)
}

fn documented() -> OpenApiRouter<Edge> {
    OpenApiRouter::with_openapi(Document::openapi())
        .routes(routes!(provider::notices::list))
        .routes(routes!(provider::notices::read))
        .routes(routes!(provider::answers::answer))
        .routes(routes!(provider::answers::answer_many))
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
        .routes(routes!(keys::signing_keys))
        .routes(routes!(page::show, page::answer))
        .routes(routes!(page::style))
        .routes(routes!(reports::submit::submit))
        .routes(routes!(reports::outcome::read))
        .routes(routes!(reports::outcome::withdraw))
        .routes(routes!(described))
        .routes(routes!(docs::index))
        .routes(routes!(docs::file))
        .routes(routes!(health::alive))
        .routes(routes!(health::ready))
}

/// This document.
#[utoipa::path(get, path = "/openapi.json", operation_id = "openapi", tag = "operation", security(()), responses((status = 200, description = "OpenAPI 3.1.", body = serde_json::Value), Always))]
async fn described(State(edge): State<Edge>, _: NoQuery) -> Result<Response, Refused> {
    let body = if let Some(body) = edge.document.get() {
        body.clone()
    } else {
        let body = rendered(&edge.config.public_base)?;
        edge.document.get_or_init(|| body).clone()
    };
    Ok(([(CONTENT_TYPE, "application/json")], body).into_response())
}

/// The document with the address at which the outside reaches the gateway.
fn rendered(public_base: &str) -> Result<Bytes, Problem> {
    let mut document = openapi();
    for server in document.servers.iter_mut().flatten() {
        public_base.clone_into(&mut server.url);
    }
    let internal = |_| Problem::of(Kind::Internal);
    let mut document = serde_json::to_value(&document).map_err(internal)?;
    for (schema, property, value, needed) in NEEDED {
        let condition = &mut document["components"]["schemas"][schema]["allOf"];
        let rule = json!({
            "if": { "properties": { property: { "const": value } } },
            "then": { "required": [needed], "properties": { needed: { "type": "string", "minLength": 1 } } },
        });
        match condition {
            Value::Array(rules) => rules.push(rule),
            none => *none = json!([rule]),
        }
    }
    for (schema, list) in JUDGED {
        let items = &mut document["components"]["schemas"][schema]["properties"][list]["items"];
        *items = json!({
            "anyOf": [items.take(), { "description": "Anything else costs only itself: its result is a problem." }],
        });
    }
    serde_json::to_vec(&document)
        .map(Bytes::from)
        .map_err(internal)
}

/// Lists whose items are judged one by one: one that is not right is answered, and not refused. Schema and property.
const JUDGED: [(&str, &str); 2] = [("Answers", "answers"), ("Submission", "items")];

/// What must be there where something else is said, which the attributes of a schema cannot express: schema, property, its
/// value, and what it needs.
const NEEDED: [(&str, &str, &str, &str); 4] = [
    ("AnswerBody", "answer", "need_time", "until"),
    ("AnswerItem", "answer", "need_time", "until"),
    ("Wanted", "channel", "webhook", "webhook_url"),
    ("Wanted", "channel", "email", "abuse_contact"),
];

async fn unknown() -> Refused {
    Problem::new(
        Kind::NotFound,
        "route_unknown",
        "There is nothing at this path; /openapi.json lists what there is.",
    )
    .into()
}

/// The router adds `Allow`.
async fn wrong_method() -> Refused {
    Refused::with_status(
        StatusCode::METHOD_NOT_ALLOWED,
        "method_not_allowed",
        "This path does not take this method; the Allow header lists those that it takes.",
    )
}
