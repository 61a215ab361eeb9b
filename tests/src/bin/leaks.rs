//! `./dev leaks`: plays a demo of its own and searches everything it left on disk for the URLs that it was given.
//!
//! Searched: the data folder with the database's files and write-ahead log, what the programs and Kafka wrote, temporary
//! files and outputs. Not searched: the street's own input, and what a host received.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use anyhow::{Context as _, Result, ensure};
use clap::{Parser, ValueEnum as _};
use domain::url::ReportedUrl;
use takedown::demo::Carrier;
use takedown::street::generator;
use tests::search::Search;

/// Searches a demo's data, logs and temporary files for the URLs that it was given. Exit 0: none found. Exit 1: found.
#[derive(Parser)]
#[command(name = "leaks")]
struct Args {
    /// Reports in the demo that is searched.
    #[arg(long, default_value_t = 300)]
    reports: usize,
    /// Seed of its street.
    #[arg(long, default_value_t = 11)]
    seed: u64,
    /// What carries the events. Kafka: its logs are searched as well, and those of a process for each role.
    #[arg(long, value_enum, default_value_t = Carrier::Local)]
    bus: Carrier,
    /// Plants one URL where the search must find it.
    #[arg(long)]
    control: bool,
}

fn main() -> Result<ExitCode> {
    let args = Args::parse();
    let folder = tempfile::Builder::new()
        .prefix("takedown-leaks-")
        .tempdir()?;
    // The database's own user must be able to pass.
    set_passable(folder.path())?;
    let data = folder.path().join("data");
    play(&args, folder.path(), &data)?;
    let texts = texts(&args)?;
    ensure!(
        texts.len() > args.reports / 3,
        "the street has too few URLs to search for"
    );
    if args.control {
        let planted = texts.iter().next().context("the street has no URL")?;
        fs::write(
            data.join("planted.log"),
            format!("debug: fetched {planted}\n"),
        )?;
    }

    let mut places = vec![folder.path().to_owned()];
    places.extend(database_home(&data)?);
    let search = Search::new(texts.iter().map(String::as_str))?;
    let (findings, files) = search.below(&places)?;
    for place in places.iter().skip(1) {
        fs::remove_dir_all(place).with_context(|| place.display().to_string())?;
    }
    println!(
        "searched {files} files for {} texts in every form",
        texts.len()
    );
    for finding in findings.iter().take(20) {
        println!(
            "found: {} at byte {} ({}{})",
            finding.file.display(),
            finding.offset,
            finding.form,
            if finding.compressed {
                ", compressed"
            } else {
                ""
            },
        );
    }
    println!("found {} in all", findings.len());
    Ok(ExitCode::from(u8::from(!findings.is_empty())))
}

/// Plays the demo to its end. Its database stops with a checkpoint, so that everything is in the files.
fn play(args: &Args, folder: &Path, data: &Path) -> Result<()> {
    let temporary = folder.join("tmp");
    fs::create_dir(&temporary)?;
    let (out, err) = (folder.join("demo.out"), folder.join("demo.err"));
    eprintln!("playing a demo of {} reports", args.reports);
    let program = std::env::current_exe()?.with_file_name("takedown");
    let bus = args.bus.to_possible_value().context("a bus has a name")?;
    let status = Command::new(&program)
        .args(["demo", "--exit", "--reports"])
        .arg(args.reports.to_string())
        .arg("--seed")
        .arg(args.seed.to_string())
        .args(["--bus", bus.get_name()])
        .arg("--data-dir")
        .arg(data)
        .arg("--json")
        .arg(folder.join("demo.json"))
        .env("TMPDIR", &temporary)
        .env("TAKEDOWN_LOG", "trace")
        .env_remove("DATABASE_URL")
        .stdout(File::create(&out)?)
        .stderr(File::create(&err)?)
        .status()
        .with_context(|| format!("starting {}; build it first", program.display()))?;
    if !status.success() {
        eprintln!("{}", fs::read_to_string(&err)?);
    }
    ensure!(status.success(), "the demo failed");
    Ok(())
}

/// What is looked for: host, path and query of each URL, as it was reported and in canonical form.
fn texts(args: &Args) -> Result<BTreeSet<String>> {
    let street = generator::generate(args.reports, args.seed)?;
    let mut texts = BTreeSet::new();
    for entry in street.entries {
        let Ok(url) = ReportedUrl::parse(&entry.report.url) else {
            continue;
        };
        // A bare host is in the directory of providers; only a page is a secret.
        if url.canonical().reveal_path_and_query().len() < 4 {
            continue;
        }
        for spelling in [entry.report.url.trim(), url.canonical().reveal()] {
            let text = spelling
                .split_once("://")
                .map_or(spelling, |(_, rest)| rest);
            texts.insert(text.to_owned());
        }
    }
    Ok(texts)
}

/// Where the database's files are when its user cannot pass the data folder.
fn database_home(data: &Path) -> Result<Option<PathBuf>> {
    match fs::read_to_string(data.join("postgres.home")) {
        Ok(text) => {
            let home = PathBuf::from(text.trim());
            Ok((!home.starts_with(data)).then_some(home))
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error.into()),
    }
}

fn set_passable(folder: &Path) -> Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    fs::set_permissions(folder, fs::Permissions::from_mode(0o711))?;
    Ok(())
}
