//! Files of a run: for each role its configuration, its certificate and the URL of its database.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use platform::db;
use platform::sealed::random;
use platform::tls::TlsFiles;
use secrecy::{ExposeSecret as _, SecretString};
use toml::{Table, Value};
use url::Url;

use super::certificates::RunCa;
use super::ports::Ports;
use super::{Instance, SystemPlan};
use roles::role::Role;
use roles::system::{Settings, keyring_path};

pub(super) struct WrittenFiles {
    pub(super) configs: Vec<(Instance, PathBuf)>,
    /// By schema name.
    pub(super) passwords: Vec<(&'static str, SecretString)>,
    pub(super) operator: TlsFiles,
    pub(super) ledger_origin: String,
}

pub(super) fn write(
    plan: &SystemPlan,
    ports: &Ports,
    ca: &RunCa,
    url: &str,
) -> Result<WrittenFiles> {
    let folder = |name: &str| -> Result<PathBuf> {
        let path = plan.data_dir.join(name);
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&path)?;
        Ok(path)
    };
    let (tls, config, _) = (folder("tls")?, folder("config")?, folder("log")?);
    let policy = config.join("policy.yaml");
    write_private(&policy, &plan.policy)?;

    let mut configs = Vec::new();
    let mut passwords = Vec::new();
    for role in Role::ALL {
        let files = ca.issue(role.name(), &tls)?;
        let mut table = Table::new();
        table.insert("tls".into(), Value::try_from(files)?);
        if let Some(schema) = role.schema() {
            let password = SecretString::from(hex::encode(random::<16>()));
            let address = config.join(format!("{role}.database"));
            write_private(&address, &database_url(url, schema.name, &password)?)?;
            passwords.push((schema.name, password));
            table.insert("keyring".into(), path_value(&keyring_path(&plan.data_dir)));
            let reference = format!("file:{}", address.display());
            table.insert(
                "database".into(),
                single_entry_table("url", reference.into()),
            );
            table.insert("bus".into(), Value::Table(plan.bus.clone()));
        }
        table.insert("peers".into(), Value::Table(peers(role, ports)));
        if role == Role::Dispatch {
            table.insert("policy".into(), path_value(&policy));
            table.insert("egress".into(), Value::try_from(&plan.egress)?);
        }
        table.insert(
            "settings".into(),
            Value::Table(settings(plan, role, ports)?),
        );
        for instance in plan
            .instances()
            .filter(|single_entry_table| single_entry_table.role() == role)
        {
            let table = instance_config(table.clone(), instance, ports);
            let path = config.join(format!("{instance}.toml"));
            write_private(&path, &toml::to_string(&table)?)?;
            configs.push((instance, path));
        }
    }
    Ok(WrittenFiles {
        configs,
        passwords,
        operator: ca.issue("operator", &tls)?,
        ledger_origin: ledger_origin(plan),
    })
}

/// The role's configuration with the instance's listening address and, on Kafka, its instance name.
fn instance_config(mut table: Table, instance: Instance, ports: &Ports) -> Table {
    table.insert("listen".into(), ports.address(instance).to_string().into());
    if let Some(name) = table
        .get_mut("bus")
        .and_then(|bus| bus.get_mut("instance"))
        .filter(|_| !instance.is_first())
    {
        *name = instance.to_string().into();
    }
    table
}

/// The role's settings with the gateway's public URL, which is known only at run time.
fn settings(plan: &SystemPlan, role: Role, ports: &Ports) -> Result<Table> {
    let mut settings = match plan.settings.get(role.name()) {
        Some(Value::Table(table)) => table.clone(),
        Some(_) => anyhow::bail!("the settings of {role} are not a table"),
        None => Table::new(),
    };
    let public: Value = ports.addresses().gateway.into();
    match role {
        Role::Gateway => {
            settings.entry("public_base").or_insert(public);
        }
        Role::Dispatch => {
            let hotline = settings
                .entry("hotline")
                .or_insert_with(|| Value::Table(Table::new()));
            hotline
                .as_table_mut()
                .context("dispatch.hotline is not a table")?
                .entry("public_base")
                .or_insert(public);
        }
        _ => {}
    }
    Ok(settings)
}

fn peers(role: Role, ports: &Ports) -> Table {
    let called_roles: &[Role] = match role {
        Role::Intake => &[Role::Verification, Role::Dispatch],
        Role::Verification | Role::Gateway => &[Role::Intake, Role::Dispatch],
        Role::Dispatch => &[Role::Verification, Role::Ledger],
        Role::Ledger => &[Role::Intake, Role::Verification, Role::Dispatch],
        Role::Console => &[
            Role::Intake,
            Role::Verification,
            Role::Dispatch,
            Role::Ledger,
        ],
    };
    called_roles
        .iter()
        .map(|peer| {
            let address = format!("https://{}", ports.address(*peer));
            (peer.name().to_owned(), address.into())
        })
        .collect()
}

/// The origin that the ledger signs: from its settings, otherwise its default.
fn ledger_origin(plan: &SystemPlan) -> String {
    plan.settings
        .get("ledger")
        .and_then(|ledger| ledger.get("origin")?.as_str())
        .map_or_else(|| Settings::default().ledger.origin, str::to_owned)
}

/// The administrator's URL with the user and password of a runtime role.
fn database_url(url: &str, schema: &str, password: &SecretString) -> Result<String> {
    let mut url: Url = url.parse()?;
    let set = url
        .set_username(&db::runtime_role(schema))
        .and_then(|()| url.set_password(Some(password.expose_secret())));
    set.ok().context("the database URL cannot contain a user")?;
    Ok(url.into())
}

fn single_entry_table(name: &str, value: Value) -> Value {
    Value::Table(
        BTreeMap::from([(name.to_owned(), value)])
            .into_iter()
            .collect(),
    )
}

fn path_value(path: &Path) -> Value {
    path.to_string_lossy().into_owned().into()
}

/// Writes a file for its owner only, by a rename: a concurrent reader sees the old content or the new one.
pub(super) fn write_private(path: &Path, text: &str) -> Result<()> {
    let temporary = path.with_extension("new");
    let write = || {
        let mut file = fs::OpenOptions::new()
            .create(true)
            .truncate(true)
            .write(true)
            .mode(0o600)
            .open(&temporary)?;
        file.write_all(text.as_bytes())?;
        fs::rename(&temporary, path)
    };
    write().with_context(|| format!("writing {}", path.display()))
}
