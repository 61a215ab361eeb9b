//! `kill -9` under load: of roles, of the database, of the broker; dispatchers frozen past a lease; all at once. When
//! everything is up again, the promises are counted at the outside.
//!
//! Each plant is a mistake that somebody could make; the same run must catch it, or it shows nothing. It must not look
//! into a service's tables to judge, and no promise depends on how long something took.

mod chaos;
mod count;
mod faults;
mod held;
mod load;
mod outside;
mod proof;
pub mod report;
mod stage;
mod town;

use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use clap::Parser;
use platform::plant::Plant;
use platform::sealed::SigningContext;
use platform::shutdown;
use rand::SeedableRng as _;
use rand::rngs::StdRng;
use takedown::client::Client;
use takedown::demo::knowledge::Knowledge;
use takedown::demo::{Carrier, analysts, setup};
use takedown::street::files::Street;
use takedown::street::mishap::Transport;
use takedown::street::residents::{Premises, Residents};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use chaos::{Chaos, Tally};
use count::{Count, Evidence};
use load::Reporters;
use outside::{Outside, Standing};
use report::{Ending, Report, Run};
use stage::Stage;

/// Kills roles, database and broker under load and counts at the outside what became of every promise. Exit 1: a promise
/// was broken, named. Exit 3: too little happened to show anything.
#[derive(Parser)]
#[command(name = "crash")]
pub struct Args {
    /// So many kills; freezes and transactions that are held open come beside them.
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u32).range(4..=10_000))]
    pub kills: u32,
    /// The same seed gives the same town and the same faults.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    #[arg(long, value_enum, default_value_t = Carrier::Local)]
    pub bus: Carrier,
    /// Makes one mistake in every role, which the run must catch: no-fence, cursor-first, naive-cursor, app-clock,
    /// forget-lease.
    #[arg(long, value_name = "NAME", value_parser = plant)]
    pub plant: Option<Plant>,
    /// Write the figures to this file, as JSON.
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
}

/// Reports that the town has for each kill, and beside them.
const REPORTS_A_KILL: usize = 40;
const REPORTS: usize = 600;
/// Nothing moves for so long: it is quiet, or stuck. Longer than the ladder.
const STILL: Duration = Duration::from_secs(40);
const LOOK: Duration = Duration::from_millis(500);

fn plant(text: &str) -> Result<Plant, String> {
    Plant::parse(text).ok_or_else(|| {
        let known: Vec<&str> = Plant::ALL.iter().map(|plant| plant.as_str()).collect();
        format!("`{text}` is not one of: {}", known.join(", "))
    })
}

/// Plays one run to its end.
pub async fn run(args: Args) -> Result<Ending> {
    let shutdown = shutdown::on_signals()?;
    let kills = args.kills as usize;
    // Before a long run, not after it.
    if let Some(path) = &args.json {
        std::fs::write(path, "").with_context(|| format!("writing {}", path.display()))?;
    }
    let street = Arc::new(town::town(kills * REPORTS_A_KILL + REPORTS, args.seed));
    // The database's user has to pass through.
    let folder = tempfile::Builder::new()
        .prefix("takedown-crash-")
        .permissions(std::fs::Permissions::from_mode(0o711))
        .tempdir()?;
    let premises = Premises::build(&street)
        .await?
        .reached_over(Transport::Hanging);
    let data = folder.path().join("system");
    let stage = Stage::start(&data, &premises, args.bus, args.plant).await?;
    let played = tokio::select! {
        played = play(&args, &stage, street, premises) => played,
        () = shutdown.cancelled() => Err(anyhow::anyhow!("stopped before the end")),
    };
    let ended = stage.stop().await;
    let report = played?;
    println!("{}", report.text());
    if let Some(path) = &args.json {
        std::fs::write(path, format!("{:#}\n", report.json()))?;
    }
    if report.ending() != Ending::Broken {
        ended?;
    }
    Ok(report.ending())
}

