//! `./dev leaks`: runs a demo and searches everything that it left on disk for its reported URLs.
//!
//! Searched: the data folder with the database's files and write-ahead log, logs of the programs and of Kafka, temporary
//! files and outputs. Not searched: the scenario itself, and the messages that hosts received.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use anyhow::{Context as _, Result, ensure};
use clap::{Parser, ValueEnum as _};
use domain::url::ReportedUrl;
use simulator::generator;
use takedown::demo::BusKind;
use tests::search::UrlSearch;

/// Search a demo's data, logs and temporary files for its reported URLs. Exit code 0: none found. Exit code 1: found.
#[derive(Parser)]
#[command(name = "leaks")]
struct LeakArgs {
    /// Number of reports of the demo
    #[arg(long, default_value_t = 300)]
    reports: usize,
    /// Seed of the demo's scenario
    #[arg(long, default_value_t = 11)]
    seed: u64,
    /// How events reach their consumers; with `kafka`, the logs of the broker and of one process per role are searched too
    #[arg(long, value_enum, default_value_t = BusKind::Local)]
    bus: BusKind,
    /// Write one URL into a log file, which the search must find
    #[arg(long)]
    control: bool,
}

fn main() -> Result<ExitCode> {
    let args = LeakArgs::parse();
    let folder = tempfile::Builder::new()
        .prefix("takedown-leaks-")
        .tempdir()?;
    // The operating system user that runs Postgres must be able to enter the folder.
    set_passable(folder.path())?;
    let data = folder.path().join("data");
    run_demo(&args, folder.path(), &data)?;
    let texts = searched_texts(&args)?;
    ensure!(
        texts.len() > args.reports / 3,
        "the scenario has too few URLs"
    );
    if args.control {
        let url = texts.iter().next().context("the scenario has no URL")?;
        fs::write(data.join("control.log"), format!("debug: fetched {url}\n"))?;
    }

    let mut folders = vec![folder.path().to_owned()];
    folders.extend(database_home(&data)?);
    let search = UrlSearch::new(texts.iter().map(String::as_str))?;
    let (findings, files) = search.search_folders(&folders)?;
    for folder in folders.iter().skip(1) {
        fs::remove_dir_all(folder).with_context(|| folder.display().to_string())?;
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

/// Runs the demo to its end. Its database stops with a checkpoint, so that all data are in the files.
fn run_demo(args: &LeakArgs, folder: &Path, data: &Path) -> Result<()> {
    let temporary = folder.join("tmp");
    fs::create_dir(&temporary)?;
    let (out, err) = (folder.join("demo.out"), folder.join("demo.err"));
    eprintln!("running a demo with {} reports", args.reports);
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

/// Host, path and query of each URL, as reported and in canonical form.
fn searched_texts(args: &LeakArgs) -> Result<BTreeSet<String>> {
    let scenario = generator::generate(args.reports, args.seed)?;
    let mut texts = BTreeSet::new();
    for entry in scenario.reports {
        let Ok(url) = ReportedUrl::parse(&entry.report.url) else {
            continue;
        };
        // A host name alone is in the provider directory; only a page's URL is secret.
        if url.canonical().reveal_path_and_query().len() < 4 {
            continue;
        }
        for url in [entry.report.url.trim(), url.canonical().reveal()] {
            let text = url.split_once("://").map_or(url, |(_, rest)| rest);
            texts.insert(text.to_owned());
        }
    }
    Ok(texts)
}

/// The folder of the database's files, if its user could not enter the data folder.
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
