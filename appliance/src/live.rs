//! The configuration in effect, and how another one takes its place: whole, or not at all (OATH-23).

use std::path::{Path, PathBuf};
use std::sync::Arc;

use data_encoding::HEXLOWER;
use domain::event::{Actor, Event};
use parking_lot::RwLock;
use sha2::{Digest, Sha256};
use thiserror::Error;

use crate::appliance::Appliance;
use crate::config::{self, Config, ConfigError};
use crate::error::FlowError;
use crate::store::event;

/// The appliance as it is now.
pub struct Live {
    current: RwLock<Arc<Appliance>>,
    path: PathBuf,
}

/// Why the former configuration stays in effect.
#[derive(Debug, Error)]
pub enum ActivateError {
    /// The file has faults.
    #[error("{0}")]
    Config(#[from] ConfigError),
    /// What it changes is opened once, at the start.
    #[error("{0} changed, which takes a restart of the daemon: nothing of the file is in effect")]
    Restart(&'static str),
    /// The event could not be written.
    #[error(transparent)]
    Flow(#[from] FlowError),
}

impl Live {
    /// An appliance with the file that its configuration came from.
    pub fn new(app: Appliance, path: &Path) -> Arc<Self> {
        Arc::new(Live { current: RwLock::new(Arc::new(app)), path: path.to_owned() })
    }

    /// The appliance under the configuration that is in effect now.
    pub fn current(&self) -> Arc<Appliance> {
        Arc::clone(&self.current.read())
    }

    /// Reads the file again, and the operator's own texts. Acts under way end under the configuration that they began
    /// with. Returns the SHA-256 of the file that is in effect now, in hex.
    ///
    /// # Errors
    /// [`ActivateError`]: then nothing has changed, and the refusal is an event.
    pub fn activate(&self, actor: &Actor) -> Result<String, ActivateError> {
        let app = self.current();
        let at = app.clock.now().wall_ms;
        match self.read(&app.config) {
            Ok((config, digest)) => {
                let mut event =
                    Event::ok(at, "config.activated", actor.clone()).about("sha256", digest.as_str());
                if let Some(messages) = &config.messages.sha256 {
                    event = event.about("messages_sha256", messages.as_str());
                }
                let next = Arc::new(app.under(config));
                // Whoever has seen the event waits here, and finds what it says in effect; without the event nothing
                // changes.
                let mut current = self.current.write();
                app.store.write(move |w| event::append(w, &event).map(drop)).map_err(FlowError::from)?;
                *current = next;
                drop(current);
                tracing::info!(%digest, "another configuration is in effect");
                Ok(digest)
            }
            Err(error) => {
                tracing::error!(%error, "the former configuration stays in effect");
                let reason = if matches!(error, ActivateError::Restart(_)) { "restart" } else { "findings" };
                app.refuse(Event::refused(at, "config.refused", actor.clone(), reason))?;
                Err(error)
            }
        }
    }

    fn read(&self, former: &Config) -> Result<(Config, String), ActivateError> {
        let (config, text) = config::load_text(&self.path)?;
        if let Some(key) = takes_restart(former, &config) {
            return Err(ActivateError::Restart(key));
        }
        Ok((config, HEXLOWER.encode(&Sha256::digest(text.as_bytes()))))
    }
}

/// What is opened once, at the start.
fn takes_restart(former: &Config, next: &Config) -> Option<&'static str> {
    [
        (former.state_dir != next.state_dir, "state_dir"),
        (former.hsm != next.hsm, "[hsm]"),
        (former.listeners != next.listeners, "[[listen]]"),
        (former.modems != next.modems, "[[modem]]"),
    ]
    .into_iter()
    .find_map(|(differs, key)| differs.then_some(key))
}
