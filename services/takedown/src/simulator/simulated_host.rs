//! One simulated provider: receives notices on any delivery channel, verifies them, and acts by its behaviour.
//!
//! It knows the hotline by its REST API and its mails only.

use std::collections::HashMap;
use std::str::FromStr as _;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use anyhow::{Context as _, Result};
use domain::enums::Answer;
use platform::clock::wall;
use platform::sealed::{KeyId, PublicKey, SigningContext, Verifier};
use reqwest::Url;
use tokio_util::task::TaskTracker;
use uuid::Uuid;

use super::behaviour::{
    CaseMemory, DISPUTE_TEXT, HostAction, QUESTION_TEXT, ReceivedNotice, react,
};
use super::gateway_client::{GatewayClient, SubmittedAnswer};
use super::log::{HostLog, NoticeStep};
use super::network_fault::{NetworkFault, NetworkProfile};
use super::notice_mail;
use super::outbox::{Outbox, OutgoingAnswer};
use super::pages::Pages;
use super::scenario::Behaviour;
use super::signed_notice::{NoticeDocument, NoticeRejection, VerifiedNotice, verify};

pub struct HostSetup {
    pub id: String,
    pub behaviour: Behaviour,
    /// The provider that it names with `not_ours`.
    pub upstream: Option<String>,
    pub gateway: GatewayClient,
    pub log: Arc<HostLog>,
    /// `None` outside a simulation: the host answers, and its staff remove the content.
    pub pages: Option<Arc<Pages>>,
    pub network: NetworkProfile,
}

pub struct SimulatedHost {
    setup: HostSetup,
    keys: RwLock<Verifier>,
    webhook_key: RwLock<Option<Verifier>>,
    memory: Mutex<HashMap<Uuid, CaseMemory>>,
    /// The newest message of each notice: sequence, then time of issue.
    newest: Mutex<HashMap<Uuid, (u32, time::OffsetDateTime)>>,
    outbox: Outbox,
    is_down: AtomicBool,
    tasks: TaskTracker,
}

/// How a notice was delivered, which decides how it is answered.
pub enum DeliveredBy {
    /// Answered by the API. No network faults: a page that was not read is fetched again.
    PullApi,
    /// Answered by the API.
    Webhook,
    /// Answered by this link.
    Mail(Url),
}

impl SimulatedHost {
    /// Fetches the hotline's notice keys.
    pub async fn new(setup: HostSetup, tasks: TaskTracker) -> Result<Arc<Self>> {
        let keys = setup
            .gateway
            .notice_keys()
            .await
            .context("reading the hotline's keys")?;
        let outbox = Outbox::start(setup.gateway.clone(), &tasks);
        Ok(Arc::new(Self {
            is_down: AtomicBool::new(setup.behaviour == Behaviour::Down),
            setup,
            keys: RwLock::new(keys),
            webhook_key: RwLock::default(),
            memory: Mutex::default(),
            newest: Mutex::default(),
            outbox,
            tasks,
        }))
    }

    pub fn id(&self) -> &str {
        &self.setup.id
    }

    pub fn behaviour(&self) -> Behaviour {
        self.setup.behaviour
    }

    pub fn gateway(&self) -> &GatewayClient {
        &self.setup.gateway
    }

    pub fn log(&self) -> &HostLog {
        &self.setup.log
    }

    pub fn is_down(&self) -> bool {
        self.is_down.load(Ordering::Relaxed)
    }

    pub fn end_outage(&self) {
        self.is_down.store(false, Ordering::Relaxed);
    }

    /// Accepts webhooks signed with this key (`whpk_…`, Standard Webhooks) from now on.
    pub fn trust_webhook_key(&self, whpk: &str) -> Result<()> {
        let key = PublicKey::from_whpk(webhook_key_id(), whpk)?;
        let verifier = Verifier::new(SigningContext::Notice, [key])?;
        *self
            .webhook_key
            .write()
            .unwrap_or_else(PoisonError::into_inner) = Some(verifier);
        Ok(())
    }

    /// True if `signature` is the hotline's webhook signature of these bytes.
    pub fn is_from_hotline(&self, signed: &[u8], signature: &[u8]) -> bool {
        let key = self
            .webhook_key
            .read()
            .unwrap_or_else(PoisonError::into_inner);
        key.as_ref()
            .is_some_and(|key| key.verify_raw(&webhook_key_id(), signed, signature).is_ok())
    }

