//! `./dev` with replaced tools.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

/// Creates a program that only exits with this code.
fn tool(dir: &Path, name: &str, exit: i32) {
    let path = dir.join(name);
    std::fs::write(&path, format!("#!/bin/sh\nexit {exit}\n")).unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
}

#[test]
fn a_failed_package_installation_is_not_recorded_as_installed() {
    let folder = tempfile::tempdir().unwrap();
    let tools = folder.path().join("tools");
    std::fs::create_dir(&tools).unwrap();
    tool(&tools, "npm", 1);
    tool(&tools, "go", 1);
    tool(&tools, "chromium-headless-shell", 0);
    tool(&tools, "cargo", 1);
    let path = platform::config::search_path();
    let path = std::env::join_paths(std::iter::once(tools).chain(path)).unwrap();
    let output = Command::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../dev"))
        .arg("test")
        .env("PATH", path)
        .env("XDG_CACHE_HOME", folder.path())
        .output()
        .unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success());
    assert!(
        stderr.contains("skipped: the tests in a browser"),
        "{stderr}"
    );
    let cache = folder.path().join("takedown/browser");
    assert!(
        cache.join("package-lock.json").exists(),
        "the installation was not tried"
    );
    assert!(
        !cache.join("installed.json").exists(),
        "a failed installation counts as installed"
    );
}
