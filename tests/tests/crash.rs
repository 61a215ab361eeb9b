//! `./dev crash`: a short run keeps every promise, and a run with a fail point reports a broken one.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::{Command, Output};

use tests::crash::FAIL_POINTS;

fn crash(kills: &str, fail_point: Option<&str>) -> Output {
    let fault = fail_point.into_iter().flat_map(|name| ["--fault", name]);
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
    for name in FAIL_POINTS {
        let output = crash("12", Some(name));
        let text = output_text(&output);
        assert_eq!(output.status.code(), Some(1), "{name}\n{text}");
        assert!(text.contains("promise broken: "), "{name}\n{text}");
    }
}

/// A fail point of which no run knows would never be tested, and a misspelt one would never be active.
#[test]
fn the_fail_points_of_the_services_are_those_of_the_runs() {
    let services = Path::new(env!("CARGO_MANIFEST_DIR")).join("../services");
    let mut found = BTreeSet::new();
    let mut folders = vec![services];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = std::fs::read_to_string(&path).unwrap();
                let uses = text.split("fail_point!(\"").skip(1);
                found.extend(uses.filter_map(|rest| Some(rest.split_once('"')?.0.to_owned())));
            }
        }
    }
    let known = FAIL_POINTS.into_iter().chain(["clock-skew"]);
    assert_eq!(found, known.map(str::to_owned).collect());
}
