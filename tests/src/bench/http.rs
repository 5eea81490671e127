//! Requests over keep-alive connections on loopback, each sent when the one before was answered.

use std::sync::Barrier;
use std::thread;
use std::time::{Duration, Instant};

use tests::{Answer, Client};

use super::readings::Series;
use super::stage::{Stage, User};

const ACCEPT: &[u8] = br#"{"verdict":"accept""#;

/// What came of a load.
pub(super) struct Taken {
    /// Requests per second.
    pub(super) rate: f64,
    /// From the first byte sent to the whole answer, in milliseconds.
    pub(super) latencies: Series,
}

/// `GET /healthz`: the server, its connections and the clients, and nothing behind them.
pub(super) fn null(stage: &mut Stage, connections: usize, length: Duration) -> Taken {
    load(stage, connections, length, |client, _| {
        let answer = client.send("GET", "/healthz", None).expect("the daemon answers");
        assert_eq!(answer.status, 200, "{}", answer.text());
    })
}

/// `POST /v1/verify` with the next code of one user after the other.
pub(super) fn verify(stage: &mut Stage, connections: usize, length: Duration) -> Taken {
    stage.users.iter_mut().for_each(User::look_ahead);
    load(stage, connections, length, consume)
}

/// `POST /v1/verify` with the code that each user consumed last.
pub(super) fn refuse(stage: &mut Stage, connections: usize, length: Duration) -> Taken {
    let mut client = stage.client();
    for user in &mut stage.users {
        while user.would_repeat() {
            consume(&mut client, user);
        }
    }
    load(stage, connections, length, |client, user| {
        let answer = ask(client, &user.consumed);
        assert!(answer.rejected(), "not refused: {}", answer.text());
    })
}

/// Consumes one code of each user: after it every secret is unwrapped and there is a code to refuse.
pub(super) fn warm(stage: &mut Stage) {
    let mut client = stage.client();
    for user in &mut stage.users {
        consume(&mut client, user);
    }
}

fn consume(client: &mut Client, user: &mut User) {
    let request = user.request();
    let answer = ask(client, &request);
    assert!(answer.status == 200 && answer.body.starts_with(ACCEPT), "not accepted: {}", answer.text());
    user.consumed = request;
}

fn ask(client: &mut Client, request: &[u8]) -> Answer {
    client.send("POST", "/v1/verify", Some(request)).expect("the daemon answers")
}

/// Each connection works for users of its own, one after the other.
fn load(
    stage: &mut Stage,
    connections: usize,
    length: Duration,
    request: impl Fn(&mut Client, &mut User) + Sync,
) -> Taken {
    let share = stage.users.len().div_ceil(connections);
    let clients: Vec<Client> = (0..connections).map(|_| stage.client()).collect();
    let connected = Barrier::new(connections + 1);
    let (begun, latencies) = thread::scope(|scope| {
        let (request, connected) = (&request, &connected);
        let threads: Vec<_> = clients
            .into_iter()
            .zip(stage.users.chunks_mut(share))
            .map(|(mut client, users)| {
                scope.spawn(move || {
                    client.get("/healthz").expect(200);
                    connected.wait();
                    converse(&mut client, users, length, request)
                })
            })
            .collect();
        connected.wait();
        let begun = Instant::now();
        let latencies: Vec<f64> =
            threads.into_iter().flat_map(|thread| thread.join().expect("each request is answered")).collect();
        (begun, latencies)
    });
    let rate = latencies.len() as f64 / begun.elapsed().as_secs_f64();
    Taken { rate, latencies: latencies.into_iter().collect() }
}

fn converse(
    client: &mut Client,
    users: &mut [User],
    length: Duration,
    request: &impl Fn(&mut Client, &mut User),
) -> Vec<f64> {
    let begun = Instant::now();
    let mut latencies = Vec::new();
    for nth in (0..users.len()).cycle() {
        let asked = Instant::now();
        if asked - begun >= length {
            break;
        }
        request(client, &mut users[nth]);
        latencies.push(asked.elapsed().as_secs_f64() * 1e3);
    }
    latencies
}
