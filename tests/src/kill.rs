//! Kill -9 under load, again and again, and what the ledger says afterwards.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use rusqlite::{Connection, OpenFlags, params};
use serde_json::json;

use crate::appliance::{Appliance, MANY_MESSAGES, RigOptions};
use crate::http::Client;
use crate::ledger::{Audit, Ledger, Submission, audit, text};
use crate::people::Enrolled;
use crate::scratch;
use crate::time::{PATIENCE, unix_s, wait_until};

/// The latest moment of a kill after the load began.
const KILL_WITHIN_MS: u64 = 500;
/// Challenges ordered between two kills at the most.
const CHALLENGES: usize = 8;
/// Wrong codes between two kills at the most: below the growing delay.
const WRONG: usize = 15;
/// Codes asked again before the counters of wrong codes are cleared.
const UNLOCK_EVERY: usize = 10;
/// Limits that let every code that is asked again be compared.
const LIMITS: &str = "[limits]\ntoken_failures = 20\ndelay_from = 20\npair_failures = 50\n";
const APP: &str = "kill";

/// What the kills came to.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// Kills.
    pub kills: usize,
    /// Codes accepted, with an answer that arrived.
    pub acknowledged: usize,
    /// Codes whose answer was lost.
    pub lost: usize,
    /// Of those, accepted when asked again.
    pub late: usize,
    /// Acknowledged challenges.
    pub challenges: usize,
    /// Messages whose fate is `unknown`.
    pub unknown: usize,
    /// Events in the chain.
    pub events: usize,
    /// Everything that should not be.
    pub violations: Vec<String>,
}

impl Report {
    fn add(&mut self, audit: Audit) {
        self.acknowledged += audit.acknowledged;
        self.lost += audit.lost;
        self.late += audit.late;
        self.violations.extend(audit.violations);
    }

    fn check(&mut self, holds: bool, what: impl FnOnce() -> String) {
        if !holds {
            self.violations.push(what());
        }
    }
}

/// A challenge that was asked for.
struct Ordered {
    number: String,
    /// None when the answer was lost.
    id: Option<String>,
}

struct Scene {
    rig: Appliance,
    ledger: Ledger,
    key: String,
    hotp: Vec<Enrolled>,
    victim: Enrolled,
    ordered: Vec<Ordered>,
    people: usize,
    report: Report,
}

/// Kills a fresh appliance so many times.
///
/// # Panics
/// When the appliance does not come back.
pub fn run(kills: usize) -> Report {
    let rig = Appliance::start(RigOptions::with_modem().config(&format!("{LIMITS}{MANY_MESSAGES}")));
    let ledger = Ledger::create(&rig.path("ledger"));
    let key = rig.app_key(APP, &["verify", "challenge"]);
    let eight = json!({"type": "hotp", "digits": 8});
    let hotp = (0..2).map(|n| {
        let name = format!("counter-{n}");
        rig.user(&name);
        rig.token(&name, &eight)
    });
    let hotp = hotp.collect();
    rig.user("victim");
    let victim = rig.token("victim", &eight);
    let report = Report::default();
    let mut scene = Scene { rig, ledger, key, hotp, victim, ordered: Vec::new(), people: 0, report };
    for _ in 0..kills {
        scene.round();
    }
    scene.finish()
}

