//! Rows of the provider directory. Sealed values pass through unopened.

use domain::url::DomainName;
use sqlx::postgres::PgRow;
use sqlx::{PgConnection, Row as _};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::Error;
use crate::directory::snapshot::{ActiveWebhook, Provider};
use crate::row::RowReader;

/// Version of the directory, which grows with each change.
pub async fn directory_version(conn: &mut PgConnection) -> Result<i64, Error> {
    Ok(
        sqlx::query_scalar("-- directory_version\nselect version from directory_version")
            .fetch_one(conn)
            .await?,
    )
}

/// The whole directory.
pub async fn providers(conn: &mut PgConnection) -> Result<Vec<Provider>, Error> {
    let rows = sqlx::query(
        "-- providers
        select p.provider_id, p.role, p.country, p.asn, p.cidrs, p.domains, p.upstream, p.registrar, p.origin, p.channel,
            p.row_id, p.contact, e.endpoint_id, e.address
        from provider p
        left join webhook_endpoint e on e.provider_id = p.provider_id and e.in_use and e.retired_at is null
        order by p.provider_id",
    )
    .fetch_all(conn)
    .await?;
    rows.iter().map(provider).collect()
}

/// Locks one provider.
pub async fn lock_provider(conn: &mut PgConnection, id: &str) -> Result<Option<Provider>, Error> {
    let row = sqlx::query(
        "-- lock_provider
        select p.provider_id, p.role, p.country, p.asn, p.cidrs, p.domains, p.upstream, p.registrar, p.origin, p.channel,
            p.row_id, p.contact, e.endpoint_id, e.address
        from provider p
        left join webhook_endpoint e on e.provider_id = p.provider_id and e.in_use and e.retired_at is null
        where p.provider_id = $1
        for update of p",
    )
    .bind(id)
    .fetch_optional(conn)
    .await?;
    row.as_ref().map(provider).transpose()
}

/// Inserts or updates providers, each once, and advances the directory's version. Webhook endpoints have rows
/// of their own.
pub async fn upsert_providers(
    conn: &mut PgConnection,
    now: OffsetDateTime,
    providers: &[&Provider],
) -> Result<(), Error> {
    // Readers compare this row. It is changed first, so that concurrent writers wait for each other.
    directory_changed(conn).await?;
    for provider in providers {
        let cidrs: Vec<String> = provider.cidrs.iter().map(ToString::to_string).collect();
        let domains: Vec<&str> = provider.domains.iter().map(DomainName::reveal).collect();
        sqlx::query(
            "-- upsert_providers
            insert into provider (provider_id, role, country, asn, cidrs, domains, upstream, registrar, origin, channel,
                row_id, contact, changed_at)
            values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)
            on conflict (provider_id) do update set role = excluded.role, country = excluded.country, asn = excluded.asn,
                cidrs = excluded.cidrs, domains = excluded.domains, upstream = excluded.upstream,
                registrar = excluded.registrar, origin = excluded.origin, channel = excluded.channel,
                row_id = excluded.row_id, contact = excluded.contact, changed_at = excluded.changed_at",
        )
        .bind(provider.id.as_str())
        .bind(provider.role.as_str())
        .bind(&provider.country)
        .bind(provider.asn)
        .bind(cidrs)
        .bind(domains)
        .bind(provider.upstream.as_ref().map(domain::id::ProviderId::as_str))
        .bind(provider.registrar.as_ref().map(domain::id::ProviderId::as_str))
        .bind(provider.origin.as_ref().map(domain::id::ProviderId::as_str))
        .bind(provider.channel.as_str())
        .bind(provider.row_id)
        .bind(&provider.contact)
        .bind(now)
        .execute(&mut *conn)
        .await?;
    }
    Ok(())
}

/// Advances the directory's version, so that readers reload it.
pub async fn directory_changed(conn: &mut PgConnection) -> sqlx::Result<()> {
    sqlx::query("-- directory_changed\nupdate directory_version set version = version + 1")
        .execute(conn)
        .await?;
    Ok(())
}

fn provider(row: &PgRow) -> Result<Provider, Error> {
    let row_id: Uuid = row.try_get("row_id")?;
    let r = RowReader {
        table: "provider",
        id: row_id,
        row,
    };
    let cidrs: Vec<String> = r.get("cidrs")?;
    let domains: Vec<String> = r.get("domains")?;
    Ok(Provider {
        id: r.parse("provider_id")?,
        role: r.parse("role")?,
        country: r.get("country")?,
        asn: r.get("asn")?,
        cidrs: cidrs
            .iter()
            .map(|net| net.parse().map_err(|_| r.damaged("cidrs")))
            .collect::<Result<_, _>>()?,
        domains: domains
            .iter()
            .map(|name| DomainName::parse(name).map_err(|_| r.damaged("domains")))
            .collect::<Result<_, _>>()?,
        upstream: r.parse_optional("upstream")?,
        registrar: r.parse_optional("registrar")?,
        origin: r.parse_optional("origin")?,
        channel: r.parse("channel")?,
        row_id,
        contact: r.get("contact")?,
        webhook: r
            .get::<Option<Uuid>>("endpoint_id")?
            .zip(r.get("address")?)
            .map(|(endpoint_id, address)| ActiveWebhook {
                endpoint_id,
                address,
            }),
    })
}
