//! An SMTP session: one connection from the greeting to the end.

use std::io;
use std::sync::Arc;

use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;

use super::command::{self, Command};
use super::secure::{self, Io};
use super::{Mail, MailHandler, Peer, SmtpReply, SmtpSettings};

/// Longest command line in bytes. RFC 5321 section 4.5.3.1.4 requires 512, more with extensions.
const MAX_COMMAND: usize = 2048;
/// Largest number of invalid commands and unknown addresses in a session; a client with more is probing.
const MAX_FAULTS: u32 = 10;

const OK: SmtpReply = SmtpReply::Continue("250 2.0.0 OK");
const SHUTTING_DOWN: SmtpReply = SmtpReply::Close("421 4.3.2 shutting down, try again later");
const TOO_LARGE: SmtpReply = SmtpReply::Close("552 5.3.4 message too large");

pub(super) struct SmtpSession<M: MailHandler> {
    peer: Peer,
    handler: M,
    settings: Arc<SmtpSettings>,
    shutdown: CancellationToken,
    is_secure: bool,
    faults: u32,
    /// The sender of MAIL; empty for the null reverse-path, `None` before MAIL.
    sender: Option<String>,
    recipients: Vec<M::Recipient>,
}

type SmtpStream = BufReader<Box<dyn Io>>;

/// What follows a command.
enum NextStep {
    Reply(SmtpReply),
    /// The reply to HELO, or to EHLO with the list of extensions.
    Greeting {
        extended: bool,
    },
    StartTls,
    Data,
}

impl<M: MailHandler> SmtpSession<M> {
    pub(super) fn new(
        peer: Peer,
        handler: M,
        settings: Arc<SmtpSettings>,
        shutdown: CancellationToken,
    ) -> Self {
        Self {
            peer,
            handler,
            settings,
            shutdown,
            is_secure: false,
            faults: 0,
            sender: None,
            recipients: Vec::new(),
        }
    }

    pub(super) async fn run(mut self, stream: TcpStream) -> io::Result<()> {
        let mut stream: SmtpStream = BufReader::new(Box::new(stream));
        let greeting = format!("220 {} ESMTP", self.settings.name);
        write_reply(&mut stream, &greeting).await?;
        loop {
            let reply = match self.read_line(&mut stream).await? {
                Some(line) => match self.process(&line).await {
                    NextStep::Reply(reply) => reply,
                    NextStep::Greeting { extended } => {
                        write_reply(&mut stream, &self.greeting(extended)).await?;
                        continue;
                    }
                    NextStep::Data => self.receive_data(&mut stream).await?,
                    NextStep::StartTls => match self.start_tls(stream).await? {
                        Some(encrypted) => {
                            stream = encrypted;
                            continue;
                        }
                        None => return Ok(()),
                    },
                },
                None => SHUTTING_DOWN,
            };
            match reply {
                SmtpReply::Continue(text) => write_reply(&mut stream, text).await?,
                SmtpReply::Close(text) => return write_reply(&mut stream, text).await,
                SmtpReply::Disconnect => return Ok(()),
            }
            if self.faults > MAX_FAULTS {
                return write_reply(&mut stream, "421 4.7.0 too many errors").await;
            }
        }
    }