impl Scene {
    /// Load, kill, start, ask again.
    fn round(&mut self) {
        let asked_before = self.ledger.history();
        let numbers = self.new_people();
        let sent_wrong = AtomicUsize::new(0);
        let counted_wrong = AtomicUsize::new(0);
        let codes = self.codes_to_answer();
        if self.report.kills % 2 == 1 {
            // Half of the kills find the modem at work, the others find it being opened.
            self.await_modem();
        }
        let [mut a, mut b, mut c, mut d] = self.clients();
        let (mut admin, names) = (self.rig.admin(), format!("clock-{}", self.report.kills));
        let [first, second] = [0, 1].map(|n| self.next_counter(&self.hotp[n]));
        let ordered = {
            let (ledger, hotp, victim, rig) = (&self.ledger, &self.hotp, &self.victim, &mut self.rig);
            let (sent, counted) = (&sent_wrong, &counted_wrong);
            std::thread::scope(|scope| {
                scope.spawn(move || count_up(ledger, &hotp[0], first, &mut a));
                scope.spawn(move || count_up(ledger, &hotp[1], second, &mut b));
                scope.spawn(move || enrol_and_verify(ledger, &names, &mut admin, &mut c));
                scope.spawn(move || guess(victim, sent, counted, &mut d));
                let [mut e, ..] = clients_of(rig, &self.key);
                let order = scope.spawn(move || answer_and_order(ledger, codes, numbers, &mut e));
                std::thread::park_timeout(random_moment());
                rig.kill9();
                order.join().expect("the thread that orders")
            })
        };
        self.report.kills += 1;
        self.ordered.extend(ordered);
        self.rig.restart();
        self.check_counters(sent_wrong.into_inner(), counted_wrong.into_inner());
        let asked = self.ledger.history();
        let fresh: Vec<_> = asked.into_keys().filter(|code| !asked_before.contains_key(code)).collect();
        let audited = self.ask_again(fresh);
        self.report.add(audited);
    }

    fn clients(&self) -> [Client; 4] {
        clients_of(&self.rig, &self.key)
    }

    /// Users with a phone, for the challenges of the next round.
    fn new_people(&mut self) -> Vec<(String, String)> {
        let first = self.people;
        self.people += CHALLENGES;
        (first..self.people)
            .map(|n| {
                let (name, number) = (format!("phone-{n}"), format!("+4179{:07}", 2_000_000 + n));
                self.rig.user(&name);
                self.rig.phone(&name, &number);
                (name, number)
            })
            .collect()
    }

    /// Codes of earlier challenges that have arrived and were not asked for yet.
    fn codes_to_answer(&self) -> Vec<Submission> {
        let recent = self.ordered.iter().rev().take(CHALLENGES);
        let arrived = recent.filter_map(|ordered| {
            let message = self.rig.modem().messages_to(&ordered.number).into_iter().next()?;
            let target = ordered.id.clone()?;
            Some(Submission { kind: "sms".to_owned(), target, otp: message.code() })
        });
        arrived.collect()
    }

    fn await_modem(&self) {
        let mut client = self.rig.admin();
        wait_until(PATIENCE, "the modem", || {
            client.get("/metrics").text().contains("countersign_modem_up{modem=\"m1\"} 1").then_some(())
        });
    }

    fn next_counter(&self, token: &Enrolled) -> u64 {
        self.rig.show_token(&token.serial)["last_used"].as_u64().map_or(0, |last| last + 1)
    }

    /// A9 and A4: no counter stands below what was acknowledged.
    fn check_counters(&mut self, sent: usize, counted: usize) {
        let stored = self.rig.show_user("victim")["failures"].as_u64().unwrap_or_default();
        let stored = usize::try_from(stored).unwrap_or(usize::MAX);
        self.report.check((counted..=sent).contains(&stored), || {
            format!("{counted} wrong codes were answered, {sent} sent, {stored} are stored")
        });
        self.rig.unlock_user("victim");
        self.rig.change_token(&self.victim.serial, "unlock");
        let history = self.ledger.history();
        for token in &self.hotp {
            let next = self.next_counter(token);
            let beyond = (next..next + 20).find(|counter| {
                let otp = token.secret.hotp(*counter);
                let code = Submission { kind: "oath".to_owned(), target: token.serial.clone(), otp };
                history.get(&code).is_some_and(|fate| fate.accepted > 0)
            });
            self.report.check(beyond.is_none(), || {
                format!("counter {beyond:?} was accepted, the token stands at {next}")
            });
        }
    }

    fn ask_again(&self, codes: Vec<Submission>) -> Audit {
        let mut client = self.rig.local(&self.key);
        let mut admin = self.rig.admin();
        let mut count = 0;
        audit(&self.ledger, codes, |ledger, code| {
            count += 1;
            if count % UNLOCK_EVERY == 0 {
                unlock(&mut admin, &code);
            }
            ledger.submit(code, &mut client).expect("the appliance is up");
        })
    }

