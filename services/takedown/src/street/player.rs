//! One provider at work: hears notices on any channel, checks them, and does what its behaviour says.
//!
//! It knows the hotline by its REST API and its mails alone, and the street by its pages.

use std::collections::HashMap;
use std::str::FromStr as _;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use anyhow::{Context as _, Result};
use domain::word::Answer;
use platform::clock::wall;
use platform::sealed::{KeyId, PublicKey, SigningContext, Verifier};
use reqwest::Url;
use tokio_util::task::TaskTracker;
use uuid::Uuid;

use super::behaviour::{Act, DOUBT, Heard, Memory, QUESTION, react};
use super::files::Behaviour;
use super::gateway::{Gateway, Said};
use super::letter;
use super::log::{HostLog, Step};
use super::mishap::{Mishap, Transport};
use super::outbox::{Outbox, Reply};
use super::pages::Pages;
use super::signed::{Believed, Doubt, Shown, believe};

/// Who plays, and what it has around it.
pub struct Setting {
    pub id: String,
    pub behaviour: Behaviour,
    /// Whom it names when it is not theirs.
    pub upstream: Option<String>,
    pub gateway: Gateway,
    pub log: Arc<HostLog>,
    /// None for a host that stands alone: it answers, and its people do the rest.
    pub pages: Option<Arc<Pages>>,
    pub transport: Transport,
}

pub struct Player {
    setting: Setting,
    keys: RwLock<Verifier>,
    webhook_key: RwLock<Option<Verifier>>,
    memory: Mutex<HashMap<Uuid, Memory>>,
    /// The newest word about each notice: sequence, then time of issue.
    newest: Mutex<HashMap<Uuid, (u32, time::OffsetDateTime)>>,
    outbox: Outbox,
    is_down: AtomicBool,
    tasks: TaskTracker,
}

/// How a notice came.
pub enum Came {
    /// Read from the pull API, and answered by it. Nothing is lost on the way: what was not read is asked for again.
    Pulled,
    /// By webhook; answered by the API.
    Pushed,
    /// By mail; answered by its link.
    Mail(Url),
}

impl Player {
    /// Fetches the hotline's keys; the webhook's key too, where this host has a key of its own.
    pub async fn new(setting: Setting, tasks: TaskTracker) -> Result<Arc<Self>> {
        let keys = setting
            .gateway
            .keys()
            .await
            .context("reading the hotline's keys")?;
        let outbox = Outbox::start(setting.gateway.clone(), &tasks);
        Ok(Arc::new(Self {
            is_down: AtomicBool::new(setting.behaviour == Behaviour::Down),
            setting,
            keys: RwLock::new(keys),
            webhook_key: RwLock::default(),
            memory: Mutex::default(),
            newest: Mutex::default(),
            outbox,
            tasks,
        }))
    }

    pub fn id(&self) -> &str {
        &self.setting.id
    }

    pub fn behaviour(&self) -> Behaviour {
        self.setting.behaviour
    }

    pub fn gateway(&self) -> &Gateway {
        &self.setting.gateway
    }

    pub fn log(&self) -> &HostLog {
        &self.setting.log
    }

    pub fn is_down(&self) -> bool {
        self.is_down.load(Ordering::Relaxed)
    }

    pub fn come_up(&self) {
        self.is_down.store(false, Ordering::Relaxed);
    }

    /// Takes webhooks signed with this key (`whpk_…`) from now on.
    pub fn trust_webhook_key(&self, whpk: &str) -> Result<()> {
        let key = PublicKey::from_whpk(webhook_key_id(), whpk)?;
        let verifier = Verifier::new(SigningContext::Notice, [key])?;
        *self
            .webhook_key
            .write()
            .unwrap_or_else(PoisonError::into_inner) = Some(verifier);
        Ok(())
    }

    /// Whether bytes carry the hotline's webhook signature.
    pub fn is_from_hotline(&self, signed: &[u8], signature: &[u8]) -> bool {
        let key = self
            .webhook_key
            .read()
            .unwrap_or_else(PoisonError::into_inner);
        key.as_ref()
            .is_some_and(|key| key.verify_raw(&webhook_key_id(), signed, signature).is_ok())
    }

