//! Asks a running daemon, by its health endpoint.

use crate::failure::Failure;
use cellwarden_health::Status;
use std::time::Duration;

/// The daemon is on this machine or on a network beside it: what takes longer will not come.
const ANSWER_TIME: Duration = Duration::from_secs(5);
/// 64 sensors are below 200 kB.
const ANSWER_MOST_BYTES: u64 = 16 << 20;

/// A daemon, by the address of its health endpoint.
pub struct DaemonClient {
    agent: ureq::Agent,
    address: String,
}

impl DaemonClient {
    /// The daemon that listens on `address`, `HOST:PORT`.
    pub fn new(address: &str) -> Self {
        let agent = ureq::Agent::config_builder()
            .timeout_global(Some(ANSWER_TIME))
            .max_redirects(0)
            // A proxy of the environment is for the world, not for a box.
            .proxy(None)
            .build()
            .into();
        Self { agent, address: address.to_owned() }
    }

    /// What it answers, as text and as a status.
    pub fn status(&self) -> Result<(String, Status), Failure> {
        let address = &self.address;
        let url = format!("http://{address}/status.json");
        let mut response = self.agent.get(url).call().map_err(|error| match error {
            ureq::Error::StatusCode(code) => Failure::Run(format!(
                "{address} answered {code}: is this the daemon's health endpoint? See `health` in its configuration"
            )),
            error => Failure::Run(format!(
                "the daemon does not answer on {address} ({error}): does it run, and is this its health address?"
            )),
        })?;
        let text = response.body_mut().with_config().limit(ANSWER_MOST_BYTES).read_to_string().map_err(|error| {
            Failure::Run(format!(
                "the daemon's answer on {address} broke off ({error}): ask again, and look at its log"
            ))
        })?;
        let status = serde_json::from_str(&text).map_err(|error| {
            Failure::Run(format!(
                "what answers on {address} is no cellwarden of this version ({error}): is this its health address?"
            ))
        })?;
        Ok((text, status))
    }
}
