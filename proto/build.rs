//! Generates the code of messages and services, the `Debug` of messages with sensitive fields, and the
//! descriptor set for gRPC reflection.

use std::error::Error;
use std::fmt::Write as _;
use std::path::PathBuf;
use std::{env, fs};

use protox::Compiler;
use protox::prost_reflect::{
    Cardinality, FieldDescriptor, Kind, MessageDescriptor, OneofDescriptor, Value,
};

const PACKAGE: &str = "takedown.v1";

#[expect(
    clippy::disallowed_methods,
    reason = "cargo passes the output directory of a build script in the environment"
)]
fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed=takedown");
    let out = PathBuf::from(env::var("OUT_DIR")?);
    let mut compiler = Compiler::new(["."])?;
    compiler.include_imports(true).include_source_info(true);
    compiler.open_files(
        [
            "intake",
            "verification",
            "dispatch",
            "ledger",
            "log",
            "parked",
            "events",
        ]
        .map(|name| format!("takedown/v1/{name}.proto")),
    )?;
    // Not encoded from `prost_types`, which knows neither `debug_redact` nor options that are newer than it.
    fs::write(
        out.join("takedown.bin"),
        compiler.encode_file_descriptor_set(),
    )?;

    let mut without_derived_debug = Vec::new();
    let mut debug_impls = String::new();
    for message in compiler.descriptor_pool().all_messages() {
        if message.package_name() != PACKAGE || !message.fields().any(|field| is_redacted(&field)) {
            continue;
        }
        if message.parent_message().is_some() {
            return Err(format!(
                "{} is nested: move it to the top level, where its Debug can be generated",
                message.full_name()
            )
            .into());
        }
        without_derived_debug.push(format!(".{}", message.full_name()));
        write_message_debug(&mut debug_impls, &message)?;
        for oneof in message.oneofs().filter(|oneof| !oneof.is_synthetic()) {
            write_oneof_debug(&mut debug_impls, &message, &oneof)?;
        }
    }
    fs::write(out.join("debug_impls.rs"), debug_impls)?;
    tonic_prost_build::configure()
        .bytes(".")
        .skip_debug(without_derived_debug)
        .compile_fds(compiler.file_descriptor_set())?;
    Ok(())
}

/// Whether the field has the option `[debug_redact = true]`.
fn is_redacted(field: &FieldDescriptor) -> bool {
    let options = field.options();
    let option = options.get_field_by_name("debug_redact");
    option.as_deref().and_then(Value::as_bool) == Some(true)
}

/// Writes the same output as the derived `Debug`, with a placeholder for redacted fields.
fn write_message_debug(out: &mut String, message: &MessageDescriptor) -> std::fmt::Result {
    let name = message.name();
    let mut body = format!("f.debug_struct(\"{name}\")");
    let mut written = Vec::new();
    for field in message.fields() {
        let oneof = field
            .containing_oneof()
            .filter(|oneof| !oneof.is_synthetic());
        let (name, value) = match &oneof {
            Some(oneof) if written.contains(&oneof.name().to_owned()) => continue,
            Some(oneof) => (oneof.name(), format!("&self.r#{}", oneof.name())),
            None => (field.name(), field_value(&field)),
        };
        write!(body, ".field(\"{name}\", {value})")?;
        written.push(name.to_owned());
    }
    write_debug(out, name, &format!("{body}.finish()"))
}

fn field_value(field: &FieldDescriptor) -> String {
    let name = field.name();
    if is_redacted(field) {
        "&crate::Redacted".to_owned()
    } else if has_enum_accessor(field) {
        // The accessor returns the enum value, the field its number.
        format!("&self.r#{name}()")
    } else {
        format!("&self.r#{name}")
    }
}

fn has_enum_accessor(field: &FieldDescriptor) -> bool {
    matches!(field.kind(), Kind::Enum(_))
        && field.cardinality() != Cardinality::Repeated
        && !field.supports_presence()
}

fn write_oneof_debug(
    out: &mut String,
    message: &MessageDescriptor,
    oneof: &OneofDescriptor,
) -> std::fmt::Result {
    let mut arms = String::new();
    for field in oneof.fields() {
        let variant = camel(field.name());
        let value = if is_redacted(&field) {
            "&crate::Redacted"
        } else {
            "value"
        };
        let pattern = if is_redacted(&field) { "_" } else { "value" };
        write!(
            arms,
            "Self::{variant}({pattern}) => f.debug_tuple(\"{variant}\").field({value}).finish(),"
        )?;
    }
    let rust_type = format!("{}::{}", snake(message.name()), camel(oneof.name()));
    write_debug(out, &rust_type, &format!("match self {{ {arms} }}"))
}

fn write_debug(out: &mut String, rust_type: &str, body: &str) -> std::fmt::Result {
    writeln!(
        out,
        "impl ::core::fmt::Debug for {rust_type} {{\n    fn fmt(&self, f: &mut ::core::fmt::Formatter<'_>) -> ::core::fmt::Result {{\n        {body}\n    }}\n}}"
    )
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
