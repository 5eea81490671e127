//! `countersign serve`: opens everything in order, serves, and ends in order.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use domain::event::Actor;
use hsm::{Hsm, HsmSettings, Launcher, Status};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use crate::api::serve::Bound;
use crate::api::{self, Api};
use crate::appliance::Appliance;
use crate::chores;
use crate::clock::Clock;
use crate::config::Config;
use crate::flows::former;
use crate::flows::push::post;
use crate::live::Live;
use crate::sms::{self, Switch};
use crate::store::{Store, event};

/// Name of the PIN latch in the state directory.
pub const HSM_LATCH: &str = "hsm.latch";
/// First argument with which the binary starts itself as the HSM child.
pub const HSM_CHILD: &str = "hsm-child";
/// Threads that run acts: as many as acts may be under way, and a few for the rest.
const BLOCKING_THREADS: usize = api::ACTS_MAX + 16;
/// Longest wait for the threads of the modems at the end.
const MODEM_DRAIN: Duration = Duration::from_secs(10);
/// Upper bounds of the request histogram, in seconds.
const SECONDS_BUCKETS: [f64; 9] = [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.5, 2.0];

/// How to start the HSM child: this very binary.
///
/// # Errors
/// When the binary's own path cannot be found.
pub fn launcher() -> std::io::Result<Launcher> {
    let program = std::env::current_exe()?;
    Ok(Launcher { program, args: vec![OsString::from(HSM_CHILD)] })
}

/// What the HSM child is told.
pub fn hsm_settings(config: &Config) -> HsmSettings {
    HsmSettings {
        module: config.hsm.module.clone(),
        token_label: config.hsm.token_label.clone(),
        pin: config.hsm.pin.clone(),
        env: config.hsm.env.clone().into_iter().collect(),
        latch: config.state_dir.join(HSM_LATCH),
        deadline: Duration::from_millis(config.hsm.deadline_ms),
    }
}

/// Opens store, HSM and clock.
///
/// # Errors
/// When the state directory cannot be used. A closed HSM is no error: the daemon answers `unavailable` until
/// it opens.
pub fn open(config: Config) -> anyhow::Result<Appliance> {
    let state: PathBuf = config.state_dir.clone();
    let store = Store::open(&state).with_context(|| format!("state directory {}", state.display()))?;
    let clock = Clock::new(store.read(event::latest_at)?)?;
    let hsm = Hsm::start(launcher()?, hsm_settings(&config));
    if let Status::Down { error } = hsm.status() {
        tracing::error!(%error, advice = error.advice(), "the HSM is not open");
    }
    Ok(Appliance::new(config, store, hsm, clock))
}

/// Keeps this process's memory out of core files and away from other processes of the same user.
fn harden() -> anyhow::Result<()> {
    use rustix::process::{DumpableBehavior, Resource, Rlimit, set_dumpable_behavior, setrlimit};
    setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) })?;
    set_dumpable_behavior(DumpableBehavior::NotDumpable)?;
    Ok(())
}

/// Runs until SIGTERM or SIGINT.
///
/// # Errors
/// When something needed cannot be opened or bound.
pub fn serve(config: Config, path: &Path) -> anyhow::Result<()> {
    harden().context("process hardening")?;
    let recorder = PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), &SECONDS_BUCKETS)?
        .install_recorder()?;
    metrics::gauge!("countersign_build_info", "version" => env!("CARGO_PKG_VERSION")).set(1.0);
    let live = Live::new(open(config)?, path);
    let app = live.current();
    if let Err(error) = former::seal(&app) {
        tracing::error!(%error, "rows of a former schema are not sealed yet; it is tried again");
    }
    let switch = Arc::new(Switch::default());
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .max_blocking_threads(BLOCKING_THREADS)
        .build()?;
    let mut threads = sms::start(&live, &switch)?;
    threads.push(post::start(&live, &switch)?);
    let chores = Arc::new(chores::Switch::default());
    threads.push(chores::start(&live, &chores)?);
    let served = runtime.block_on(listen(Arc::clone(&live), recorder));
    switch.stop(&app.bell);
    app.post.ring();
    chores.stop();
    runtime.shutdown_timeout(MODEM_DRAIN);
    for thread in threads {
        if thread.join().is_err() {
            tracing::error!("a thread had ended early");
        }
    }
    served
}

async fn listen(
    live: Arc<Live>,
    recorder: metrics_exporter_prometheus::PrometheusHandle,
) -> anyhow::Result<()> {
    let (stopper, stop) = watch::channel(false);
    let api = Api::new(Arc::clone(&live), recorder);
    let router = api::router(Arc::clone(&api));
    let phones = api::phones::router(Arc::clone(&api));
    let mut listeners = Vec::new();
    for listener in &live.current().config.listeners {
        let bound =
            Bound::bind(listener).await.with_context(|| format!("listen on {:?}", listener.address))?;
        tracing::info!(address = %bound.describe(), "listening");
        let router = if listener.phones_only { phones.clone() } else { router.clone() };
        listeners.push(tokio::spawn(bound.serve(router, stop.clone())));
    }
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut hang_up = signal(SignalKind::hangup())?;
    notify(&[sd_notify::NotifyState::Ready]);
    loop {
        tokio::select! {
            _ = terminate.recv() => break,
            _ = interrupt.recv() => break,
            _ = hang_up.recv() => reload(&live).await?,
        }
    }
    tracing::info!("stopping");
    notify(&[sd_notify::NotifyState::Stopping]);
    api.stop_waiting();
    stopper.send_replace(true);
    for listener in listeners {
        listener.await?;
    }
    Ok(())
}

/// Reads the configuration again; with a fault in it the former one stays, and the log says so.
async fn reload(live: &Arc<Live>) -> anyhow::Result<()> {
    let live = Arc::clone(live);
    let activated = tokio::task::spawn_blocking(move || live.activate(&Actor::system("SIGHUP"))).await?;
    if activated.is_ok() {
        notify(&[sd_notify::NotifyState::Ready]);
    }
    Ok(())
}

fn notify(states: &[sd_notify::NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::warn!(%error, "the service manager cannot be told");
    }
}
