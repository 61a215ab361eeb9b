//! `./dev crash`: a short run keeps every promise, and a run with a fail point reports a broken one.

use std::process::{Command, Output};

use platform::failpoint::Failpoint;

fn crash(kills: &str, failpoint: Option<Failpoint>) -> Output {
    let fault = failpoint.into_iter().flat_map(|p| ["--fault", p.as_str()]);
    Command::new(env!("CARGO_BIN_EXE_crash"))
        .args(["--kills", kills])
        .args(fault)
        .env_remove("DATABASE_URL")
        .output()
        .unwrap()
}

fn output_text(output: &Output) -> String {
    let streams = [&output.stdout[..], &output.stderr[..]].concat();
    String::from_utf8_lossy(&streams).into_owned()
}

#[test]
fn a_short_run_of_kills_breaks_no_promise() {
    let output = crash("6", None);
    assert_eq!(output.status.code(), Some(0), "{}", output_text(&output));
}

#[test]
#[ignore = "five runs, a minute or two each"]
fn each_fail_point_is_detected() {
    for failpoint in Failpoint::ALL {
        let output = crash("12", Some(failpoint));
        let text = output_text(&output);
        assert_eq!(output.status.code(), Some(1), "{failpoint:?}\n{text}");
        assert!(text.contains("promise broken: "), "{failpoint:?}\n{text}");
    }
}
