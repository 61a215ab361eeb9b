//! Sample files are parsed, mistakes are named, and unsafe settings are refused.

use super::*;

fn sample(role: Role) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../../deploy/config/{role}.toml"))
}

/// Reads a file, without environment variables.
fn read_as<T: DeserializeOwned>(path: &Path) -> Result<T, ConfigError> {
    load(Some(path), "TAKEDOWN_NOWHERE_")
}

fn parse<T: DeserializeOwned>(text: &str) -> Result<T, String> {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), text).unwrap();
    read_as(file.path()).map_err(|error| error.to_string())
}

#[test]
fn every_sample_is_parsed_and_uses_tls() {
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
    }
}

#[test]
fn every_field_has_a_default_and_the_default_is_tls() {
    let core: Intake = parse("").unwrap();
    assert_eq!(core.tls, Security::default());
    assert_eq!(
        core.tls.default_listen(Role::Intake).port(),
        Role::Intake.port()
    );
    let dispatch: Dispatch = parse("").unwrap();
    assert!(dispatch.egress.production);
    parse::<Gateway>("").unwrap();
    parse::<Console>("").unwrap();
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
        "[egress]\nproductive = true",
    ] {
        assert!(parse::<Dispatch>(wrong).is_err(), "{wrong}");
    }
}

#[test]
fn a_secret_is_given_by_reference_and_never_repeated_in_an_error() {
    let error = parse::<Intake>("[database]\nurl = \"postgres://u:hunter2@h/d\"").unwrap_err();
    assert!(
        error.contains("env:NAME") && !error.contains("hunter2"),
        "{error}"
    );
}

#[tokio::test]
async fn plaintext_is_explicit_and_for_loopback_only() {
    let plaintext: Intake = parse("tls = \"plaintext-loopback\"").unwrap();
    assert!(
        plaintext
            .tls
            .default_listen(Role::Intake)
            .ip()
            .is_loopback()
    );
    let error = parse::<Intake>("tls = \"off\"").unwrap_err();
    assert!(error.contains("plaintext-loopback"), "{error}");

    let transport = plaintext.tls.transport("dispatch").unwrap();
    assert!(transport.channel("ledger", "http://127.0.0.1:7413").is_ok());
    for address in [
        "http://ledger:7413",
        "http://192.0.2.1:7413",
        "https://ledger:7413",
    ] {
        let error = transport.channel("ledger", address).unwrap_err();
        assert!(error.to_string().contains("loopback"), "{error}");
    }
}

#[tokio::test]
async fn a_listener_without_tls_that_is_not_on_loopback_is_refused() {
    let transport = Security::PlaintextLoopback.transport("intake").unwrap();
    let open = tokio::net::TcpListener::bind("0.0.0.0:0").await.unwrap();
    let access = super::super::access::table();
    let error = transport.listener(open, &access).unwrap_err().to_string();
    assert!(error.contains("loopback"), "{error}");
}

#[test]
fn synthetic_hosts_and_production_exclude_each_other() {
    let map = "[[egress.map]]\nfrom = \"*.test\"\nto = \"127.0.0.1:1\"\n";
    let refused: Dispatch = parse(map).unwrap();
    assert!(refused.egress.policy(&refused.settings).is_err());
    let without_tls: Dispatch = parse("[settings]\nhttp_webhooks = true").unwrap();
    assert!(without_tls.egress.policy(&without_tls.settings).is_err());
    let demo: Dispatch = parse(&format!("[egress]\nproduction = false\n{map}")).unwrap();
    assert!(demo.egress.policy(&demo.settings).is_ok());
}
