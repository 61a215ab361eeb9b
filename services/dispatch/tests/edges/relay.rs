//! An SMTP relay on loopback with the commands that a sender needs; it stores the mails that it receives.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};

/// The relay's replies to the stages of a mail.
#[derive(Clone)]
pub(crate) struct SmtpReplies {
    pub(crate) rcpt: &'static str,
    /// Reply after the whole message; empty to close the connection without a reply.
    pub(crate) end: &'static str,
}

impl Default for SmtpReplies {
    fn default() -> Self {
        Self {
            rcpt: "250 ok",
            end: "250 ok",
        }
    }
}

#[derive(Clone)]
pub(crate) struct MailRelay {
    pub(crate) address: SocketAddr,
    replies: Arc<Mutex<SmtpReplies>>,
    mails: Arc<Mutex<Vec<String>>>,
}

impl MailRelay {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let relay = Self {
            address: listener.local_addr().unwrap(),
            replies: Arc::default(),
            mails: Arc::default(),
        };
        let serving = relay.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let relay = serving.clone();
                // A sender that closes the connection ends only its own session.
                tokio::spawn(async move { relay.session(stream).await });
            }
        });
        relay
    }

    pub(crate) fn reply_with(&self, replies: SmtpReplies) {
        *self.replies.lock().unwrap() = replies;
    }

    /// Mails received completely, regardless of the final reply.
    pub(crate) fn mails(&self) -> Vec<String> {
        self.mails.lock().unwrap().clone()
    }

    async fn session(&self, stream: TcpStream) -> std::io::Result<()> {
        let mut stream = BufReader::new(stream);
        stream.write_all(b"220 relay.test\r\n").await?;
        let mut line = String::new();
        loop {
            line.clear();
            if stream.read_line(&mut line).await? == 0 {
                return Ok(());
            }
            let replies = self.replies.lock().unwrap().clone();
            let verb = line.split_whitespace().next().unwrap_or_default();
            let reply = match verb.to_ascii_uppercase().as_str() {
                "RCPT" => replies.rcpt,
                "QUIT" => return stream.write_all(b"221 bye\r\n").await,
                "DATA" => {
                    stream.write_all(b"354 go on\r\n").await?;
                    let mut mail = String::new();
                    while !mail.ends_with("\r\n.\r\n") {
                        if stream.read_line(&mut mail).await? == 0 {
                            return Ok(());
                        }
                    }
                    self.mails.lock().unwrap().push(mail);
                    if replies.end.is_empty() {
                        return Ok(());
                    }
                    replies.end
                }
                _ => "250 relay.test",
            };
            stream.write_all(format!("{reply}\r\n").as_bytes()).await?;
        }
    }
}