async fn play(
    args: &Args,
    stage: &Arc<Stage>,
    street: Arc<Street>,
    premises: Premises,
) -> Result<Report> {
    let stop = CancellationToken::new();
    let cast = setup::people(stage.spread.client()).await?;
    let keys = setup::providers(&cast, &street).await?;
    setup::known_material(&cast, &street).await?;
    let gateway = &stage.spread.addresses().gateway;
    let residents = premises
        .open(&street, gateway, &keys, stop.child_token())
        .await?;
    residents.begin();
    let knowledge = Arc::new(Knowledge::of(&street));
    let staff = TaskTracker::new();
    for (number, analyst) in cast.analysts.iter().enumerate() {
        let (analyst, knowledge) = (analyst.clone(), Arc::clone(&knowledge));
        staff.spawn(analysts::run(
            number,
            analyst,
            knowledge,
            stop.child_token(),
        ));
    }
    let reporters = Reporters::new(cast.operator.clone(), Arc::clone(&street), knowledge);

    let mut chance = StdRng::seed_from_u64(args.seed);
    let faults = faults::schedule(args.kills as usize, args.bus, &mut chance);
    let enough = CancellationToken::new();
    let load = tokio::spawn(Arc::clone(&reporters).work(enough.clone()));
    let mut chaos = Chaos {
        stage: Arc::clone(stage),
        residents: Arc::clone(&residents),
        reporters: Arc::clone(&reporters),
        chance,
        tally: Tally::default(),
        began: Instant::now(),
    };
    let stopped = chaos.run(&faults).await.err();
    enough.cancel();
    let stopped = stopped.map(|error| format!("{error:#}"));
    if stopped.is_none() {
        load.await??;
    } else {
        load.abort();
    }
    let tally = chaos.tally;
    let settled = settle(stage, &cast.operator, &reporters, &residents).await;
    let (outside, count) = match (settled, &stopped) {
        // What did not come back cannot be asked.
        (Err(_), Some(_)) => (Outside::default(), Count::default()),
        (settled, _) => settled?,
    };
    stop.cancel();
    staff.close();
    staff.wait().await;
    residents.close().await;
    Ok(Report::of(Run {
        kills: args.kills as usize,
        victims: victims(stage, args.bus),
        street: &street,
        receipts: &reporters.receipts(),
        asked_again: reporters.asked_again(),
        hosts: residents.log(),
        outside: &outside,
        tally,
        count,
        stopped,
    }))
}

/// Counts when it is quiet. What is still under way then is waited for, until nothing has moved for long.
async fn settle(
    stage: &Stage,
    client: &Client,
    reporters: &Reporters,
    residents: &Residents,
) -> Result<(Outside, Count)> {
    let keys = stage.spread.keyring().verifier(SigningContext::Proof);
    let policy = takedown::system::policy(stage::POLICY)?;
    let ladder: Vec<_> = policy.regimes[0]
        .ladder
        .iter()
        .map(|rule| (rule.rung, rule.after))
        .collect();
    let mut last = None;
    let mut moved = Instant::now();
    eprintln!("everything is up; waiting until it is quiet");
    loop {
        tokio::time::sleep(LOOK).await;
        let now = match Standing::read(client).await {
            Ok(now) => now,
            // Whoever came up last may not take calls yet.
            Err(_) if moved.elapsed() < STILL => continue,
            Err(error) => return Err(error),
        };
        let same = last.replace(now.clone()).is_some_and(|last| last == now);
        if !same {
            moved = Instant::now();
        }
        let is_stuck = moved.elapsed() > STILL;
        let is_quiet = same && now.is_quiet();
        if !is_quiet && !is_stuck {
            continue;
        }
        let outside = Outside::read(client).await?;
        let count = Count::of(&Evidence {
            receipts: &reporters.receipts(),
            hosts: residents.log(),
            outside: &outside,
            keys: &keys,
            ladder: &ladder,
        });
        if count.is_clean() || is_stuck {
            if is_stuck {
                eprintln!("nothing has moved for {} s: {now:?}", STILL.as_secs());
            }
            return Ok((outside, count));
        }
    }
}

/// Whoever is to be killed, by name.
fn victims(stage: &Stage, bus: Carrier) -> Vec<String> {
    let roles = stage.spread.instances().into_iter();
    let mut victims: Vec<String> = roles.map(|one| one.to_string()).collect();
    victims.push("postgres".to_owned());
    if bus == Carrier::Kafka {
        victims.push("broker".to_owned());
    }
    victims
}
