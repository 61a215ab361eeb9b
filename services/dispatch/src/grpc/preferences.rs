//! How a provider wants its notices: its own choice, kept sealed.

use domain::Invalid;
use domain::word::DeliveryChannel;
use platform::sealed::Purpose;
use proto::v1;
use tonic::metadata::MetadataMap;

use super::Inner;
use super::form::reached;
use crate::directory::Provider;
use crate::{Error, auth, commands, store};

const LONGEST: usize = 2048;

impl Inner {
    pub(super) async fn get_preferences(
        &self,
        metadata: &MetadataMap,
        _: v1::GetPreferencesRequest,
    ) -> Result<v1::GetPreferencesResponse, Error> {
        let mut conn = self.pool.acquire().await?;
        let provider = auth::provider(&mut conn, &self.rules.keyring, metadata, "settings").await?;
        let directory = self.rules.directory.current(&mut conn).await?;
        let provider = directory
            .get(&provider.id)
            .ok_or_else(|| Error::not_found("provider"))?;
        Ok(v1::GetPreferencesResponse {
            preferences: Some(self.preferences(provider)?),
            webhook_public_key: self.signer.public_key().whpk(),
        })
    }

    pub(super) async fn set_preferences(
        &self,
        metadata: &MetadataMap,
        request: v1::SetPreferencesRequest,
    ) -> Result<v1::SetPreferencesResponse, Error> {
        let mut tx = self.pool.begin().await?;
        let caller = auth::provider(&mut tx, &self.rules.keyring, metadata, "settings").await?;
        let wanted = request
            .preferences
            .ok_or_else(|| Invalid::missing("preferences"))?;
        let within = |invalid: Invalid| invalid.within("preferences");
        let channel = DeliveryChannel::from_wire(wanted.channel).map_err(within)?;
        let mailbox = contact(&wanted.abuse_contact).map_err(within)?;
        let address = webhook("webhook_url", &wanted.webhook_url, self.plain_webhooks);
        let address = address.map_err(within)?;
        let needed = match channel {
            DeliveryChannel::Api => None,
            DeliveryChannel::Webhook => address.is_empty().then_some("preferences.webhook_url"),
            DeliveryChannel::Email => mailbox.is_empty().then_some("preferences.abuse_contact"),
        };
        if let Some(field) = needed {
            return Err(Invalid::missing(field).into());
        }
        let keyring = &self.rules.keyring;
        let now = self.clock.now(&mut tx).await?;
        let mut provider = store::lock_provider(&mut tx, caller.id.as_str())
            .await?
            .ok_or_else(|| Error::not_found("provider"))?;
        provider.channel = channel;
        provider.contact = (!mailbox.is_empty()).then(|| {
            let (id, row) = (provider.id.as_str(), provider.row_id);
            keyring
                .seal_provider(Purpose::Contact, id, row, mailbox.as_bytes())
                .into_bytes()
        });
        store::put_providers(&mut tx, now, &[&provider]).await?;
        commands::webhook::choose(&mut tx, keyring, now, &provider.id, &address).await?;
        let written = store::lock_provider(&mut tx, caller.id.as_str())
            .await?
            .ok_or_else(|| Error::not_found("provider"))?;
        tx.commit().await?;
        Ok(v1::SetPreferencesResponse {
            preferences: Some(self.preferences(&written)?),
            webhook_public_key: self.signer.public_key().whpk(),
        })
    }

    fn preferences(&self, provider: &Provider) -> Result<v1::Preferences, Error> {
        let reached = reached(&self.rules.keyring, provider)?;
        let endpoint = provider.webhook.as_ref().map(|at| at.endpoint_id);
        Ok(v1::Preferences {
            channel: provider.channel.wire(),
            webhook_url: reached.webhook,
            abuse_contact: reached.contact,
            webhook_endpoint_id: endpoint.map(|id| id.to_string()).unwrap_or_default(),
        })
    }
}

/// A mailbox, or nothing.
pub(super) fn contact(text: &str) -> Result<String, Invalid> {
    let text = text.trim();
    if text.is_empty() || text.parse::<lettre::Address>().is_ok() {
        return Ok(text.to_owned());
    }
    Err(Invalid::new(
        "mailbox_malformed",
        "abuse_contact",
        "write one mailbox, such as abuse@host.example",
    ))
}

/// Where webhooks go, or nothing.
pub(super) fn webhook(field: &str, text: &str, plain: bool) -> Result<String, Invalid> {
    let text = text.trim();
    if text.is_empty() {
        return Ok(String::new());
    }
    let fits = text.len() <= LONGEST
        && url::Url::parse(text).is_ok_and(|url| {
            (url.scheme() == "https" || (plain && url.scheme() == "http"))
                && url.host().is_some()
                && url.username().is_empty()
                && url.password().is_none()
        });
    if fits {
        Ok(text.to_owned())
    } else {
        Err(Invalid::new(
            "webhook_malformed",
            field,
            "write an https address without user information, such as https://host.example/abuse",
        ))
    }
}
