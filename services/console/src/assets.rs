//! Style sheets and scripts, compiled in. The address of each contains the beginning of its SHA-256, so that a browser may
//! cache it permanently and never uses an old version.

use std::collections::HashMap;
use std::sync::LazyLock;

use axum::extract::Path;
use axum::response::{IntoResponse, Response};
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderValue, StatusCode};
use rust_embed::RustEmbed;

#[derive(RustEmbed)]
#[folder = "assets"]
struct AssetFiles;

static ADDRESSES: LazyLock<HashMap<String, String>> = LazyLock::new(|| {
    AssetFiles::iter()
        .filter_map(|name| {
            let file = AssetFiles::get(&name)?;
            let hash = hex::encode(&file.metadata.sha256_hash()[..6]);
            Some((name.to_string(), format!("/assets/{hash}/{name}")))
        })
        .collect()
});

/// The address of a file of `assets`.
pub(crate) fn asset(name: &str) -> &'static str {
    // Only templates pass a name, and the tests load every asset that a page names.
    ADDRESSES.get(name).map_or("", String::as_str)
}

pub(crate) async fn serve(Path((_hash, name)): Path<(String, String)>) -> Response {
    let Some(file) = AssetFiles::get(&name) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let content_type = match name.rsplit_once('.') {
        Some((_, "css")) => "text/css; charset=utf-8",
        Some((_, "js")) => "text/javascript; charset=utf-8",
        Some((_, "svg")) => "image/svg+xml",
        _ => "text/plain; charset=utf-8",
    };
    let mut response = file.data.into_response();
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(
        CACHE_CONTROL,
        HeaderValue::from_static("public, max-age=31536000, immutable"),
    );
    response
}
