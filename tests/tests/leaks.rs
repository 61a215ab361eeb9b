//! `./dev leaks` says by its exit code whether something was found.

use std::process::Command;

#[test]
#[ignore = "plays two demos: minutes"]
fn a_search_ends_well_and_the_control_does_not() {
    for (control, wanted) in [(None, 0), (Some("--control"), 1)] {
        let output = Command::new(env!("CARGO_BIN_EXE_leaks"))
            .args(["--reports", "30"])
            .args(control)
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        assert_eq!(output.status.code(), Some(wanted), "{said}");
        let planted = said.contains("planted.log");
        assert_eq!(planted, control.is_some(), "{said}");
    }
}
