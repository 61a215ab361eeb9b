//! Verifies notices for one provider with the hotline's current keys, which it fetches again when the hotline has replaced
//! them.

use std::sync::{PoisonError, RwLock};

use crate::gateway_client::{GatewayClient, GatewayError};
use crate::keys::HotlineKeys;
use crate::signed_notice::{NoticeDocument, NoticeRejection, VerifiedNotice, verify};

pub struct NoticeVerifier {
    own_id: String,
    gateway: GatewayClient,
    keys: RwLock<HotlineKeys>,
}

impl NoticeVerifier {
    /// Fetches the hotline's keys.
    ///
    /// # Errors
    /// They cannot be fetched.
    pub async fn new(own_id: String, gateway: GatewayClient) -> Result<Self, GatewayError> {
        let keys = RwLock::new(gateway.notice_keys().await?);
        Ok(Self {
            own_id,
            gateway,
            keys,
        })
    }

    /// Verifies a notice.
    ///
    /// # Errors
    /// The first check that failed.
    pub async fn verify(
        &self,
        document: &NoticeDocument,
    ) -> Result<VerifiedNotice, NoticeRejection> {
        let result = self.verify_with_known_keys(document);
        if result.as_ref().err() != Some(&NoticeRejection::UnknownKey) {
            return result;
        }
        // The hotline may have replaced its key. A forger can cause this request, and nothing more.
        if let Ok(current) = self.gateway.notice_keys().await {
            *self.keys.write().unwrap_or_else(PoisonError::into_inner) = current;
        }
        self.verify_with_known_keys(document)
    }

    fn verify_with_known_keys(
        &self,
        document: &NoticeDocument,
    ) -> Result<VerifiedNotice, NoticeRejection> {
        let keys = self.keys.read().unwrap_or_else(PoisonError::into_inner);
        verify(document, &self.own_id, &keys, crate::now())
    }
}
