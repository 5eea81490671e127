//! What a simulated phone asks of the appliance: it registers, fetches and answers at the addresses of its QR code.

use std::net::IpAddr;
use std::path::Path;
use std::time::{Duration, Instant};

use ::device::{Delivered, Personality, Phone, Request};
use hyper::Method;
use push::address::Url;
use serde_json::Value;

use crate::cli::output::Failure;
use crate::clock;
use crate::delivery::{Answer, Call, HttpError, Tls, exchange};

/// Longest wait for an answer: what the SDKs wait (C.2).
const DEADLINE: Duration = Duration::from_secs(30);
/// Largest answer, in bytes.
const ANSWER_MAX: usize = 256 * 1024;
/// Between two fetches.
const FETCH_EVERY: Duration = Duration::from_millis(500);

/// The way to the appliance.
pub(super) struct Network {
    tls: Option<Tls>,
}

impl Network {
    /// Knows the authorities of a file, or of the system if it has any.
    pub(super) fn new(ca_file: Option<&Path>) -> Result<Self, Failure> {
        let tls = match (ca_file, Tls::new(ca_file)) {
            (Some(_), read) => Some(read.map_err(Failure::usage)?),
            (None, read) => read.ok(),
        };
        Ok(Network { tls })
    }

    /// Sends what the app sends: status and body of the answer.
    pub(super) async fn post(&self, request: &Request) -> Result<(u16, String), Failure> {
        let headers = request.headers.clone();
        let body = request.body.clone().into_bytes();
        let answer = self.send(Method::POST, &request.url, headers, body).await?;
        Ok((answer.status, String::from_utf8_lossy(&answer.body).into_owned()))
    }

    /// Fetches until there is a push that the host app knows; none when the wait is over.
    pub(super) async fn fetch(
        &self,
        app: &Phone,
        account: usize,
        personality: Personality,
        wait: Duration,
    ) -> Result<Option<Delivered>, Failure> {
        let began = Instant::now();
        loop {
            let unix_ms = u64::try_from(clock::wall_ms()).unwrap_or_default();
            let answer = self.send(Method::GET, &app.poll(account, unix_ms), Vec::new(), Vec::new()).await?;
            match answer.status {
                200 => {}
                status => {
                    let why = "the appliance tells this phone no messages: it does not know the phone, its clock is \
                        another, or push.poll is off";
                    return Err(Failure::refused(format!("{why}; it answered {status}")));
                }
            }
            if let Some(found) = newest(personality, &answer.body) {
                return Ok(Some(found));
            }
            if began.elapsed() + FETCH_EVERY >= wait {
                return Ok(None);
            }
            tokio::time::sleep(FETCH_EVERY).await;
        }
    }

    async fn send(
        &self,
        method: Method,
        url: &str,
        headers: Vec<(&'static str, String)>,
        body: Vec<u8>,
    ) -> Result<Answer, Failure> {
        let url =
            Url::parse(url).map_err(|error| Failure::refused(format!("the QR code's address: {error}")))?;
        let origin = url.origin();
        let call = Call { method, url, headers, body };
        // A phone goes wherever its QR code says.
        let anywhere = |_: IpAddr| true;
        let answer = exchange(self.tls.as_ref(), &anywhere, &call, DEADLINE, Some(ANSWER_MAX)).await;
        answer.map_err(|error| match error {
            HttpError::Certificate(_) => Failure::unavailable(format!(
                "{origin}: {error}; --ca-file names the authorities to know it by"
            )),
            error => Failure::unavailable(format!("{origin}: {error}")),
        })
    }
}

/// The latest of the kept messages.
fn newest(personality: Personality, body: &[u8]) -> Option<Delivered> {
    let answer: Value = serde_json::from_slice(body).ok()?;
    answer
        .get("messages")?
        .as_array()?
        .iter()
        .filter_map(|item| Delivered::read(personality, item))
        .next_back()
}