    /// Once more all codes of all rounds, then messages and events.
    fn finish(mut self) -> Report {
        let every: Vec<_> = self.ledger.history().into_keys().collect();
        let last = self.ask_again(every);
        self.report.check(last.late == 0, || format!("{} codes came alive at the end", last.late));
        self.report.violations.extend(last.violations);
        self.check_messages();
        let verified =
            self.rig.events("type=oath.verified").len() + self.rig.events("type=sms.verified").len();
        let history = self.ledger.history();
        let acknowledged = history.values().filter(|fate| fate.accepted > 0).count();
        let lost = history.values().filter(|fate| fate.lost > 0).count();
        self.report.check((acknowledged..=acknowledged + lost).contains(&verified), || {
            format!("{acknowledged} accepts, {lost} lost answers, {verified} events of accepts")
        });
        let limited = self.rig.events("type=oath").into_iter().filter(|event| event["reason"] == "limited");
        let limited = limited.count();
        self.report.check(limited == 0, || format!("{limited} codes were not compared"));
        self.report.events = self.rig.check_chain();
        self.report
    }

    /// T3: nothing that was acknowledged is lost, nothing is sent twice.
    fn check_messages(&mut self) {
        let file = self.rig.state.join("countersign.db");
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let store = Connection::open_with_flags(file, flags).expect("the store");
        store.busy_timeout(PATIENCE).expect("a setting");
        wait_until(PATIENCE, "the outbox to be empty", || {
            let sql = "SELECT count(*) FROM outbox WHERE state IN ('queued', 'sending')";
            let waiting: i64 = store.query_row(sql, [], |row| row.get(0)).expect("a count");
            (waiting == 0).then_some(())
        });
        for ordered in std::mem::take(&mut self.ordered) {
            let taken = self.rig.modem().messages_to(&ordered.number).len();
            let Some(id) = ordered.id else {
                self.report.check(taken <= 1, || format!("{taken} messages for one lost answer"));
                continue;
            };
            self.report.challenges += 1;
            let sql = "SELECT state FROM outbox WHERE lower(hex(challenge_id)) = ?1";
            let state: Option<String> = store.query_row(sql, params![id], |row| row.get(0)).ok();
            let state = state.unwrap_or_else(|| "lost".to_owned());
            let expected = match state.as_str() {
                "sent" | "delivered" => taken == 1,
                "unknown" => taken <= 1,
                _ => false,
            };
            self.report.unknown += usize::from(state == "unknown");
            self.report.check(expected, || format!("challenge {id}: {state}, {taken} messages"));
        }
        let (unknown, kills) = (self.report.unknown, self.report.kills);
        self.report.check(unknown <= kills, || format!("{unknown} messages unknown after {kills} kills"));
    }
}

/// Four clients, by turns on the Unix socket and on loopback.
fn clients_of(rig: &Appliance, key: &str) -> [Client; 4] {
    [rig.local(key), rig.loopback(Some(key)), rig.local(key), rig.loopback(Some(key))]
}

fn unlock(admin: &mut Client, code: &Submission) {
    if code.kind != "oath" {
        return;
    }
    let token = format!("/v1/tokens/{}", code.target);
    admin.post(&format!("{token}/unlock"), &json!({})).expect(200);
    // The user's name is not in the token's row; it is the limits' of the pair that matter, and an accepted
    // code or an operator clears those.
    for name in ["counter-0", "counter-1"] {
        admin.post(&format!("/v1/users/{name}/unlock"), &json!({})).expect(200);
    }
}

/// Any moment: this is no wait for something.
fn random_moment() -> Duration {
    Duration::from_millis(1 + RandomState::new().build_hasher().finish() % KILL_WITHIN_MS)
}

/// One counter after another until the connection ends.
fn count_up(ledger: &Ledger, token: &Enrolled, first: u64, client: &mut Client) {
    for counter in first.. {
        let (target, otp) = (token.serial.clone(), token.secret.hotp(counter));
        let code = Submission { kind: "oath".to_owned(), target, otp };
        if !ledger.submit(code, client).is_ok_and(|answer| answer.accepted()) {
            return;
        }
    }
}

