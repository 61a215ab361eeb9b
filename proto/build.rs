//! Generates the message and service code; keeps the descriptor set for gRPC reflection.

use std::fmt::Write as _;
use std::{env, fs, path::PathBuf};

/// What must not be shown: an address of the material, a hash of it or of a body with it, a child's number.
/// A message with such a field has a `Debug` that says its name and no more.
const HIDDEN: [&str; 4] = ["url", "body_digest", "unique_number", "external_id"];

#[expect(
    clippy::disallowed_methods,
    reason = "a build script is told where to write by the environment"
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
    let mut skipped = Vec::new();
    let mut shown_instead = String::new();
    for message in descriptors.file.iter().flat_map(|file| &file.message_type) {
        let name = message.name();
        let hidden = |field: &str| HIDDEN.contains(&field);
        if name != "Hash" && !message.field.iter().any(|field| hidden(field.name())) {
            continue;
        }
        skipped.push(format!(".takedown.v1.{name}"));
        let choices = message.oneof_decl.iter();
        let choices = choices.map(|choice| format!("{}::{}", snake(name), camel(choice.name())));
        for shown in choices.chain([name.to_owned()]) {
            writeln!(
                shown_instead,
                "impl ::core::fmt::Debug for {shown} {{\n    fn fmt(&self, f: &mut ::core::fmt::Formatter<'_>) -> ::core::fmt::Result {{\n        f.write_str(\"<{name}>\")\n    }}\n}}"
            )?;
        }
    }
    fs::write(out.join("hidden.rs"), shown_instead)?;
    tonic_prost_build::configure()
        .bytes(".")
        .skip_debug(skipped)
        .compile_fds(descriptors)?;
    println!("cargo:rerun-if-changed=takedown");
    Ok(())
}

fn snake(name: &str) -> String {
    let mut snake = String::new();
    for letter in name.chars() {
        if letter.is_ascii_uppercase() && !snake.is_empty() {
            snake.push('_');
        }
        snake.push(letter.to_ascii_lowercase());
    }
    snake
}

fn camel(name: &str) -> String {
    let capital = |word: &str| word[..1].to_ascii_uppercase() + &word[1..];
    name.split('_').map(capital).collect()
}
