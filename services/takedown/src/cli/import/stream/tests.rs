//! A stream of rows against a server that puts off, refuses and goes away.

use proto::v1::{ItemResult, Receipt, SubmitReportsRequest, SubmitReportsResponse};
use secrecy::SecretString;

use super::*;
use crate::client::Addresses;

const ROWS: usize = 200;

/// A stream of rows to a server that answers each as `say` does, told how often it was sent before.
async fn to_a_server(say: fn(usize) -> item_result::Result) -> Stream {
    let nowhere = || "http://127.0.0.1:9".to_owned();
    let addresses = Addresses {
        intake: nowhere(),
        verification: nowhere(),
        dispatch: nowhere(),
        ledger: nowhere(),
        gateway: nowhere(),
        console: nowhere(),
    };
    let mut stream = Stream::new(Client::new(&addresses, SecretString::from("")).unwrap());
    let (sender, mut requests) = mpsc::channel::<StreamReportsRequest>(2 * ROWS);
    let (answer, answers) = mpsc::channel(2 * ROWS);
    tokio::spawn(async move {
        let mut sent = [0; ROWS];
        while let Some(request) = requests.recv().await {
            let before = &mut sent[usize::try_from(request.submission).unwrap()];
            let result = ItemResult {
                result: Some(say(*before)),
                ..ItemResult::default()
            };
            *before += 1;
            let response = SubmitReportsResponse {
                results: vec![result],
                ..SubmitReportsResponse::default()
            };
            let said = StreamReportsResponse {
                submission: request.submission,
                result: Some(stream_reports_response::Result::Response(response)),
            };
            answer.send(Ok(said)).await.unwrap();
        }
    });
    stream.open = Some(Open {
        senders: vec![sender],
        answers: stream::select_all([ReceiverStream::new(answers).boxed()]),
    });
    for row in 0..ROWS {
        let row = Submission {
            external_id: row.to_string(),
            content: [0; 32],
            request: SubmitReportsRequest::default(),
        };
        stream.submit(row).await.unwrap();
    }
    stream
}

fn not_now() -> item_result::Result {
    item_result::Result::Problem(ItemProblem {
        code: "exhausted".to_owned(),
        ..ItemProblem::default()
    })
}

#[tokio::test]
async fn a_burst_that_was_put_off_waits_once() {
    let mut stream = to_a_server(|before| {
        if before == 0 {
            not_now()
        } else {
            item_result::Result::Receipt(Receipt::default())
        }
    })
    .await;
    let began = Instant::now();
    let mut written = 0;
    while !stream.is_empty() {
        written += stream.next_lines().await.unwrap().len();
    }
    assert_eq!(written, ROWS);
    assert!(began.elapsed() < 10 * PAUSE, "{:?}", began.elapsed());
}

#[tokio::test]
async fn it_gives_up_when_nothing_has_succeeded_for_long() {
    let mut stream = to_a_server(|_| not_now()).await;
    stream.failing = Instant::now().checked_sub(2 * PATIENCE);
    let Err(error) = stream.next_lines().await else {
        panic!("it goes on");
    };
    assert_eq!(error.downcast::<Problem>().unwrap().code, "exhausted");
}
