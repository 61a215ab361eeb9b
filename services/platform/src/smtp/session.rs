//! One connection, from greeting to farewell.

use std::io;
use std::sync::Arc;

use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;

use super::command::{self, Command};
use super::secure::{self, Io};
use super::{Mail, Mailroom, Peer, Reply, Settings};

/// RFC 5321 section 4.5.3.1.4 has 512 octets, more with extensions.
const COMMAND: usize = 2048;
/// Lines that make no sense, or addresses that nobody has: whoever sends more of them is only trying.
const FAULTS: u32 = 10;

const GO_ON: Reply = Reply::Say("250 2.0.0 go on");
const NOT_NOW: Reply = Reply::Close("421 4.3.2 closing, come again");
const TOO_LARGE: Reply = Reply::Close("552 5.3.4 the mail is too large");

pub(super) struct Session<M: Mailroom> {
    peer: Peer,
    room: M,
    settings: Arc<Settings>,
    shutdown: CancellationToken,
    is_secure: bool,
    faults: u32,
    /// Since MAIL: its sender, empty where it was the null one.
    sender: Option<String>,
    recipients: Vec<M::Recipient>,
}

type Stream = BufReader<Box<dyn Io>>;

/// What comes after a reply.
enum Next {
    Goes(Reply),
    /// What this server can do, where the other side wants to know.
    Greets {
        extended: bool,
    },
    Secure,
    Data,
}

impl<M: Mailroom> Session<M> {
    pub(super) fn new(
        peer: Peer,
        room: M,
        settings: Arc<Settings>,
        shutdown: CancellationToken,
    ) -> Self {
        Self {
            peer,
            room,
            settings,
            shutdown,
            is_secure: false,
            faults: 0,
            sender: None,
            recipients: Vec::new(),
        }
    }

    pub(super) async fn run(mut self, stream: TcpStream) -> io::Result<()> {
        let mut stream: Stream = BufReader::new(Box::new(stream));
        let greeting = format!("220 {} ESMTP", self.settings.name);
        say(&mut stream, &greeting).await?;
        loop {
            let reply = match self.line(&mut stream).await? {
                Some(line) => match self.answer(&line).await {
                    Next::Goes(reply) => reply,
                    Next::Greets { extended } => {
                        say(&mut stream, &self.greeting(extended)).await?;
                        continue;
                    }
                    Next::Data => self.data(&mut stream).await?,
                    Next::Secure => match self.secure(stream).await? {
                        Some(secured) => {
                            stream = secured;
                            continue;
                        }
                        None => return Ok(()),
                    },
                },
                None => NOT_NOW,
            };
            match reply {
                Reply::Say(text) => say(&mut stream, text).await?,
                Reply::Close(text) => return say(&mut stream, text).await,
                Reply::Vanish => return Ok(()),
            }
            if self.faults > FAULTS {
                return say(&mut stream, "421 4.7.0 too many faults").await;
            }
        }
    }

    async fn answer(&mut self, line: &str) -> Next {
        Next::Goes(match command::parse(line) {
            hello @ (Command::Ehlo | Command::Helo) => {
                self.forget();
                let extended = hello == Command::Ehlo;
                return Next::Greets { extended };
            }
            Command::StartTls if !self.offers_tls() => self.fault("502 5.5.1 not offered"),
            Command::StartTls => return Next::Secure,
            Command::Mail(_, Some(size)) if size > self.settings.limits.size => {
                Reply::Say("552 5.3.4 the mail is too large")
            }
            Command::Mail(sender, _) => {
                self.forget();
                self.sender = Some(sender.unwrap_or_default());
                GO_ON
            }
            Command::Rcpt(_) if self.sender.is_none() => self.fault("503 5.5.1 MAIL comes first"),
            Command::Rcpt(_) if self.recipients.len() >= self.settings.limits.recipients => {
                Reply::Say("452 4.5.3 too many addresses at once")
            }
            Command::Rcpt(address) => self.recipient(&address).await,
            Command::Data if self.recipients.is_empty() => self.fault("503 5.5.1 RCPT comes first"),
            Command::Data => return Next::Data,
            Command::Reset => {
                self.forget();
                GO_ON
            }
            Command::Nothing => GO_ON,
            Command::Quit => Reply::Close("221 2.0.0 bye"),
            Command::NotHere => self.fault("502 5.5.1 not here"),
            Command::Unknown => self.fault("500 5.5.2 not understood"),
        })
    }

