//! `./dev crash` keeps every promise in a short run, and names the one that each planted mistake breaks.

use std::process::{Command, Output};

use platform::plant::Plant;

fn crash(kills: &str, plant: Option<Plant>) -> Output {
    let planted = plant.into_iter().flat_map(|p| ["--plant", p.as_str()]);
    Command::new(env!("CARGO_BIN_EXE_crash"))
        .args(["--kills", kills])
        .args(planted)
        .env_remove("DATABASE_URL")
        .output()
        .unwrap()
}

fn said(output: &Output) -> String {
    let streams = [&output.stdout[..], &output.stderr[..]].concat();
    String::from_utf8_lossy(&streams).into_owned()
}

#[test]
fn a_short_run_of_kills_breaks_no_promise() {
    let output = crash("6", None);
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
}

#[test]
#[ignore = "five runs, a minute or two each"]
fn each_planted_mistake_is_caught() {
    for plant in Plant::ALL {
        let output = crash("12", Some(plant));
        let said = said(&output);
        assert_eq!(output.status.code(), Some(1), "{plant:?}\n{said}");
        assert!(said.contains("promise broken: "), "{plant:?}\n{said}");
    }
}
