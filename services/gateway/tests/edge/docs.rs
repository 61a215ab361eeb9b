//! The documentation page: complete, and served entirely by the gateway.

use crate::setup::start;

#[tokio::test]
async fn the_page_and_its_files_are_served_by_the_gateway() {
    let gateway = start().await;
    let root = gateway.request("GET", "/docs").send().await.unwrap();
    assert_eq!(
        (root.status().as_u16(), &root.headers()["location"]),
        (308, &"/docs/index.html".parse().unwrap())
    );
    let mut scripts = String::new();
    for (file, media_type) in [
        ("index.html", "text/html"),
        ("swagger-ui.css", "text/css"),
        ("index.css", "text/css"),
        ("swagger-ui-bundle.js", "javascript"),
        ("swagger-ui-standalone-preset.js", "javascript"),
        ("swagger-initializer.js", "javascript"),
    ] {
        let path = format!("/docs/{file}");
        let response = gateway.request("GET", &path).send().await.unwrap();
        assert_eq!(response.status(), 200, "{file}");
        let headers = response.headers();
        let kind = headers["content-type"].to_str().unwrap();
        assert!(kind.contains(media_type), "{file} is {kind}");
        let policy = headers["content-security-policy"].to_str().unwrap();
        assert!(policy.starts_with("default-src 'none'") && !policy.contains("unsafe"));
        if file == "swagger-initializer.js" {
            scripts = response.text().await.unwrap();
        }
    }
    assert!(scripts.contains("/openapi.json"), "{scripts}");
    assert!(scripts.contains("\"validatorUrl\": \"none\""), "{scripts}");
    let missing = gateway
        .request("GET", "/docs/../Cargo.toml")
        .send()
        .await
        .unwrap();
    assert_eq!(missing.status(), 404);
    let missing = gateway
        .request("GET", "/docs/missing.js")
        .send()
        .await
        .unwrap();
    assert_eq!(missing.status(), 404);
}
