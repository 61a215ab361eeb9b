//! `./dev leaks`: the exit code shows whether a URL was found.

use std::process::Command;

#[test]
#[ignore = "runs two demos, which takes minutes"]
fn a_demo_leaks_no_url_and_the_control_url_is_found() {
    for (control, exit_code) in [(None, 0), (Some("--control"), 1)] {
        let output = Command::new(env!("CARGO_BIN_EXE_leaks"))
            .args(["--reports", "30"])
            .args(control)
            .output()
            .unwrap();
        let stdout = String::from_utf8_lossy(&output.stdout);
        assert_eq!(output.status.code(), Some(exit_code), "{stdout}");
        let is_control_found = stdout.contains("control.log");
        assert_eq!(is_control_found, control.is_some(), "{stdout}");
    }
}
