//! `provider serve`: a simulated host on the real delivery channels.

use anyhow::Result;
use platform::shutdown;
use serde_json::json;
use simulator::serve::{ListenAddresses, ServeOptions, serve};

use crate::output::Format;

pub(super) async fn run(options: ServeOptions, format: Format) -> Result<()> {
    let shutdown = shutdown::on_signals()?;
    let on_listening = |addresses: &ListenAddresses| print_addresses(format, addresses);
    serve(options, shutdown, on_listening).await?;
    Ok(())
}

fn print_addresses(format: Format, addresses: &ListenAddresses) {
    format.print(&json!(addresses), || {
        let webhook = addresses
            .webhook
            .map(|address| format!("receiving webhooks on {address}"));
        let smtp = addresses
            .smtp
            .map(|address| format!("receiving mail on {address}"));
        let polls = addresses
            .polls
            .then(|| "polling the pull API for notices".to_owned());
        let all = [webhook, smtp, polls].into_iter().flatten();
        all.collect::<Vec<_>>().join("\n")
    });
}
