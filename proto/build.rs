//! Generates the code of messages and services, and the descriptor set for gRPC reflection.

use std::fmt::Write as _;
use std::{env, fs, path::PathBuf};

/// Fields that must never be shown: the URL of the material, the hash of a body that contains it, a young
/// person's number. `Debug` of a message with such a field, and of `Hash`, shows only the name of the
/// message.
const SECRET_FIELDS: [&str; 4] = ["url", "body_digest", "unique_number", "external_id"];

#[expect(
    clippy::disallowed_methods,
    reason = "cargo passes the output directory of a build script in the environment"
)]
fn main() -> Result<(), Box<dyn std::error::Error>> {
    let files = [
        "intake",
        "verification",
        "dispatch",
        "ledger",
        "log",
        "parked",
        "events",
    ]
    .map(|name| format!("takedown/v1/{name}.proto"));
    let descriptors = protox::compile(&files, ["."])?;
    let out = PathBuf::from(env::var("OUT_DIR")?);
    fs::write(
        out.join("takedown.bin"),
        prost::Message::encode_to_vec(&descriptors),
    )?;
    let mut without_derived_debug = Vec::new();
    let mut debug_impls = String::new();
    for message in descriptors.file.iter().flat_map(|file| &file.message_type) {
        let name = message.name();
        let is_secret = |field: &str| SECRET_FIELDS.contains(&field);
        if name != "Hash" && !message.field.iter().any(|field| is_secret(field.name())) {
            continue;
        }
        without_derived_debug.push(format!(".takedown.v1.{name}"));
        let oneofs = message.oneof_decl.iter();
        let oneofs = oneofs.map(|oneof| format!("{}::{}", snake(name), camel(oneof.name())));
        for rust_type in oneofs.chain([name.to_owned()]) {
            writeln!(
                debug_impls,
                "impl ::core::fmt::Debug for {rust_type} {{\n    fn fmt(&self, f: &mut ::core::fmt::Formatter<'_>) -> ::core::fmt::Result {{\n        f.write_str(\"<{name}>\")\n    }}\n}}"
            )?;
        }
    }
    fs::write(out.join("debug_impls.rs"), debug_impls)?;
    tonic_prost_build::configure()
        .bytes(".")
        .skip_debug(without_derived_debug)
        .compile_fds(descriptors)?;
    println!("cargo:rerun-if-changed=takedown");
    Ok(())
}

fn snake(name: &str) -> String {
    let mut snake = String::new();
    for char in name.chars() {
        if char.is_ascii_uppercase() && !snake.is_empty() {
            snake.push('_');
        }
        snake.push(char.to_ascii_lowercase());
    }
    snake
}

fn camel(name: &str) -> String {
    let capital = |part: &str| part[..1].to_ascii_uppercase() + &part[1..];
    name.split('_').map(capital).collect()
}
