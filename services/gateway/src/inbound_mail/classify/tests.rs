//! Sample mails and their classification.

use super::*;

fn classified(sender: Option<&str>, mail: &str) -> Option<ClassifiedMail> {
    classify(sender, mail.replace('\n', "\r\n").as_bytes())
}

/// A delivery report with these fields for its recipient.
fn delivery_report(fields: &str) -> String {
    format!(
        "From: Mail Delivery System <MAILER-DAEMON@mx.host.example>
To: b1-a@returns.hotline.example
Subject: Undelivered Mail Returned to Sender
Auto-Submitted: auto-replied
MIME-Version: 1.0
Content-Type: multipart/report; report-type=delivery-status; boundary=\"b1\"

--b1
Content-Type: text/plain

Your mail could not be delivered.
--b1
Content-Type: message/delivery-status

Reporting-MTA: dns; mx.host.example
Arrival-Date: Sun, 1 Mar 2026 12:00:00 +0000

Final-Recipient: rfc822; abuse@host.example
{fields}

--b1
Content-Type: text/rfc822-headers

From: notices@hotline.example
Subject: Notice
--b1--
"
    )
}

#[test]
fn a_delivery_report_is_a_bounce_or_a_delay_and_ignored_for_a_delivered_mail() {
    let class = |fields: &str| classified(None, &delivery_report(fields)).map(|mail| mail.class);
    let bounced = |status: &str| Some(MailClass::Bounced(status.to_owned()));
    assert_eq!(class("Action: failed\nStatus: 5.1.1"), bounced("5.1.1"));
    // The server gave up after repeated temporary failures.
    assert_eq!(
        class("action: failed (expired)\nstatus: 4.4.7"),
        bounced("4.4.7")
    );
    assert_eq!(class("Action: failed\nStatus: nonsense"), bounced(""));
    assert_eq!(class("Status: 5.2.2"), bounced("5.2.2"));
    let delayed = Some(MailClass::Delayed("4.4.1".to_owned()));
    assert_eq!(class("Action: delayed\nStatus: 4.4.1"), delayed);
    assert_eq!(class("Status: 4.4.1"), delayed);
    assert_eq!(class("Action: delivered\nStatus: 2.0.0"), None);
    assert_eq!(class("Action: relayed\nStatus: 2.0.0"), None);
    assert_eq!(class("X-Other: value"), None);
    let mail = classified(None, &delivery_report("Action: failed\nStatus: 5.1.1")).unwrap();
    assert_eq!(mail.from_domain, "mx.host.example");
}

#[test]
fn automatic_replies_are_distinguished_from_a_persons_reply() {
    let mail = |header: &str| {
        format!(
            "From: Abuse Team <abuse@Host.example>\nSubject: Re: Notice\n{header}\nWe have received your mail.\n"
        )
    };
    let person = Some("abuse@host.example");
    let class = |sender, header: &str| classified(sender, &mail(header)).unwrap().class;
    for header in [
        "Auto-Submitted: auto-replied\n",
        "auto-submitted: Auto-Generated; x=y\n",
        "X-Autoreply: yes\n",
        "Precedence: auto_reply\n",
        "Precedence: bulk\n",
        "MIME-Version: 1.0\nContent-Type: multipart/report; report-type=feedback-report; boundary=b\n",
    ] {
        assert_eq!(class(person, header), MailClass::Automatic, "{header}");
    }
    for header in [
        "",
        "Auto-Submitted: no\n",
        "Precedence: first-class\n",
        // Ticket systems also set these two on mails that people write.
        "X-Auto-Response-Suppress: All\n",
        "Precedence: list\n",
    ] {
        assert_eq!(class(person, header), MailClass::Reply, "{header}");
    }
    // A delivery report in a non-standard format has no envelope sender either.
    assert_eq!(class(None, ""), MailClass::Automatic);
    let reply = classified(person, &mail("")).unwrap();
    assert_eq!(reply.from_domain, "host.example");
    let no_reply = "From: <no-reply@host.example>\nSubject: x\n\nx\n";
    assert_eq!(
        classified(person, no_reply).unwrap().class,
        MailClass::Automatic
    );
    let read_receipt = "MIME-Version: 1.0\nContent-Type: multipart/report; report-type=disposition-notification; boundary=b\n";
    assert_eq!(classified(person, &mail(read_receipt)), None);
}

#[test]
fn a_malformed_mail_is_never_a_reply_or_a_delivery_report() {
    for bad in [
        "",
        "\n",
        "\u{0}\u{1}\u{2}",
        "Content-Type: multipart/report; report-type=delivery-status; boundary=b\n\n--b\n",
        "Content-Type: multipart/report\n\n",
        "From: <@>\n\n",
        "From: nobody\n\nx",
        &format!("From: a@{}\n\nx", "b".repeat(5000)),
        &"Content-Type: multipart/mixed; boundary=b\n\n--b\n".repeat(2000),
    ] {
        let mail = classified(None, bad);
        let is_automatic = mail.is_none_or(|mail| matches!(mail.class, MailClass::Automatic));
        assert!(is_automatic, "{:?}", bad.get(..40));
    }
}
