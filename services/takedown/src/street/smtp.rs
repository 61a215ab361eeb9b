//! A mail server for the street's mailboxes (RFC 5321, receiving only, loopback only). Takes mail for those who live
//! here, keeps none: a mail is handed to its addressee and forgotten.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, bail};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;

use super::files::Behaviour;
use super::mishap::Mishap;
use super::player::Player;

/// RFC 5321 section 4.5.3.1 asks for 1,000 octets in a line of text; base64 and headers stay below.
const LINE_LIMIT: u64 = 4096;
const MAIL_LIMIT: usize = 512 * 1024;
/// RFC 5321 section 4.5.3.2 would have five minutes; nobody on a loopback is that slow.
const PATIENCE: Duration = Duration::from_mins(2);

/// Whose mailbox an address is.
pub type Mailboxes = Arc<dyn Fn(&str) -> Option<Arc<Player>> + Send + Sync>;

/// Serves until shutdown; sessions that are open then are dropped.
pub async fn serve(listener: TcpListener, mailboxes: Mailboxes, shutdown: CancellationToken) {
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = shutdown.cancelled() => return,
        };
        let Ok((stream, _)) = accepted else {
            tokio::time::sleep(Duration::from_millis(100)).await;
            continue;
        };
        let (mailboxes, shutdown) = (Arc::clone(&mailboxes), shutdown.clone());
        tokio::spawn(async move {
            let mut session = Session::new(stream, mailboxes);
            tokio::select! {
                // A session that ends badly is the sender's to repeat.
                _ = session.run() => {}
                () = shutdown.cancelled() => {}
            }
        });
    }
}

struct Session {
    stream: BufReader<TcpStream>,
    mailboxes: Mailboxes,
    has_sender: bool,
    to: Vec<Arc<Player>>,
}

impl Session {
    fn new(stream: TcpStream, mailboxes: Mailboxes) -> Self {
        Self {
            stream: BufReader::new(stream),
            mailboxes,
            has_sender: false,
            to: Vec::new(),
        }
    }

    async fn run(&mut self) -> Result<()> {
        self.stream.get_ref().set_nodelay(true)?;
        self.say("220 street.test ESMTP").await?;
        loop {
            let line = self.line().await?;
            let line = String::from_utf8_lossy(&line).trim_end().to_owned();
            let verb: String = line.chars().take_while(char::is_ascii_alphabetic).collect();
            match verb.to_ascii_uppercase().as_str() {
                "EHLO" => {
                    self.say("250-street.test\r\n250-8BITMIME\r\n250 SIZE 524288")
                        .await?;
                }
                "HELO" | "NOOP" => self.say("250 street.test").await?,
                "RSET" => {
                    self.forget();
                    self.say("250 forgotten").await?;
                }
                "MAIL" => {
                    self.forget();
                    self.has_sender = true;
                    self.say("250 go on").await?;
                }
                "RCPT" if !self.has_sender => self.say("503 MAIL comes first").await?,
                "RCPT" => self.recipient(&line).await?,
                "DATA" if self.to.is_empty() => self.say("503 RCPT comes first").await?,
                "DATA" => self.data().await?,
                "QUIT" => return self.say("221 bye").await,
                _ => self.say("500 not understood").await?,
            }
        }
    }

    async fn recipient(&mut self, line: &str) -> Result<()> {
        let address = line
            .split_once('<')
            .and_then(|(_, rest)| rest.split_once('>'));
        let player = address.and_then(|(address, _)| (self.mailboxes)(address));
        match player {
            None => self.say("550 5.1.1 nobody of that name lives here").await,
            Some(player) if player.behaviour() == Behaviour::Bounces => {
                self.say("550 5.2.1 this mailbox takes no mail").await
            }
            Some(player) if player.is_down() => {
                self.say("421 4.3.2 this host is down, try again later")
                    .await?;
                bail!("closed, as 421 says")
            }
            Some(player) => {
                self.to.push(player);
                self.say("250 go on").await
            }
        }
    }

    async fn data(&mut self) -> Result<()> {
        self.say("354 end with a dot").await?;
        let mut mail = Vec::new();
        loop {
            let line = self.line().await?;
            if line == b".\r\n" {
                break;
            }
            // RFC 5321 section 4.5.2: a leading dot was doubled.
            mail.extend_from_slice(line.strip_prefix(b".").unwrap_or(&line));
            if mail.len() > MAIL_LIMIT {
                bail!("the mail is too long");
            }
        }
        let mut mishap = Mishap::None;
        for player in std::mem::take(&mut self.to) {
            // What is not believed was taken all the same: mail has nobody to tell.
            mishap = player.hear_mail(&mail).await.unwrap_or(Mishap::None);
        }
        self.forget();
        match mishap.come().await {
            Mishap::None => self.say("250 taken").await,
            Mishap::NotNow | Mishap::NotNowLate => self.say("451 4.3.0 not now").await,
            Mishap::ReplyLost | Mishap::ReplyLostLate => bail!("the reply is lost on the way"),
        }
    }

    fn forget(&mut self) {
        self.has_sender = false;
        self.to.clear();
    }

    async fn line(&mut self) -> Result<Vec<u8>> {
        let mut line = Vec::new();
        let mut limited = (&mut self.stream).take(LINE_LIMIT);
        let read = tokio::time::timeout(PATIENCE, limited.read_until(b'\n', &mut line)).await??;
        if read == 0 || line.last() != Some(&b'\n') {
            bail!("the other side went away, or wrote too long a line");
        }
        Ok(line)
    }

    async fn say(&mut self, reply: &str) -> Result<()> {
        let stream = self.stream.get_mut();
        stream.write_all(format!("{reply}\r\n").as_bytes()).await?;
        Ok(stream.flush().await?)
    }
}
