//! `conmoto`: arguments, configuration, run, exit code. The only place that ends the process.

use conmoto::app::App;
use conmoto::app::self_tracing::{self, SelfTracing};
use conmoto::config::{Command, Loaded, load, usage};
use conmoto::model::TenantId;
use conmoto::runtime::failpoints::Failpoints;
use conmoto::telemetry::logging;
use std::process::ExitCode;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let loaded = match load(&args, &|name| std::env::var(name).ok()) {
        Ok(loaded) => loaded,
        Err(error) => {
            eprintln!("{error}");
            if error.exit_code() == 2 {
                eprintln!("{}", usage());
            }
            return ExitCode::from(error.exit_code());
        }
    };
    if matches!(loaded.command, Command::Run | Command::Demo) {
        conmoto::app::allocator::limit_arenas(loaded.config.memory_limit_bytes);
    }
    match &loaded.command {
        Command::Help => println!("{}", usage()),
        Command::Version => println!("conmoto, version {}", env!("CARGO_PKG_VERSION")),
        Command::Verify => return verify(&loaded),
        Command::Doctor => return doctor(&loaded),
        Command::Health { url } => return health(url),
        Command::Run => return serve(loaded, false),
        Command::Demo => return serve(loaded, true),
    }
    ExitCode::SUCCESS
}

fn verify(loaded: &Loaded) -> ExitCode {
    loaded.notes.iter().for_each(|note| println!("note: {note}"));
    loaded.warnings.iter().for_each(|warning| println!("warning: {warning}"));
    if let Err(error) = conmoto::app::storage::check(&loaded.config) {
        eprintln!("{error}");
        return ExitCode::FAILURE;
    }
    if loaded.warnings.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn doctor(loaded: &Loaded) -> ExitCode {
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("could not start the runtime: {error}");
            return ExitCode::FAILURE;
        }
    };
    let findings = runtime.block_on(conmoto::app::doctor::examine(loaded));
    print!("{}", conmoto::app::doctor::report(&findings));
    if conmoto::app::doctor::would_start(&findings) { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn health(url: &str) -> ExitCode {
    match conmoto::app::health::is_ready(url) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

fn serve(loaded: Loaded, with_demo: bool) -> ExitCode {
    let (spans, problem) = self_tracing::from_env(&|name| std::env::var(name).ok());
    let (layer, own_traces) = spans.unzip();
    let as_json = loaded.config.server.log_format == conmoto::config::LogFormat::Json;
    logging::start(loaded.config.server.log_level.as_str(), as_json, layer);
    problem.iter().for_each(|problem| tracing::warn!("{problem}"));
    loaded.warnings.iter().for_each(|warning| tracing::warn!("{warning}"));
    loaded.notes.iter().for_each(|note| tracing::warn!("{note}"));
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            tracing::error!(%error, "could not start the runtime");
            return ExitCode::FAILURE;
        }
    };
    let ran = runtime.block_on(run(loaded, with_demo, own_traces));
    // What still computes was given up in time; a runtime that is dropped would wait for it.
    runtime.shutdown_background();
    match ran {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(error = format!("{error:#}"), "error running Conmoto");
            ExitCode::FAILURE
        }
    }
}

async fn run(loaded: Loaded, with_demo: bool, own_traces: Option<SelfTracing>) -> anyhow::Result<()> {
    for name in loaded.config.receivers.not_served() {
        tracing::warn!(receiver = name, "this receiver is configured but not served yet");
    }
    let app = App::start(loaded.config, failpoints()?).await?;
    println!("{}", app.banner());
    let (stop, stopped) = tokio::sync::watch::channel(());
    let sending = own_traces.map(|own_traces| tokio::spawn(own_traces.run(stopped)));
    let demo = with_demo.then(|| tokio::spawn(conmoto::demo::run(app.distributor(), TenantId::single())));
    let ran = app.run(async {
        stop_signal().await;
        if let Some(demo) = demo {
            demo.abort();
        }
    });
    let ran = ran.await;
    drop(stop);
    if let Some(sending) = sending {
        // What is left is sent, or not in time.
        let _ = sending.await;
    }
    ran
}

/// Where tests of crashes have this process die; nowhere without the variable.
fn failpoints() -> anyhow::Result<Failpoints> {
    match std::env::var("CONMOTO_FAILPOINT") {
        Ok(text) => Failpoints::parse(&text).map_err(|error| anyhow::anyhow!("CONMOTO_FAILPOINT: {error}")),
        Err(_) => Ok(Failpoints::default()),
    }
}

/// Resolves on SIGINT or SIGTERM.
async fn stop_signal() {
    use tokio::signal::unix::{SignalKind, signal};
    let wait = |kind| async move {
        match signal(kind) {
            Ok(mut signal) => drop(signal.recv().await),
            // Without a handler the signal ends the process as it would any other.
            Err(_) => std::future::pending().await,
        }
    };
    tokio::select! {
        () = wait(SignalKind::interrupt()) => {}
        () = wait(SignalKind::terminate()) => {}
    }
}
