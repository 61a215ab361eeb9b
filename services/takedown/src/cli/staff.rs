//! `staff`: accounts of the console's users.

use anyhow::Result;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use domain::enums::StaffRole;
use platform::config::SecretRef;
use proto::v1::{CreateStaffRequest, ListStaffRequest, RevokeStaffRequest, Staff};
use secrecy::ExposeSecret as _;
use serde_json::{Value, json};

use super::{CommonArgs, labels};
use crate::output::{Format, facts, format_timestamp, print, table, timestamp_json};

#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// Creates an account. Without --password, a generated password is shown once.
    Add {
        #[command(flatten)]
        common: CommonArgs,
        /// The name to sign in with.
        name: String,
        /// A role of the account; may be repeated.
        #[arg(
            long = "role",
            required = true,
            value_name = "analyst|supervisor|operator|auditor"
        )]
        roles: Vec<StaffRole>,
        /// Reference to the password: env:NAME or file:/path.
        #[arg(long, value_name = "SECRET")]
        password: Option<SecretRef>,
    },
    /// Lists all accounts.
    List {
        #[command(flatten)]
        common: CommonArgs,
    },
    /// Disables an account and ends its sessions. Takes effect everywhere within a minute.
    Revoke {
        #[command(flatten)]
        common: CommonArgs,
        /// The account's subject, as `staff list` shows it.
        subject: String,
    },
}

impl Command {
    pub(super) fn format(&self) -> Format {
        match self {
            Self::Add { common, .. } | Self::List { common } | Self::Revoke { common, .. } => {
                common.format
            }
        }
    }
}

pub(super) async fn run(command: Command) -> Result<()> {
    match command {
        Command::Add {
            common,
            name,
            roles,
            password,
        } => add(&common, name, &roles, password.as_ref()).await,
        Command::List { common } => list(&common).await,
        Command::Revoke { common, subject } => {
            let request = RevokeStaffRequest {
                subject: subject.clone(),
            };
            common
                .client()?
                .verification()
                .revoke_staff(request)
                .await?;
            common.format.print(&json!({ "revoked": subject }), || {
                format!("revoked {subject}")
            });
            Ok(())
        }
    }
}

async fn add(
    common: &CommonArgs,
    name: String,
    roles: &[StaffRole],
    password_ref: Option<&SecretRef>,
) -> Result<()> {
    let generated = URL_SAFE_NO_PAD.encode(platform::sealed::random::<18>());
    let password = match password_ref {
        Some(reference) => reference.resolve()?.expose_secret().to_owned(),
        None => generated.clone(),
    };
    let request = CreateStaffRequest {
        name,
        password,
        roles: roles.iter().map(|role| role.wire()).collect(),
    };
    let response = common
        .client()?
        .verification()
        .create_staff(request)
        .await?;
    let staff = response.into_inner().staff.unwrap_or_default();
    let mut value = staff_json(&staff);
    if password_ref.is_none() {
        value["password"] = generated.clone().into();
    }
    common.format.print(&value, || {
        let password = if password_ref.is_none() {
            generated
        } else {
            String::new()
        };
        facts([
            ("name", staff.name.clone()),
            ("subject", staff.subject.clone()),
            ("roles", roles_of(&staff).join(", ")),
            ("password (shown once)", password),
        ])
    });
    Ok(())
}

async fn list(common: &CommonArgs) -> Result<()> {
    let response = common
        .client()?
        .verification()
        .list_staff(ListStaffRequest {})
        .await?;
    let staff = response.into_inner().staff;
    if common.format.json {
        let all: Vec<Value> = staff.iter().map(staff_json).collect();
        print(&format!("{:#}", Value::from(all)));
        return Ok(());
    }
    print(&table(
        ["name", "roles", "since", "revoked", "subject"],
        staff.iter().map(|account| {
            [
                account.name.clone(),
                roles_of(account).join(", "),
                format_timestamp(account.created_at.as_ref()),
                format_timestamp(account.revoked_at.as_ref()),
                account.subject.clone(),
            ]
        }),
    ));
    Ok(())
}

fn staff_json(staff: &Staff) -> Value {
    json!({
        "subject": staff.subject,
        "name": staff.name,
        "roles": roles_of(staff),
        "created_at": timestamp_json(staff.created_at.as_ref()),
        "revoked_at": timestamp_json(staff.revoked_at.as_ref()),
    })
}

fn roles_of(staff: &Staff) -> Vec<String> {
    staff
        .roles
        .iter()
        .map(|role| labels::staff_role(*role))
        .collect()
}
