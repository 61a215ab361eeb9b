//! Mails as they come back, and what each is read as.

use super::*;

fn of(sender: Option<&str>, mail: &str) -> Option<Reading> {
    read(sender, mail.replace('\n', "\r\n").as_bytes())
}

/// A report of delivery, with these fields of its recipient.
fn report(fields: &str) -> String {
    format!(
        "From: Mail Delivery System <MAILER-DAEMON@mx.host.example>
To: b1-a@returns.hotline.example
Subject: Undelivered Mail Returned to Sender
Auto-Submitted: auto-replied
MIME-Version: 1.0
Content-Type: multipart/report; report-type=delivery-status; boundary=\"b1\"

--b1
Content-Type: text/plain

I am sorry to have to tell you.
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
fn a_report_says_that_it_failed_or_waits_and_what_was_delivered_is_no_news() {
    let kind = |fields: &str| of(None, &report(fields)).map(|read| read.kind);
    let bounced = |status: &str| Some(What::Bounced(status.to_owned()));
    assert_eq!(kind("Action: failed\nStatus: 5.1.1"), bounced("5.1.1"));
    // Given up after days of trying.
    assert_eq!(
        kind("action: failed (expired)\nstatus: 4.4.7"),
        bounced("4.4.7")
    );
    assert_eq!(kind("Action: failed\nStatus: nonsense"), bounced(""));
    assert_eq!(kind("Status: 5.2.2"), bounced("5.2.2"));
    let delayed = Some(What::Delayed("4.4.1".to_owned()));
    assert_eq!(kind("Action: delayed\nStatus: 4.4.1"), delayed);
    assert_eq!(kind("Status: 4.4.1"), delayed);
    assert_eq!(kind("Action: delivered\nStatus: 2.0.0"), None);
    assert_eq!(kind("Action: relayed\nStatus: 2.0.0"), None);
    assert_eq!(kind("X-Nothing: said"), None);
    let read = of(None, &report("Action: failed\nStatus: 5.1.1")).unwrap();
    assert_eq!(read.from_domain, "mx.host.example");
}

#[test]
fn a_machine_that_answers_for_somebody_is_told_from_a_person() {
    let mail = |header: &str| {
        format!(
            "From: Abuse Desk <abuse@Host.example>\nSubject: Re: Notice\n{header}\nWe have received your mail.\n"
        )
    };
    let person = Some("abuse@host.example");
    let kind = |sender, header: &str| of(sender, &mail(header)).unwrap().kind;
    for header in [
        "Auto-Submitted: auto-replied\n",
        "auto-submitted: Auto-Generated; x=y\n",
        "X-Autoreply: yes\n",
        "Precedence: auto_reply\n",
        "Precedence: bulk\n",
        "MIME-Version: 1.0\nContent-Type: multipart/report; report-type=feedback-report; boundary=b\n",
    ] {
        assert_eq!(kind(person, header), What::Automatic, "{header}");
    }
    for header in [
        "",
        "Auto-Submitted: no\n",
        "Precedence: first-class\n",
        // Desks write these two beside their people's words, too.
        "X-Auto-Response-Suppress: All\n",
        "Precedence: list\n",
    ] {
        assert_eq!(kind(person, header), What::Reply, "{header}");
    }
    // A report in no form that a machine knows has no sender either.
    assert_eq!(kind(None, ""), What::Automatic);
    let read = of(person, &mail("")).unwrap();
    assert_eq!(read.from_domain, "host.example");
    let daemon = "From: <no-reply@desk.example>\nSubject: x\n\nx\n";
    assert_eq!(of(person, daemon).unwrap().kind, What::Automatic);
    let shown = "MIME-Version: 1.0\nContent-Type: multipart/report; report-type=disposition-notification; boundary=b\n";
    assert_eq!(of(person, &mail(shown)), None);
}

#[test]
fn whatever_comes_is_read_as_something() {
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
        let read = of(None, bad);
        let machine = read.is_none_or(|read| matches!(read.kind, What::Automatic));
        assert!(machine, "{:?}", bad.get(..40));
    }
}