/// A new TOTP token and its present code, until the connection ends.
fn enrol_and_verify(ledger: &Ledger, prefix: &str, admin: &mut Client, client: &mut Client) {
    for n in 0.. {
        let name = format!("{prefix}-{n}");
        let user = json!({"name": name}).to_string();
        if admin.send("POST", "/v1/users", Some(user.as_bytes())).is_err() {
            return;
        }
        let Some(token) = try_enrol(admin, &name) else { return };
        let (target, otp) = (token.serial, token.secret.totp(unix_s()));
        let code = Submission { kind: "oath".to_owned(), target, otp };
        if ledger.submit(code, client).is_err() {
            return;
        }
    }
}

fn try_enrol(admin: &mut Client, name: &str) -> Option<Enrolled> {
    let path = format!("/v1/users/{name}/tokens");
    let answer = admin.send("POST", &path, Some(br#"{"type":"totp","digits":8}"#)).ok()?;
    let row = answer.json();
    let secret = crate::judge::Secret::of_uri(&text(&row, "otpauth_uri"));
    Some(Enrolled { serial: text(&row, "serial"), secret })
}

/// Wrong codes until there are enough or the connection ends.
fn guess(victim: &Enrolled, sent: &AtomicUsize, counted: &AtomicUsize, client: &mut Client) {
    let wrong = victim.secret.wrong(0..40);
    for _ in 0..WRONG {
        sent.fetch_add(1, Ordering::Relaxed);
        let body = json!({"token": victim.serial, "otp": wrong}).to_string();
        match client.send("POST", "/v1/verify", Some(body.as_bytes())) {
            Ok(answer) if answer.rejected() => counted.fetch_add(1, Ordering::Relaxed),
            _ => return,
        };
    }
}

/// Answers the challenges of the round before, then orders new ones.
fn answer_and_order(
    ledger: &Ledger,
    codes: Vec<Submission>,
    people: Vec<(String, String)>,
    client: &mut Client,
) -> Vec<Ordered> {
    for code in codes {
        if ledger.submit(code, client).is_err() {
            return Vec::new();
        }
    }
    let mut ordered = Vec::new();
    for (name, number) in people {
        let body = json!({"user": name, "channel": "sms"}).to_string();
        let answer = client.send("POST", "/v1/challenges", Some(body.as_bytes()));
        let id = match &answer {
            Ok(answer) if answer.status == 201 => Some(text(&answer.json(), "id")),
            _ => None,
        };
        ordered.push(Ordered { number, id });
        if answer.is_err() {
            break;
        }
    }
    ordered
}

/// The control: a store that answers before its commit, killed in the same way, asked by the same ledger.
///
/// # Panics
/// When SQLite fails.
pub fn early_answer(kills: usize) -> Audit {
    /// Codes between two commits.
    const GROUP: i64 = 8;
    let scratch = scratch::directory();
    let ledger = Ledger::create(&scratch.path().join("ledger"));
    let file = scratch.path().join("early.db");
    let open = || Connection::open(&file).expect("own scratch directory");
    open()
        .execute_batch("CREATE TABLE token (last INTEGER NOT NULL); INSERT INTO token VALUES (-1);")
        .expect("a new file");
    let submit = |store: &Connection, ledger: &Ledger, code: Submission| {
        let number = ledger.sent(code.clone());
        let counter: i64 = code.otp.parse().expect("a counter");
        let sql = "UPDATE token SET last = ?1 WHERE last < ?1";
        ledger.answered(number, store.execute(sql, params![counter]).expect("a write") == 1);
    };
    let mut next = 0;
    let mut total = Audit::default();
    for _ in 0..kills {
        let store = open();
        store.execute_batch("BEGIN").expect("a transaction");
        let first = next;
        let until = first + 1 + i64::try_from(random_moment().as_millis()).expect("short") % (2 * GROUP);
        while next < until {
            let code = Submission { kind: "early".into(), target: "t".into(), otp: next.to_string() };
            submit(&store, &ledger, code);
            next += 1;
            if next % GROUP == 0 {
                store.execute_batch("COMMIT; BEGIN").expect("a commit");
            }
        }
        // As after kill -9: the open transaction is gone, its answers are not.
        drop(store);
        let codes = (first..next).map(|n| Submission {
            kind: "early".into(),
            target: "t".into(),
            otp: n.to_string(),
        });
        let store = open();
        let audited = audit(&ledger, codes, |ledger, code| submit(&store, ledger, code));
        total.acknowledged += audited.acknowledged;
        total.violations.extend(audited.violations);
    }
    total
}
