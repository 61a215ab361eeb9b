//! The OpenAPI document: consistent, and matching the routes.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::setup::{json, start};

const METHODS: [&str; 5] = ["get", "put", "post", "patch", "delete"];

/// Path, method and description of each operation.
fn operations(document: &Value) -> Vec<(String, String, Value)> {
    let paths = document["paths"].as_object().unwrap();
    paths
        .iter()
        .flat_map(|(path, item)| {
            let operations = item.as_object().unwrap().iter();
            operations.map(|(method, op)| (path.clone(), method.clone(), op.clone()))
        })
        .collect()
}

fn references(value: &Value, found: &mut BTreeSet<String>) {
    match value {
        Value::Object(fields) => {
            if let Some(Value::String(target)) = fields.get("$ref") {
                found.insert(target.clone());
            }
            fields.values().for_each(|inner| references(inner, found));
        }
        Value::Array(items) => items.iter().for_each(|inner| references(inner, found)),
        _ => {}
    }
}

#[tokio::test]
async fn the_document_is_consistent() {
    let gateway = start().await;
    let document = json(gateway.request("GET", "/openapi.json"), 200).await;
    assert!(document["openapi"].as_str().unwrap().starts_with("3.1"));
    assert_eq!(document["servers"][0]["url"], "http://127.0.0.1:8080");

    let mut targets = BTreeSet::new();
    references(&document, &mut targets);
    assert!(!targets.is_empty());
    for target in targets {
        let pointer = target
            .strip_prefix('#')
            .expect("a reference within the document");
        assert!(
            document.pointer(pointer).is_some(),
            "{target} does not exist"
        );
    }

    let schemes = document["components"]["securitySchemes"]
        .as_object()
        .unwrap();
    let tags: BTreeSet<_> = document["tags"]
        .as_array()
        .unwrap()
        .iter()
        .map(|t| &t["name"])
        .map(Value::to_string)
        .collect();
    let mut names = BTreeSet::new();
    for (path, method, operation) in operations(&document) {
        let name = operation["operationId"].as_str().unwrap();
        assert!(names.insert(name.to_owned()), "{name} occurs twice");
        assert!(
            operation["summary"].is_string(),
            "{method} {path} has no summary"
        );
        assert!(
            tags.contains(&operation["tags"][0].to_string()),
            "{method} {path}"
        );
        for requirement in operation["security"]
            .as_array()
            .expect("security requirements")
        {
            assert!(
                requirement
                    .as_object()
                    .unwrap()
                    .keys()
                    .all(|name| schemes.contains_key(name))
            );
        }
        let responses = operation["responses"].as_object().unwrap();
        assert!(
            ["200", "201", "202", "204", "308"]
                .iter()
                .any(|success| responses.contains_key(*success))
                && responses.contains_key("429")
                && responses.contains_key("503"),
            "{method} {path}"
        );
        assert!(
            responses
                .iter()
                .all(|(status, r)| r["content"].is_object() || status == "204"),
            "{method} {path}"
        );
        let declared: BTreeSet<_> = operation["parameters"]
            .as_array()
            .into_iter()
            .flatten()
            .filter(|p| p["in"] == "path")
            .map(|p| p["name"].as_str().unwrap())
            .collect();
        let templated: BTreeSet<_> = path
            .split('/')
            .filter_map(|s| s.strip_prefix('{')?.strip_suffix('}'))
            .collect();
        assert_eq!(declared, templated, "{method} {path}");
    }
}

#[tokio::test]
async fn every_documented_operation_exists_and_no_other_method_is_allowed() {
    let gateway = start().await;
    let document = serde_json::to_value(gateway::openapi()).unwrap();
    let operations = operations(&document);
    let paths: BTreeSet<_> = operations.iter().map(|(path, ..)| path.clone()).collect();
    assert_eq!(
        paths.iter().map(String::as_str).collect::<Vec<_>>(),
        [
            "/.well-known/takedown-keys.json",
            "/assets/notice.css",
            "/docs",
            "/docs/{file}",
            "/healthz",
            "/n/{token}",
            "/openapi.json",
            "/provider/v1/answers",
            "/provider/v1/deliveries",
            "/provider/v1/events",
            "/provider/v1/keys",
            "/provider/v1/keys/{key_id}",
            "/provider/v1/keys/{key_id}/rotate",
            "/provider/v1/notices",
            "/provider/v1/notices/{notice_id}",
            "/provider/v1/notices/{notice_id}/answers",
            "/provider/v1/notices/{notice_id}/verify",
            "/provider/v1/preferences",
            "/provider/v1/redeliveries",
            "/provider/v1/webhook-endpoints",
            "/provider/v1/webhook-endpoints/{endpoint_id}",
            "/provider/v1/webhook-endpoints/{endpoint_id}/rotate",
            "/provider/v1/webhook-endpoints/{endpoint_id}/test",
            "/readyz",
            "/v1/reports",
            "/v1/reports/{reference}",
            "/v1/reports/{reference}/withdraw",
        ]
    );
    let unlimited = ["/healthz", "/readyz"];
    let described = document["info"]["description"].as_str().unwrap();
    assert!(unlimited.iter().all(|path| described.contains(path)));
    for path in paths {
        let concrete = path
            .replace("{token}", "good")
            .replace("{notice_id}", "x")
            .replace("{key_id}", "x")
            .replace("{endpoint_id}", "x")
            .replace("{file}", "index.html")
            .replace("{reference}", "x");
        for method in METHODS {
            let documented = operations
                .iter()
                .find(|(p, m, _)| *p == path && m == method);
            let response = gateway
                .keyed(&method.to_uppercase(), &concrete)
                .send()
                .await
                .unwrap();
            let status = response.status().as_u16();
            let limited = response.headers().contains_key("ratelimit");
            assert_eq!(limited, !unlimited.contains(&path.as_str()), "{path}");
            let text = response.text().await.unwrap();
            assert!(!text.contains("route_unknown"), "{method} {path}");
            match documented {
                Some((_, _, operation)) => {
                    let known = operation["responses"].as_object().unwrap();
                    assert!(
                        known.contains_key(&status.to_string()),
                        "{method} {path}: {status} is not documented"
                    );
                }
                None => assert_eq!(status, 405, "{method} {path}"),
            }
        }
    }
}