    fn offers_tls(&self) -> bool {
        self.settings.tls.is_some() && !self.is_secure
    }

    fn greeting(&self, extended: bool) -> String {
        let (name, size) = (&self.settings.name, self.settings.limits.size);
        if !extended {
            return format!("250 {name}");
        }
        let tls = if self.offers_tls() {
            "250-STARTTLS\r\n"
        } else {
            ""
        };
        format!("250-{name}\r\n250-8BITMIME\r\n250-ENHANCEDSTATUSCODES\r\n{tls}250 SIZE {size}")
    }

    fn fault(&mut self, text: &'static str) -> Reply {
        self.faults += 1;
        Reply::Say(text)
    }

    async fn recipient(&mut self, address: &str) -> Reply {
        match self.room.recipient(self.peer, address).await {
            Ok(recipient) => {
                self.recipients.push(recipient);
                GO_ON
            }
            Err(refusal) => {
                self.faults += 1;
                refusal
            }
        }
    }

    async fn data(&mut self, stream: &mut Stream) -> io::Result<Reply> {
        say(stream, "354 end with a dot").await?;
        let limit = self.settings.limits.size;
        let mut bytes = Vec::new();
        loop {
            let room = (limit - bytes.len()) as u64 + 3;
            let start = bytes.len();
            let mut limited = (&mut *stream).take(room);
            let read = limited.read_until(b'\n', &mut bytes);
            let read = tokio::time::timeout(self.settings.limits.patience, read).await??;
            let line = &bytes[start..];
            if read == 0 || line.last() != Some(&b'\n') {
                // Gone, or beyond the limit within one line.
                return Ok(if read as u64 == room {
                    TOO_LARGE
                } else {
                    Reply::Vanish
                });
            }
            if !line.ends_with(b"\r\n") {
                // RFC 5321 section 2.3.8: servers that differ about a bare line feed see different mails.
                return Ok(Reply::Close("550 5.6.0 a line ended without CRLF"));
            }
            if line == b".\r\n" {
                bytes.truncate(start);
                break;
            }
            if line.starts_with(b".") {
                // Section 4.5.2: a leading dot was doubled.
                bytes.remove(start);
            }
            if bytes.len() > limit {
                return Ok(TOO_LARGE);
            }
        }
        let mail = Mail {
            sender: self.sender.take().filter(|sender| !sender.is_empty()),
            recipients: std::mem::take(&mut self.recipients),
            bytes,
        };
        Ok(self.room.take(mail).await)
    }

    async fn secure(&mut self, mut stream: Stream) -> io::Result<Option<Stream>> {
        let acceptor = self.settings.tls.as_ref().and_then(secure::acceptor);
        let Some(acceptor) = acceptor else {
            tracing::error!(
                alarm = "mail_certificate",
                "the certificate for mail cannot be used"
            );
            say(&mut stream, "454 4.7.0 TLS is not available").await?;
            return Ok(Some(stream));
        };
        if !stream.buffer().is_empty() {
            // RFC 3207 section 4.2: what was sent before TLS must not count as said within it.
            return Ok(None);
        }
        say(&mut stream, "220 2.0.0 go on").await?;
        let patience = self.settings.limits.patience;
        let secured =
            tokio::time::timeout(patience, acceptor.accept(stream.into_inner())).await??;
        self.is_secure = true;
        self.forget();
        Ok(Some(BufReader::new(Box::new(secured))))
    }

    fn forget(&mut self) {
        self.sender = None;
        self.recipients.clear();
    }

    /// The next command; `None` when this server ends.
    async fn line(&mut self, stream: &mut Stream) -> io::Result<Option<String>> {
        let mut line = Vec::new();
        let mut limited = stream.take(COMMAND as u64);
        let read = tokio::time::timeout(
            self.settings.limits.patience,
            limited.read_until(b'\n', &mut line),
        );
        let read = tokio::select! {
            read = read => read??,
            () = self.shutdown.cancelled() => return Ok(None),
        };
        if read == 0 || line.last() != Some(&b'\n') {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(Some(String::from_utf8_lossy(&line).trim_end().to_owned()))
    }
}

async fn say(stream: &mut Stream, text: &str) -> io::Result<()> {
    let stream = stream.get_mut();
    stream.write_all(format!("{text}\r\n").as_bytes()).await?;
    stream.flush().await
}
