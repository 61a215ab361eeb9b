//! Notices as providers read them with their own key: each sees only the notices addressed to it.

use domain::Invalid;
use domain::enums::{NoticeState, SigningPurpose};
use domain::id::{CaseId, NoticeId, ProviderId};
use platform::sealed::{KeyId, PublicKey, SigningContext};
use proto::v1;
use sqlx::PgConnection;
use tonic::metadata::MetadataMap;

use crate::cases::commands;
use crate::cases::store::{self, ListingEntry};
use crate::delivery::document;
use crate::grpc::{Handlers, cursor, parse};
use crate::{Error, auth};

/// Bounded because a signed notice has some kilobytes.
const PAGE: i64 = 100;
const MAX_PAGE: i64 = 500;
/// Maximum length of a signed notice, in bytes; one with a checkpoint is far shorter.
const MAX_SIGNED: usize = 16 * 1024;

impl Handlers {
    pub(crate) async fn list_notices(
        &self,
        metadata: &MetadataMap,
        request: v1::ListNoticesRequest,
    ) -> Result<v1::ListNoticesResponse, Error> {
        let mut conn = self.pool.acquire().await?;
        let provider =
            auth::require_provider(&mut conn, &self.deps.keyring, metadata, "read").await?;
        let limit = parse::page_size(request.page_size, PAGE, MAX_PAGE)?;
        let after = cursor::decode_position(&request.page_token)?;
        let case = match request.case_id.as_str() {
            "" => None,
            text => Some(text.parse::<CaseId>()?.uuid()),
        };
        let due_before = request
            .due_before
            .as_ref()
            .map(|at| domain::wire::time("due_before", at))
            .transpose()?;
        let query = store::ListingQuery {
            states: &parse::states(&request.states)?,
            categories: &parse::categories(&request.categories)?,
            case,
            due_before,
            after,
            limit,
        };
        let entries = store::list_provider_notices(&mut conn, &provider.id, &query).await?;
        let end = entries.last().map_or(after, |entry| entry.listing_position);
        Ok(v1::ListNoticesResponse {
            notices: self.notices_for_provider(&mut conn, &entries).await?,
            next_page_token: cursor::encode_position(end),
        })
    }

    pub(crate) async fn get_notice(
        &self,
        metadata: &MetadataMap,
        request: v1::GetNoticeRequest,
    ) -> Result<v1::GetNoticeResponse, Error> {
        let mut conn = self.pool.acquire().await?;
        let provider =
            auth::require_provider(&mut conn, &self.deps.keyring, metadata, "read").await?;
        let notice = request.notice_id.parse()?;
        Ok(v1::GetNoticeResponse {
            notice: Some(
                self.notice_for_provider(&mut conn, &provider.id, notice)
                    .await?,
            ),
        })
    }

    async fn notice_for_provider(
        &self,
        conn: &mut PgConnection,
        provider: &ProviderId,
        notice: NoticeId,
    ) -> Result<v1::Notice, Error> {
        let entry = store::find_provider_notice(conn, provider, notice)
            .await?
            .ok_or_else(|| Error::not_found("notice"))?;
        self.notices_for_provider(conn, &[entry])
            .await?
            .pop()
            .ok_or_else(|| Error::not_found("notice"))
    }

    /// Signs these notices now. Reading a notice for the first time delivers it.
    async fn notices_for_provider(
        &self,
        conn: &mut PgConnection,
        entries: &[ListingEntry],
    ) -> Result<Vec<v1::Notice>, Error> {
        let ids: Vec<NoticeId> = entries.iter().map(|entry| entry.notice_id).collect();
        let now = self.clock.now(conn).await?;
        let mut contents = self.showable_notices(conn, &ids).await?;
        let undelivered: Vec<NoticeId> = contents
            .iter()
            .filter(|content| !content.is_delivered)
            .map(|content| content.notice_id)
            .collect();
        if !undelivered.is_empty() {
            let mut tx = sqlx::Connection::begin(&mut *conn).await?;
            commands::record_fetched(&mut tx, &self.deps, now, &undelivered).await?;
            tx.commit().await?;
            self.wakeup.notify();
            contents = self.showable_notices(conn, &ids).await?;
        }
        Ok(contents
            .iter()
            .map(|content| self.notice_to_proto(content, now))
            .collect())
    }

    pub(crate) async fn verify_notice(
        &self,
        metadata: &MetadataMap,
        request: v1::VerifyNoticeRequest,
    ) -> Result<v1::VerifyNoticeResponse, Error> {
        let mut conn = self.pool.acquire().await?;
        let provider =
            auth::require_provider(&mut conn, &self.deps.keyring, metadata, "read").await?;
        let notice: NoticeId = request.notice_id.parse()?;
        if request.signed.is_empty() {
            return Err(Invalid::missing("signed").into());
        }
        if request.signature.is_empty() {
            return Err(Invalid::missing("signature").into());
        }
        if request.signed.len() > MAX_SIGNED {
            return Err(Invalid::new(
                "field_too_long",
                "signed",
                "`signed` is longer than any signed notice; send its exact bytes",
            )
            .into());
        }
        // The reply is the same for another provider's notice and for one that does not exist.
        let not_authentic = v1::VerifyNoticeResponse::default();
        if store::find_provider_notice(&mut conn, &provider.id, notice)
            .await?
            .is_none()
        {
            return Ok(not_authentic);
        }
        let Ok(statement) = document::verify(&request.signed, &request.signature, &self.verifier)
        else {
            return Ok(not_authentic);
        };
        if statement.notice_id != notice.uuid() || statement.provider_id != provider.id.as_str() {
            return Ok(not_authentic);
        }
        let current = store::notice_contents(&mut conn, &self.deps.keyring, &[notice]).await?;
        let current = current.first().ok_or_else(|| Error::not_found("notice"))?;
        Ok(v1::VerifyNoticeResponse {
            authentic: true,
            superseded: statement.sequence < current.sequence,
            retracted: current.state == NoticeState::Withdrawn,
        })
    }

    #[expect(
        clippy::unused_async,
        reason = "the `methods!` macro awaits every handler"
    )]
    pub(crate) async fn list_signing_keys(
        &self,
        _: &MetadataMap,
        _: v1::ListSigningKeysRequest,
    ) -> Result<v1::ListSigningKeysResponse, Error> {
        // Webhooks are signed with the notices' key, so it is listed for both purposes.
        let uses = [
            (SigningContext::Notice, SigningPurpose::Notice),
            (SigningContext::Notice, SigningPurpose::Webhook),
            (SigningContext::Proof, SigningPurpose::Proof),
            (SigningContext::Checkpoint, SigningPurpose::Checkpoint),
        ];
        let keys = uses
            .into_iter()
            .flat_map(|(context, purpose)| {
                let keys = self.deps.keyring.public_keys(context);
                keys.into_iter().map(move |key| signing_key(&key, purpose))
            })
            .collect();
        Ok(v1::ListSigningKeysResponse { keys })
    }
}

fn signing_key(key: &PublicKey, purpose: SigningPurpose) -> v1::SigningKey {
    v1::SigningKey {
        key_id: KeyId::as_str(&key.key_id).to_owned(),
        public_key: key.bytes.to_vec().into(),
        purpose: purpose.wire(),
    }
}
