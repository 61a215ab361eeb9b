//! Every sample file is read, a mistake is named, and the dangerous settings are refused.

use super::*;

fn sample(role: Role) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../../deploy/config/{role}.toml"))
}

/// Reads a file for a role whose variables nobody sets.
fn read_as<T: DeserializeOwned>(path: &Path) -> Result<T, ConfigError> {
    load(Some(path), "TAKEDOWN_NOWHERE_")
}

fn text<T: DeserializeOwned>(text: &str) -> Result<T, String> {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), text).unwrap();
    read_as(file.path()).map_err(|error| error.to_string())
}

#[test]
fn every_sample_is_read_and_names_certificates() {
    let mut seen = Vec::new();
    for role in Role::ALL {
        let path = sample(role);
        let tls = match role {
            Role::Intake => read_as::<Intake>(&path).map(|c| c.tls),
            Role::Verification => read_as::<Verification>(&path).map(|c| c.tls),
            Role::Dispatch => read_as::<Dispatch>(&path).map(|c| c.tls),
            Role::Ledger => read_as::<Ledger>(&path).map(|c| c.tls),
            Role::Gateway => read_as::<Gateway>(&path).map(|c| c.tls),
            Role::Console => read_as::<Console>(&path).map(|c| c.tls),
        };
        let tls = tls.unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        assert!(matches!(tls, Security::Files(_)), "{role}");
        seen.push(role.name());
    }
    assert_eq!(seen.len(), 6);
}

#[test]
fn every_field_has_a_default_and_the_default_is_tls() {
    let core: Intake = text("").unwrap();
    assert_eq!(core.tls, Security::default());
    assert_eq!(core.tls.listen(Role::Intake).port(), Role::Intake.port());
    let dispatch: Dispatch = text("").unwrap();
    assert!(dispatch.outside.production);
    text::<Gateway>("").unwrap();
    text::<Console>("").unwrap();
}

#[test]
fn an_unknown_field_is_refused_at_every_level() {
    for wrong in [
        "listens = \"127.0.0.1:1\"",
        "[database]\nurl = \"env:X\"\nuser = \"me\"",
        "[tls]\ncert = \"a\"\nkey = \"b\"\nca = \"c\"\nverify = false",
        "[bus]\nkind = \"carrier-pigeon\"",
        "[peers]\nledger = \"https://l\"\nintake = \"https://i\"",
        "[settings]\nresolves_names = true",
        "[outside]\nproductive = true",
    ] {
        assert!(text::<Dispatch>(wrong).is_err(), "{wrong}");
    }
}

#[test]
fn a_secret_is_named_and_not_written_down() {
    let error = text::<Intake>("[database]\nurl = \"postgres://u:hunter2@h/d\"").unwrap_err();
    assert!(
        error.contains("env:NAME") && !error.contains("hunter2"),
        "{error}"
    );
}

#[tokio::test]
async fn plaintext_is_said_in_words_and_is_for_loopback_alone() {
    let plain: Intake = text("tls = \"plaintext-loopback\"").unwrap();
    assert!(plain.tls.listen(Role::Intake).ip().is_loopback());
    let error = text::<Intake>("tls = \"off\"").unwrap_err();
    assert!(error.contains("plaintext-loopback"), "{error}");

    let transport = plain.tls.transport("dispatch").unwrap();
    assert!(transport.channel("ledger", "http://127.0.0.1:7413").is_ok());
    for outside in [
        "http://ledger:7413",
        "http://192.0.2.1:7413",
        "https://ledger:7413",
    ] {
        let error = transport.channel("ledger", outside).unwrap_err();
        assert!(error.to_string().contains("loopback"), "{error}");
    }
}

#[tokio::test]
async fn a_plain_listener_that_others_reach_is_refused() {
    let transport = Security::PlaintextLoopback.transport("intake").unwrap();
    let open = tokio::net::TcpListener::bind("0.0.0.0:0").await.unwrap();
    let access = super::super::access::table();
    let error = transport.listener(open, &access).unwrap_err().to_string();
    assert!(error.contains("loopback"), "{error}");
}

#[test]
fn synthetic_hosts_and_production_exclude_each_other() {
    let map = "[[outside.map]]\nfrom = \"*.test\"\nto = \"127.0.0.1:1\"\n";
    let refused: Dispatch = text(map).unwrap();
    assert!(refused.outside.policy(&refused.settings).is_err());
    let plain: Dispatch = text("[settings]\nplain_webhooks = true").unwrap();
    assert!(plain.outside.policy(&plain.settings).is_err());
    let demo: Dispatch = text(&format!("[outside]\nproduction = false\n{map}")).unwrap();
    assert!(demo.outside.policy(&demo.settings).is_ok());
}