    /// Verifies and records a notice, and acts on it if it is the newest message. Returns the fault of this delivery.
    pub async fn receive(
        self: &Arc<Self>,
        document: &NoticeDocument,
        delivered_by: DeliveredBy,
    ) -> Result<NetworkFault, NoticeRejection> {
        let verified = self.verify(document).await.inspect_err(|rejection| {
            self.log().record_refusal(rejection.code());
        })?;
        let step = NoticeStep {
            case: verified.case,
            provider: self.setup.id.clone(),
            episode: verified.episode,
            step: verified.step,
        };
        let earlier = self
            .log()
            .count_delivery(step.clone(), verified.notice, verified.sequence);
        let pushed = !matches!(delivered_by, DeliveredBy::PullApi);
        let fault = if pushed {
            NetworkFault::for_delivery(self.setup.network, verified.notice, earlier)
        } else {
            NetworkFault::None
        };
        self.log().record_message(step, &verified, pushed, fault);
        if !fault.is_accepted() || !self.is_newest(&verified) {
            return Ok(fault);
        }
        let received = ReceivedNotice {
            notice: verified.notice,
            episode: verified.episode,
            sequence: verified.sequence,
            kind: verified.kind,
        };
        let actions = {
            let mut memory = self.memory.lock().unwrap_or_else(PoisonError::into_inner);
            react(
                self.behaviour(),
                memory.entry(verified.case).or_default(),
                received,
            )
        };
        if !actions.is_empty() {
            self.tasks
                .spawn(Arc::clone(self).perform(verified, actions, Arc::new(delivered_by)));
        }
        Ok(fault)
    }

    /// As [`Self::receive`], for a mail.
    pub async fn receive_mail(
        self: &Arc<Self>,
        mail: &[u8],
    ) -> Result<NetworkFault, NoticeRejection> {
        let Some(mail) = notice_mail::parse(mail) else {
            self.log().record_refusal(NoticeRejection::Malformed.code());
            return Err(NoticeRejection::Malformed);
        };
        self.receive(&mail.notice, DeliveredBy::Mail(mail.link))
            .await
    }

    async fn verify(&self, document: &NoticeDocument) -> Result<VerifiedNotice, NoticeRejection> {
        let keys = || {
            self.keys
                .read()
                .unwrap_or_else(PoisonError::into_inner)
                .clone()
        };
        let result = verify(document, self.id(), &keys(), wall());
        if result.as_ref().err() != Some(&NoticeRejection::UnknownKey) {
            return result;
        }
        // The hotline may have rotated its key. A forger can cause this request, and nothing more.
        if let Ok(current) = self.gateway().notice_keys().await {
            *self.keys.write().unwrap_or_else(PoisonError::into_inner) = current;
        }
        verify(document, self.id(), &keys(), wall())
    }

    /// The highest sequence is the newest message, and among equal sequences the latest issue.
    fn is_newest(&self, verified: &VerifiedNotice) -> bool {
        let mut newest = self.newest.lock().unwrap_or_else(PoisonError::into_inner);
        let this = (verified.sequence, verified.issued);
        let known = newest.entry(verified.notice).or_insert(this);
        *known = this.max(*known);
        this == *known
    }

    async fn perform(
        self: Arc<Self>,
        verified: VerifiedNotice,
        actions: Vec<HostAction>,
        delivered_by: Arc<DeliveredBy>,
    ) {
        for action in actions {
            match action {
                HostAction::Answer(answer) => {
                    let outgoing = OutgoingAnswer {
                        answer: self.answer(verified.notice, answer),
                        delivered_by: Arc::clone(&delivered_by),
                    };
                    match self.outbox.send(outgoing).await {
                        Ok(()) => self.log().record_answer(verified.notice, answer, wall()),
                        Err(reason) => self.log().record_refusal(reason),
                    }
                    if let (Answer::NotOurs, Some(pages)) = (answer, &self.setup.pages) {
                        pages.front_answered(&verified.url, self.id());
                    }
                }
                HostAction::TakeDown { reappears } => {
                    tokio::time::sleep(removal_time(verified.notice)).await;
                    if let Some(pages) = &self.setup.pages {
                        pages.wait_for_front(&verified.url, self.id()).await;
                        pages.take_down(&verified.url, reappears);
                    }
                }
            }
        }
    }

    fn answer(&self, notice: Uuid, answer: Answer) -> SubmittedAnswer {
        let submitted = SubmittedAnswer::new(notice, answer);
        match answer {
            Answer::NotOurs => SubmittedAnswer {
                named: self.setup.upstream.clone(),
                ..submitted
            },
            Answer::NeedInformation => SubmittedAnswer {
                text: Some(QUESTION_TEXT),
                ..submitted
            },
            Answer::Disputed => SubmittedAnswer {
                text: Some(DISPUTE_TEXT),
                ..submitted
            },
            _ => submitted,
        }
    }
}

/// How long a person takes to remove a page: between a fifth of a second and one second.
fn removal_time(notice: Uuid) -> Duration {
    Duration::from_millis(200 + u64::from(notice.as_bytes()[1]) * 3)
}

fn webhook_key_id() -> KeyId {
    // Standard Webhooks has no key ids.
    KeyId::parse("webhook").expect("lower-case letters")
}

/// Parses a behaviour given on the command line.
pub fn parse_behaviour(text: &str) -> Result<Behaviour, String> {
    Behaviour::from_str(text).map_err(|_| {
        let known: Vec<String> = Behaviour::ALL.iter().map(ToString::to_string).collect();
        format!("`{text}` is not one of: {}", known.join(", "))
    })
}
