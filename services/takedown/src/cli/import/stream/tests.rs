//! Submission streams against a server that defers submissions.

use proto::v1::{Receipt, ReportResult, SubmitReportsRequest, SubmitReportsResponse};
use roles::client::Addresses;
use secrecy::SecretString;

use super::*;

const ROWS: usize = 200;

/// A stream of rows to a server whose result for each row is `respond`, given how often the row was sent
/// before.
async fn stream_to_server(respond: fn(usize) -> report_result::Result) -> SubmissionStream {
    let unused = || "http://127.0.0.1:9".to_owned();
    let addresses = Addresses {
        intake: unused(),
        verification: unused(),
        dispatch: unused(),
        ledger: unused(),
        gateway: unused(),
        console: unused(),
    };
    let mut stream =
        SubmissionStream::new(Client::new(&addresses, SecretString::from("")).unwrap());
    let (sender, mut requests) = mpsc::channel::<StreamReportsRequest>(2 * ROWS);
    let (response_sender, responses) = mpsc::channel(2 * ROWS);
    tokio::spawn(async move {
        let mut sent = [0; ROWS];
        while let Some(request) = requests.recv().await {
            let before = &mut sent[usize::try_from(request.submission).unwrap()];
            let result = ReportResult {
                result: Some(respond(*before)),
                ..ReportResult::default()
            };
            *before += 1;
            let response = SubmitReportsResponse {
                results: vec![result],
                ..SubmitReportsResponse::default()
            };
            let response = StreamReportsResponse {
                submission: request.submission,
                result: Some(stream_reports_response::Result::Response(response)),
            };
            response_sender.send(Ok(response)).await.unwrap();
        }
    });
    stream.open = Some(OpenStreams {
        senders: vec![sender],
        responses: stream::select_all([ReceiverStream::new(responses).boxed()]),
    });
    for row in 0..ROWS {
        let row = RowSubmission {
            external_id: row.to_string(),
            request: SubmitReportsRequest::default(),
        };
        stream.submit(row).await.unwrap();
    }
    stream
}

fn exhausted() -> report_result::Result {
    report_result::Result::Problem(ItemProblem {
        code: "exhausted".to_owned(),
        ..ItemProblem::default()
    })
}

#[tokio::test]
async fn deferred_submissions_share_one_delay() {
    let mut stream = stream_to_server(|before| {
        if before == 0 {
            exhausted()
        } else {
            report_result::Result::Receipt(Receipt::default())
        }
    })
    .await;
    let start = Instant::now();
    let mut written = 0;
    while !stream.is_empty() {
        written += stream.next_lines().await.unwrap().len();
    }
    assert_eq!(written, ROWS);
    assert!(start.elapsed() < 10 * RETRY_DELAY, "{:?}", start.elapsed());
}

#[tokio::test]
async fn an_import_without_any_success_gives_up() {
    let mut stream = stream_to_server(|_| exhausted()).await;
    stream.failing_since = Instant::now().checked_sub(2 * GIVE_UP_AFTER);
    let Err(error) = stream.next_lines().await else {
        panic!("the import continues");
    };
    assert_eq!(error.downcast::<Problem>().unwrap().code, "exhausted");
}
