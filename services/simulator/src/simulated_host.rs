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
use domain::url::CanonicalUrl;
use host_client::gateway_client::{GatewayClient, SubmittedAnswer};
use host_client::signed_notice::{NoticeDocument, NoticeRejection, VerifiedNotice};
use host_client::webhook::{self, Webhook, WebhookRejection};
use host_client::{NoticeVerifier, WebhookKey, notice_mail};
use http::HeaderMap;
use platform::clock::wall;
use reqwest::Url;
use tokio_util::task::TaskTracker;
use uuid::Uuid;

use super::behaviour::{
    CaseMemory, DISPUTE_TEXT, HostAction, QUESTION_TEXT, ReceivedNotice, react,
};
use super::log::{HostLog, NoticeStep};
use super::network_fault::{NetworkFault, NetworkProfile};
use super::outbox::{Outbox, OutgoingAnswer};
use super::pages::Pages;
use super::scenario::Behaviour;

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
    verifier: NoticeVerifier,
    webhook_key: RwLock<Option<WebhookKey>>,
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
        let verifier = NoticeVerifier::new(setup.id.clone(), setup.gateway.clone())
            .await
            .context("reading the hotline's keys")?;
        let outbox = Outbox::start(setup.gateway.clone(), &tasks);
        Ok(Arc::new(Self {
            is_down: AtomicBool::new(setup.behaviour == Behaviour::Down),
            setup,
            verifier,
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

    /// Accepts webhooks signed with this key from now on.
    pub fn trust_webhook_key(&self, key: WebhookKey) {
        *self
            .webhook_key
            .write()
            .unwrap_or_else(PoisonError::into_inner) = Some(key);
    }

    /// Verifies a webhook. Without a key, none is authentic.
    pub fn verify_webhook(
        &self,
        headers: &HeaderMap,
        body: &[u8],
    ) -> Result<Webhook, WebhookRejection> {
        let key = self
            .webhook_key
            .read()
            .unwrap_or_else(PoisonError::into_inner);
        let key = key.as_ref().ok_or(WebhookRejection::Forged)?;
        webhook::verify(headers, body, key)
    }

    /// Verifies and records a notice, and acts on it if it is the newest message. Returns the fault of this delivery.
    pub async fn receive(
        self: &Arc<Self>,
        document: &NoticeDocument,
        delivered_by: DeliveredBy,
    ) -> Result<NetworkFault, NoticeRejection> {
        let (verified, url) = self.verify(document).await.inspect_err(|rejection| {
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
            self.tasks.spawn(Arc::clone(self).perform(
                verified.notice,
                url,
                actions,
                Arc::new(delivered_by),
            ));
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

    async fn verify(
        &self,
        document: &NoticeDocument,
    ) -> Result<(VerifiedNotice, CanonicalUrl), NoticeRejection> {
        let verified = self.verifier.verify(document).await?;
        let url = CanonicalUrl::parse(&verified.url).map_err(|_| NoticeRejection::Malformed)?;
        Ok((verified, url))
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
        notice: Uuid,
        url: CanonicalUrl,
        actions: Vec<HostAction>,
        delivered_by: Arc<DeliveredBy>,
    ) {
        for action in actions {
            match action {
                HostAction::Answer(answer) => {
                    let outgoing = OutgoingAnswer {
                        answer: self.answer(notice, answer),
                        delivered_by: Arc::clone(&delivered_by),
                    };
                    match self.outbox.send(outgoing).await {
                        Ok(()) => self.log().record_answer(notice, answer, wall()),
                        Err(reason) => self.log().record_refusal(reason),
                    }
                    if let (Answer::NotOurs, Some(pages)) = (answer, &self.setup.pages) {
                        pages.front_answered(&url, self.id());
                    }
                }
                HostAction::TakeDown { reappears } => {
                    tokio::time::sleep(removal_time(notice)).await;
                    if let Some(pages) = &self.setup.pages {
                        pages.wait_for_front(&url, self.id()).await;
                        pages.take_down(&url, reappears);
                    }
                }
            }
        }
    }

    fn answer(&self, notice: Uuid, answer: Answer) -> SubmittedAnswer {
        let submitted = SubmittedAnswer::new(notice, answer.as_str());
        match answer {
            Answer::NotOurs => SubmittedAnswer {
                named: self.setup.upstream.clone(),
                ..submitted
            },
            Answer::NeedInformation => SubmittedAnswer {
                text: Some(QUESTION_TEXT.to_owned()),
                ..submitted
            },
            Answer::Disputed => SubmittedAnswer {
                text: Some(DISPUTE_TEXT.to_owned()),
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

/// Parses a behaviour given on the command line.
pub fn parse_behaviour(text: &str) -> Result<Behaviour, String> {
    Behaviour::from_str(text).map_err(|_| {
        let known: Vec<String> = Behaviour::ALL.iter().map(ToString::to_string).collect();
        format!("`{text}` is not one of: {}", known.join(", "))
    })
}