    /// A notice arrived: it is checked, written down and, where it is news, acted on.
    pub async fn hear(self: &Arc<Self>, shown: &Shown, came: Came) -> Result<Mishap, Doubt> {
        let believed = self.believe(shown).await.inspect_err(|doubt| {
            self.log().refuse(doubt.code());
        })?;
        let step = Step {
            case: believed.case,
            provider: self.setting.id.clone(),
            episode: believed.episode,
            step: believed.step,
        };
        let before = self
            .log()
            .receive(step.clone(), believed.notice, believed.sequence);
        let brought = !matches!(came, Came::Pulled);
        let mishap = if brought {
            Mishap::on_the_way(self.setting.transport, believed.notice, before)
        } else {
            Mishap::None
        };
        self.log().arrived(step, &believed, brought, mishap);
        if !mishap.is_taken() || !self.is_newest(&believed) {
            return Ok(mishap);
        }
        let heard = Heard {
            notice: believed.notice,
            episode: believed.episode,
            sequence: believed.sequence,
            message: believed.message,
        };
        let acts = {
            let mut memory = self.memory.lock().unwrap_or_else(PoisonError::into_inner);
            react(
                self.behaviour(),
                memory.entry(believed.case).or_default(),
                heard,
            )
        };
        if !acts.is_empty() {
            self.tasks
                .spawn(Arc::clone(self).act(believed, acts, Arc::new(came)));
        }
        Ok(mishap)
    }

    /// A mail arrived.
    pub async fn hear_mail(self: &Arc<Self>, mail: &[u8]) -> Result<Mishap, Doubt> {
        let Some(letter) = letter::read(mail) else {
            self.log().refuse(Doubt::Malformed.code());
            return Err(Doubt::Malformed);
        };
        self.hear(&letter.shown, Came::Mail(letter.link)).await
    }

    async fn believe(&self, shown: &Shown) -> Result<Believed, Doubt> {
        let keys = || {
            self.keys
                .read()
                .unwrap_or_else(PoisonError::into_inner)
                .clone()
        };
        let believed = believe(shown, self.id(), &keys(), wall());
        if believed.as_ref().err() != Some(&Doubt::UnknownKey) {
            return believed;
        }
        // The hotline may have changed its key; a forger makes us ask, and no more.
        if let Ok(fresh) = self.gateway().keys().await {
            *self.keys.write().unwrap_or_else(PoisonError::into_inner) = fresh;
        }
        believe(shown, self.id(), &keys(), wall())
    }

    /// The highest sequence holds, and among equals the newest issue.
    fn is_newest(&self, believed: &Believed) -> bool {
        let mut newest = self.newest.lock().unwrap_or_else(PoisonError::into_inner);
        let this = (believed.sequence, believed.issued);
        let known = newest.entry(believed.notice).or_insert(this);
        *known = this.max(*known);
        this == *known
    }

    async fn act(self: Arc<Self>, believed: Believed, acts: Vec<Act>, came: Arc<Came>) {
        for act in acts {
            match act {
                Act::Answer(answer) => {
                    let said = self.word(believed.notice, answer);
                    let taken = self
                        .outbox
                        .say(Reply {
                            said,
                            came: Arc::clone(&came),
                        })
                        .await;
                    match taken {
                        Ok(()) => self.log().answered(believed.notice, answer, wall()),
                        Err(reason) => self.log().refuse(reason),
                    }
                    if let (Answer::NotOurs, Some(pages)) = (answer, &self.setting.pages) {
                        pages.front_has_spoken(&believed.url, self.id());
                    }
                }
                Act::TakeDown { comes_back } => {
                    tokio::time::sleep(think(believed.notice)).await;
                    if let Some(pages) = &self.setting.pages {
                        pages.front_settles(&believed.url, self.id()).await;
                        pages.take_down(&believed.url, comes_back);
                    }
                }
            }
        }
    }

    fn word(&self, notice: Uuid, answer: Answer) -> Said {
        let said = Said::new(notice, answer);
        match answer {
            Answer::NotOurs => Said {
                named: self.setting.upstream.clone(),
                ..said
            },
            Answer::NeedInformation => Said {
                text: Some(QUESTION),
                ..said
            },
            Answer::Disputed => Said {
                text: Some(DOUBT),
                ..said
            },
            _ => said,
        }
    }
}

/// How long somebody takes to remove a page: a fifth of a second to a full one.
fn think(notice: Uuid) -> Duration {
    Duration::from_millis(200 + u64::from(notice.as_bytes()[1]) * 3)
}

fn webhook_key_id() -> KeyId {
    // The form of webhooks names no key.
    KeyId::parse("webhook").expect("lower-case letters")
}

/// Reads a behaviour for the command line.
pub fn behaviour(text: &str) -> Result<Behaviour, String> {
    Behaviour::from_str(text).map_err(|_| {
        let known: Vec<String> = Behaviour::ALL.iter().map(ToString::to_string).collect();
        format!("`{text}` is not one of: {}", known.join(", "))
    })
}
