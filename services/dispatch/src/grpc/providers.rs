//! What providers do with their own key: they see what was sent to them, and nothing else.

use domain::Invalid;
use domain::id::{CaseId, NoticeId, ProviderId};
use domain::word::NoticeState;
use platform::sealed::{KeyId, PublicKey, SigningContext};
use proto::v1;
use sqlx::PgConnection;
use tonic::metadata::MetadataMap;

use super::{Inner, cursor, parse};
use crate::store::Line;
use crate::{Error, auth, commands, document, store};

/// Signed notices are some kilobytes each.
const PAGE: i64 = 100;
const MOST: i64 = 500;
/// A signed notice with a checkpoint fits well.
const SIGNED: usize = 16 * 1024;

impl Inner {
    pub(super) async fn list_notices(
        &self,
        metadata: &MetadataMap,
        request: v1::ListNoticesRequest,
    ) -> Result<v1::ListNoticesResponse, Error> {
        let mut conn = self.pool.acquire().await?;
        let provider = auth::provider(&mut conn, &self.rules.keyring, metadata, "read").await?;
        let (limit, after) = parse::page(request.page.as_ref(), PAGE, MOST);
        let after = cursor::number(&after)?;
        let case = match request.case_id.as_str() {
            "" => None,
            text => Some(text.parse::<CaseId>()?.uuid()),
        };
        let due_before = request
            .due_before
            .as_ref()
            .map(|at| domain::wire::time("due_before", at))
            .transpose()?;
        let wanted = store::WantedLines {
            states: &parse::states(&request.states)?,
            categories: &parse::categories(&request.categories)?,
            case,
            due_before,
            after,
            limit,
        };
        let lines = store::provider_lines(&mut conn, &provider.id, &wanted).await?;
        let end = lines.last().map_or(after, |line| line.feed);
        Ok(v1::ListNoticesResponse {
            notices: self.read_by_provider(&mut conn, &lines).await?,
            next_cursor: cursor::of_number(end),
        })
    }

    pub(super) async fn get_notice(
        &self,
        metadata: &MetadataMap,
        request: v1::GetNoticeRequest,
    ) -> Result<v1::GetNoticeResponse, Error> {
        let mut conn = self.pool.acquire().await?;
        let provider = auth::provider(&mut conn, &self.rules.keyring, metadata, "read").await?;
        let notice = request.notice_id.parse()?;
        Ok(v1::GetNoticeResponse {
            notice: Some(self.read_one(&mut conn, &provider.id, notice).await?),
        })
    }

    async fn read_one(
        &self,
        conn: &mut PgConnection,
        provider: &ProviderId,
        notice: NoticeId,
    ) -> Result<v1::Notice, Error> {
        let line = store::provider_line(conn, provider, notice)
            .await?
            .ok_or_else(|| Error::not_found("notice"))?;
        self.read_by_provider(conn, &[line])
            .await?
            .pop()
            .ok_or_else(|| Error::not_found("notice"))
    }

    /// These notices, signed now. What a provider reads for the first time is delivered by that.
    async fn read_by_provider(
        &self,
        conn: &mut PgConnection,
        lines: &[Line],
    ) -> Result<Vec<v1::Notice>, Error> {
        let ids: Vec<NoticeId> = lines.iter().map(|line| line.notice_id).collect();
        let now = self.clock.now(conn).await?;
        let mut shown = self.shown(conn, &ids).await?;
        let fresh: Vec<NoticeId> = shown
            .iter()
            .filter(|content| !content.is_delivered)
            .map(|content| content.notice_id)
            .collect();
        if !fresh.is_empty() {
            let mut tx = sqlx::Connection::begin(&mut *conn).await?;
            commands::fetched(&mut tx, &self.rules, now, &fresh).await?;
            tx.commit().await?;
            self.bell.ring();
            shown = self.shown(conn, &ids).await?;
        }
        Ok(shown
            .iter()
            .map(|content| self.notice(content, now))
            .collect())
    }

    pub(super) async fn verify_notice(
        &self,
        metadata: &MetadataMap,
        request: v1::VerifyNoticeRequest,
    ) -> Result<v1::VerifyNoticeResponse, Error> {
        let mut conn = self.pool.acquire().await?;
        let provider = auth::provider(&mut conn, &self.rules.keyring, metadata, "read").await?;
        let notice: NoticeId = request.notice_id.parse()?;
        if request.signed.is_empty() {
            return Err(Invalid::missing("signed").into());
        }
        if request.signature.is_empty() {
            return Err(Invalid::missing("signature").into());
        }
        if request.signed.len() > SIGNED {
            return Err(Invalid::new(
                "field_too_long",
                "signed",
                "`signed` is longer than any notice of ours; send its exact bytes",
            )
            .into());
        }
        // Somebody else's notice and one that never was look the same: not yours.
        let not_ours = v1::VerifyNoticeResponse::default();
        if store::provider_line(&mut conn, &provider.id, notice)
            .await?
            .is_none()
        {
            return Ok(not_ours);
        }
        let Ok(statement) = document::verify(&request.signed, &request.signature, &self.verifier)
        else {
            return Ok(not_ours);
        };
        if statement.notice_id != notice.uuid() || statement.provider_id != provider.id.as_str() {
            return Ok(not_ours);
        }
        let current = store::documents(&mut conn, &self.rules.keyring, &[notice]).await?;
        let current = current.first().ok_or_else(|| Error::not_found("notice"))?;
        Ok(v1::VerifyNoticeResponse {
            ours: true,
            superseded: statement.sequence < current.sequence,
            retracted: current.state == NoticeState::Withdrawn,
        })
    }

    #[expect(
        clippy::unused_async,
        reason = "as its neighbours: methods are called alike"
    )]
    pub(super) async fn list_signing_keys(
        &self,
        _: &MetadataMap,
        _: v1::ListSigningKeysRequest,
    ) -> Result<v1::ListSigningKeysResponse, Error> {
        // Webhooks are signed by the notices' key: it is listed under both uses.
        let uses = [
            (SigningContext::Notice, "notice"),
            (SigningContext::Notice, "webhook"),
            (SigningContext::Proof, "proof"),
            (SigningContext::Checkpoint, "checkpoint"),
        ];
        let keys = uses
            .into_iter()
            .flat_map(|(context, purpose)| {
                let keys = self.rules.keyring.public_keys(context);
                keys.into_iter().map(move |key| signing_key(&key, purpose))
            })
            .collect();
        Ok(v1::ListSigningKeysResponse { keys })
    }
}

fn signing_key(key: &PublicKey, purpose: &str) -> v1::SigningKey {
    v1::SigningKey {
        key_id: KeyId::as_str(&key.key_id).to_owned(),
        public_key: key.bytes.to_vec().into(),
        purpose: purpose.to_owned(),
    }
}