    async fn process(&mut self, line: &str) -> NextStep {
        NextStep::Reply(match command::parse(line) {
            hello @ (Command::Ehlo | Command::Helo) => {
                self.reset();
                let extended = hello == Command::Ehlo;
                return NextStep::Greeting { extended };
            }
            Command::StartTls if !self.offers_tls() => {
                self.fault("502 5.5.1 STARTTLS not available")
            }
            Command::StartTls => return NextStep::StartTls,
            Command::Mail(_, Some(size)) if size > self.settings.limits.size => {
                SmtpReply::Continue("552 5.3.4 message too large")
            }
            Command::Mail(sender, _) => {
                self.reset();
                self.sender = Some(sender.unwrap_or_default());
                OK
            }
            Command::Rcpt(_) if self.sender.is_none() => self.fault("503 5.5.1 send MAIL first"),
            Command::Rcpt(_) if self.recipients.len() >= self.settings.limits.recipients => {
                SmtpReply::Continue("452 4.5.3 too many recipients")
            }
            Command::Rcpt(address) => self.recipient(&address).await,
            Command::Data if self.recipients.is_empty() => self.fault("503 5.5.1 send RCPT first"),
            Command::Data => return NextStep::Data,
            Command::Reset => {
                self.reset();
                OK
            }
            Command::Noop => OK,
            Command::Quit => SmtpReply::Close("221 2.0.0 closing connection"),
            Command::NotImplemented => self.fault("502 5.5.1 command not implemented"),
            Command::Unknown => self.fault("500 5.5.2 command not recognized"),
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

    fn fault(&mut self, text: &'static str) -> SmtpReply {
        self.faults += 1;
        SmtpReply::Continue(text)
    }

    async fn recipient(&mut self, address: &str) -> SmtpReply {
        match self.handler.recipient(self.peer, address).await {
            Ok(recipient) => {
                self.recipients.push(recipient);
                OK
            }
            Err(refusal) => {
                self.faults += 1;
                refusal
            }
        }
    }

    async fn receive_data(&mut self, stream: &mut SmtpStream) -> io::Result<SmtpReply> {
        write_reply(stream, "354 start mail input, end with <CRLF>.<CRLF>").await?;
        let limit = self.settings.limits.size;
        let mut bytes = Vec::new();
        loop {
            let remaining = (limit - bytes.len()) as u64 + 3;
            let start = bytes.len();
            let mut limited = (&mut *stream).take(remaining);
            let read = limited.read_until(b'\n', &mut bytes);
            let read = tokio::time::timeout(self.settings.limits.read_timeout, read).await??;
            let line = &bytes[start..];
            if read == 0 || line.last() != Some(&b'\n') {
                // The client disconnected, or one line exceeds the limit.
                return Ok(if read as u64 == remaining {
                    TOO_LARGE
                } else {
                    SmtpReply::Disconnect
                });
            }
            if !line.ends_with(b"\r\n") {
                // RFC 5321 section 2.3.8: servers that treat a bare line feed differently would see different
                // mails (SMTP smuggling).
                return Ok(SmtpReply::Close("550 5.6.0 lines must end with CRLF"));
            }
            if line == b".\r\n" {
                bytes.truncate(start);
                break;
            }
            if line.starts_with(b".") {
                // RFC 5321 section 4.5.2: the client doubles a leading dot.
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
        Ok(self.handler.receive(mail).await)
    }

    async fn start_tls(&mut self, mut stream: SmtpStream) -> io::Result<Option<SmtpStream>> {
        let acceptor = self.settings.tls.as_ref().and_then(secure::acceptor);
        let Some(acceptor) = acceptor else {
            tracing::error!(
                alarm = "mail_certificate",
                "the certificate of the SMTP server cannot be used"
            );
            write_reply(&mut stream, "454 4.7.0 TLS not available").await?;
            return Ok(Some(stream));
        };
        if !stream.buffer().is_empty() {
            // RFC 3207 section 4.2: commands sent before TLS must not be processed after it.
            return Ok(None);
        }
        write_reply(&mut stream, "220 2.0.0 ready to start TLS").await?;
        let read_timeout = self.settings.limits.read_timeout;
        let encrypted =
            tokio::time::timeout(read_timeout, acceptor.accept(stream.into_inner())).await??;
        self.is_secure = true;
        self.reset();
        Ok(Some(BufReader::new(Box::new(encrypted))))
    }

    fn reset(&mut self) {
        self.sender = None;
        self.recipients.clear();
    }

    /// The next command line; `None` when the server shuts down.
    async fn read_line(&mut self, stream: &mut SmtpStream) -> io::Result<Option<String>> {
        let mut line = Vec::new();
        let mut limited = stream.take(MAX_COMMAND as u64);
        let read = tokio::time::timeout(
            self.settings.limits.read_timeout,
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

async fn write_reply(stream: &mut SmtpStream, text: &str) -> io::Result<()> {
    let stream = stream.get_mut();
    stream.write_all(format!("{text}\r\n").as_bytes()).await?;
    stream.flush().await
}
