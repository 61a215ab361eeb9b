//! `staff`: accounts of the people who work with the console.

use anyhow::Result;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use domain::word::StaffRole;
use platform::config::SecretRef;
use proto::v1::{CreateStaffRequest, ListStaffRequest, RevokeStaffRequest, Staff};
use secrecy::ExposeSecret as _;
use serde_json::{Value, json};

use super::{At, words};
use crate::output::{Format, at, at_json, facts, print, table};

#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// Makes an account. Without --password a fresh one is shown once.
    Add {
        #[command(flatten)]
        at: At,
        /// The name to sign in with.
        name: String,
        /// What the account may do; may be given several times.
        #[arg(
            long = "role",
            required = true,
            value_name = "analyst|supervisor|operator|auditor"
        )]
        roles: Vec<StaffRole>,
        /// Where the password is: env:NAME or file:/path.
        #[arg(long, value_name = "SECRET")]
        password: Option<SecretRef>,
    },
    /// Everybody with an account.
    List {
        #[command(flatten)]
        at: At,
    },
    /// Ends an account and all its sessions; within a minute it is out everywhere.
    Revoke {
        #[command(flatten)]
        at: At,
        /// The account's subject, as `staff list` shows it.
        subject: String,
    },
}

impl Command {
    pub(super) fn format(&self) -> Format {
        match self {
            Self::Add { at, .. } | Self::List { at } | Self::Revoke { at, .. } => at.format,
        }
    }
}

pub(super) async fn run(command: Command) -> Result<()> {
    match command {
        Command::Add {
            at,
            name,
            roles,
            password,
        } => add(&at, name, &roles, password.as_ref()).await,
        Command::List { at } => list(&at).await,
        Command::Revoke { at, subject } => {
            let request = RevokeStaffRequest {
                subject: subject.clone(),
            };
            at.client()?.verification().revoke_staff(request).await?;
            at.format.print(&json!({ "revoked": subject }), || {
                format!("revoked {subject}")
            });
            Ok(())
        }
    }
}

async fn add(at: &At, name: String, roles: &[StaffRole], given: Option<&SecretRef>) -> Result<()> {
    let fresh = URL_SAFE_NO_PAD.encode(platform::sealed::random::<18>());
    let password = match given {
        Some(reference) => reference.resolve()?.expose_secret().to_owned(),
        None => fresh.clone(),
    };
    let request = CreateStaffRequest {
        name,
        password,
        roles: roles.iter().map(|role| role.wire()).collect(),
    };
    let answer = at.client()?.verification().create_staff(request).await?;
    let staff = answer.into_inner().staff.unwrap_or_default();
    let mut value = staff_json(&staff);
    if given.is_none() {
        value["password"] = fresh.clone().into();
    }
    at.format.print(&value, || {
        let shown = if given.is_none() {
            fresh
        } else {
            String::new()
        };
        facts([
            ("name", staff.name.clone()),
            ("subject", staff.subject.clone()),
            ("roles", roles_of(&staff).join(", ")),
            ("password (shown once)", shown),
        ])
    });
    Ok(())
}

async fn list(given: &At) -> Result<()> {
    let answer = given
        .client()?
        .verification()
        .list_staff(ListStaffRequest {})
        .await?;
    let staff = answer.into_inner().staff;
    if given.format.json {
        let all: Vec<Value> = staff.iter().map(staff_json).collect();
        print(&format!("{:#}", Value::from(all)));
        return Ok(());
    }
    print(&table(
        ["name", "roles", "since", "revoked", "subject"],
        staff.iter().map(|one| {
            [
                one.name.clone(),
                roles_of(one).join(", "),
                at(one.created_at.as_ref()),
                at(one.revoked_at.as_ref()),
                one.subject.clone(),
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
        "created_at": at_json(staff.created_at.as_ref()),
        "revoked_at": at_json(staff.revoked_at.as_ref()),
    })
}

fn roles_of(staff: &Staff) -> Vec<String> {
    staff
        .roles
        .iter()
        .map(|role| words::staff_role(*role))
        .collect()
}
