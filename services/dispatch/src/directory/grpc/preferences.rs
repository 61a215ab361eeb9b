//! A provider's own delivery preferences; its contacts are stored sealed.

use domain::Invalid;
use domain::enums::DeliveryChannel;
use platform::sealed::Purpose;
use proto::v1;
use tonic::metadata::MetadataMap;

use super::provider_proto::open_contacts;
use crate::directory::snapshot::Provider;
use crate::directory::{commands, store};
use crate::grpc::Handlers;
use crate::{Error, auth};

/// Maximum length of a webhook URL, in bytes.
const MAX_URL: usize = 2048;

impl Handlers {
    pub(crate) async fn get_preferences(
        &self,
        metadata: &MetadataMap,
        _: v1::GetPreferencesRequest,
    ) -> Result<v1::GetPreferencesResponse, Error> {
        let mut conn = self.pool.acquire().await?;
        let provider =
            auth::require_provider(&mut conn, &self.deps.keyring, metadata, "settings").await?;
        let directory = self.deps.directory.current(&mut conn).await?;
        let provider = directory
            .get(&provider.id)
            .ok_or_else(|| Error::not_found("provider"))?;
        Ok(v1::GetPreferencesResponse {
            preferences: Some(self.preferences(provider)?),
            webhook_public_key: self.signer.public_key().whpk(),
        })
    }

    pub(crate) async fn set_preferences(
        &self,
        metadata: &MetadataMap,
        request: v1::SetPreferencesRequest,
    ) -> Result<v1::SetPreferencesResponse, Error> {
        let mut tx = self.pool.begin().await?;
        let caller =
            auth::require_provider(&mut tx, &self.deps.keyring, metadata, "settings").await?;
        let preferences = request
            .preferences
            .ok_or_else(|| Invalid::missing("preferences"))?;
        let within = |invalid: Invalid| invalid.within("preferences");
        let channel = DeliveryChannel::from_wire(preferences.channel).map_err(within)?;
        let mailbox = parse_mailbox(&preferences.abuse_contact).map_err(within)?;
        let webhook_url =
            parse_webhook_url("webhook_url", &preferences.webhook_url, self.http_webhooks)
                .map_err(within)?;
        let missing = match channel {
            DeliveryChannel::Api => None,
            DeliveryChannel::Webhook => webhook_url.is_empty().then_some("preferences.webhook_url"),
            DeliveryChannel::Email => mailbox.is_empty().then_some("preferences.abuse_contact"),
        };
        if let Some(field) = missing {
            return Err(Invalid::missing(field).into());
        }
        let keyring = &self.deps.keyring;
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
        store::upsert_providers(&mut tx, now, &[&provider]).await?;
        commands::choose_endpoint(&mut tx, keyring, now, &provider.id, &webhook_url).await?;
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
        let contacts = open_contacts(&self.deps.keyring, provider)?;
        let endpoint = provider.webhook.as_ref().map(|active| active.endpoint_id);
        Ok(v1::Preferences {
            channel: provider.channel.wire(),
            webhook_url: contacts.webhook_url,
            abuse_contact: contacts.mailbox,
            webhook_endpoint_id: endpoint.map(|id| id.to_string()).unwrap_or_default(),
        })
    }
}

/// A mailbox, or empty.
pub(super) fn parse_mailbox(text: &str) -> Result<String, Invalid> {
    let text = text.trim();
    if text.is_empty() || text.parse::<lettre::Address>().is_ok() {
        return Ok(text.to_owned());
    }
    Err(Invalid::new(
        "mailbox_malformed",
        "abuse_contact",
        "send one mailbox, such as abuse@host.example",
    ))
}

/// A webhook URL, or empty. `plain` accepts http too, for the demo and tests.
pub(super) fn parse_webhook_url(
    field: &str,
    text: &str,
    allow_http: bool,
) -> Result<String, Invalid> {
    let text = text.trim();
    if text.is_empty() {
        return Ok(String::new());
    }
    let is_valid = text.len() <= MAX_URL
        && url::Url::parse(text).is_ok_and(|url| {
            (url.scheme() == "https" || (allow_http && url.scheme() == "http"))
                && url.host().is_some()
                && url.username().is_empty()
                && url.password().is_none()
        });
    if is_valid {
        Ok(text.to_owned())
    } else {
        Err(Invalid::new(
            "webhook_malformed",
            field,
            "send an https address without user information, such as https://host.example/abuse",
        ))
    }
}
