//! Generates the message and service code; keeps the descriptor set for gRPC reflection.

use std::{env, fs, path::PathBuf};

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
        "events",
    ]
    .map(|name| format!("takedown/v1/{name}.proto"));
    let descriptors = protox::compile(&files, ["."])?;
    let out = PathBuf::from(env::var("OUT_DIR")?);
    fs::write(
        out.join("takedown.bin"),
        prost::Message::encode_to_vec(&descriptors),
    )?;
    tonic_prost_build::configure()
        .bytes(".")
        .compile_fds(descriptors)?;
    println!("cargo:rerun-if-changed=takedown");
    Ok(())
}
