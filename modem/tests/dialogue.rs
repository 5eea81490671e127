//! The dialogue on scripted octets and virtual time: what modems of every make were seen to do.

use std::time::{Duration, Instant};

use modem::dialogue::{Action, Dialogue, Event, Outcome, VERDICT_DEADLINE};
use modem::pdu::{self, Number, SubmitOptions, Tpdu};
use modem::{Class, Config, InitError, Urc};
use zeroize::Zeroizing;

/// A dialogue, its clock, and all it did.
struct Bench {
    dialogue: Dialogue,
    now: Instant,
    written: Vec<String>,
    events: Vec<Event>,
    latch: Vec<&'static str>,
}

impl Bench {
    fn new(config: Config) -> Self {
        let now = Instant::now();
        let dialogue = Dialogue::new(config, now);
        Self { dialogue, now, written: Vec::new(), events: Vec::new(), latch: Vec::new() }
    }

    /// Takes all actions; gives the commands written meanwhile.
    fn pump(&mut self) -> Vec<String> {
        let before = self.written.len();
        while let Some(action) = self.dialogue.poll_action() {
            match action {
                Action::Write(octets) => self.written.push(String::from_utf8_lossy(&octets).into_owned()),
                Action::ArmLatch => self.latch.push("arm"),
                Action::ClearLatch => self.latch.push("clear"),
                Action::Event(event) => self.events.push(event),
            }
        }
        self.written[before..].to_vec()
    }

    fn say(&mut self, text: &str) {
        self.dialogue.handle_bytes(self.now, text.as_bytes());
    }

    fn pass(&mut self, period: Duration) {
        let end = self.now + period;
        while let Some(at) = self.dialogue.poll_timeout().filter(|at| *at <= end) {
            self.now = self.now.max(at);
            self.dialogue.handle_timeout(self.now);
            self.pump();
        }
        self.now = end;
    }

    /// Answers each command of the first dialogue until it is over.
    fn first_dialogue(mut self, answer: impl Fn(&str) -> String) -> Self {
        const COMMANDS_MAX: usize = 200;
        for _ in 0..COMMANDS_MAX {
            let commands = self.pump();
            if self.events.iter().any(|event| matches!(event, Event::Ready | Event::Failed(_))) {
                return self;
            }
            let said: String = commands.iter().map(|command| answer(command.trim())).collect();
            if said.is_empty() {
                let Some(at) = self.dialogue.poll_timeout() else { break };
                self.now = self.now.max(at);
                self.dialogue.handle_timeout(self.now);
            } else {
                self.say(&said);
            }
        }
        panic!("the first dialogue has no end: {:?}", self.written)
    }

    fn ready() -> Self {
        let mut bench = Self::new(Config::default()).first_dialogue(plain);
        assert_eq!(bench.failure(), None);
        bench.written.clear();
        bench.events.clear();
        bench
    }

    fn failure(&self) -> Option<&InitError> {
        self.events.iter().find_map(|event| if let Event::Failed(error) = event { Some(error) } else { None })
    }

    fn outcome(&self) -> Option<&Outcome> {
        self.events
            .iter()
            .find_map(|event| if let Event::Outcome(outcome) = event { Some(outcome) } else { None })
    }

    fn wrote(&self, prefix: &str) -> usize {
        self.written.iter().filter(|command| command.starts_with(prefix)).count()
    }

    /// Begins a message and answers up to and with the prompt.
    fn begin(&mut self, deadline: Duration, prompt: &str) {
        self.dialogue.send(self.now, &tpdu(), self.now + deadline);
        self.pump();
        self.say(prompt);
        self.pump();
    }
}

fn tpdu() -> Tpdu {
    let number = Number::parse("+41791234567").expect("a number");
    pdu::submit(&number, "123456", &SubmitOptions::default()).expect("encodable").remove(0)
}

/// A modem without quirks.
fn plain(command: &str) -> String {
    match command {
        "\u{1b}" => String::new(),
        "AT+CPIN?" => "\r\n+CPIN: READY\r\n\r\nOK\r\n".to_owned(),
        "AT+CNMI=?" => "\r\n+CNMI: (0,1,2),(0-3),(0,2),(0,1,2),(0,1)\r\n\r\nOK\r\n".to_owned(),
        "AT+CREG?" => "\r\n+CREG: 2,1,4CA,81DE445\r\n\r\nOK\r\n".to_owned(),
        "AT+CGMI" => "\r\nAcme\r\n\r\nOK\r\n".to_owned(),
        _ => "\r\nOK\r\n".to_owned(),
    }
}

fn hex_written(bench: &Bench) -> usize {
    bench.wrote(&format!("00{}\u{1a}", tpdu().hex()))
}

#[test]
fn every_prompt_takes_the_pdu() {
    for prompt in ["\r\n> ", "\r\n>", ">", "> ", "\r\n>\r\n", "AT+CMGS=18\r\r\n> ", "\r\n^RSSI:9\r\n\r\n> "] {
        let mut bench = Bench::ready();
        bench.begin(Duration::from_secs(60), prompt);
        assert_eq!(hex_written(&bench), 1, "{prompt:?}: {:?}", bench.written);
        bench.say(&format!("00{}\u{1a}\r\n\r\n+CMGS: 42\r\n\r\nOK\r\n", tpdu().hex()));
        bench.pump();
        assert_eq!(bench.outcome(), Some(&Outcome::Sent { reference: 42 }), "{prompt:?}");
    }
}

#[test]
fn noise_between_prompt_and_verdict_is_no_answer() {
    let mut bench = Bench::ready();
    bench.begin(Duration::from_secs(60), "\r\n+CMTI: \"SM\",3\r\n\r\n> ");
    bench.say("\r\n^HCSQ:\"LTE\",40,38\r\n\r\n+CREG: 5\r\n\r\n+CDS: 26\r\n0006050C911497214365F7\r\n+CM");
    bench.say("GS: 7\r\n\r\nOK\r\n");
    bench.pump();
    assert_eq!(bench.outcome(), Some(&Outcome::Sent { reference: 7 }));
    let urcs = bench.events.iter().filter(|event| matches!(event, Event::Urc(_))).count();
    assert_eq!(urcs, 4, "{:?}", bench.events);
}

#[test]
fn octet_by_octet_is_the_same() {
    let mut bench = Bench::ready();
    bench.dialogue.send(bench.now, &tpdu(), bench.now + Duration::from_secs(60));
    bench.pump();
    for octet in "AT+CMGS=18\r\r\n> ".chars() {
        bench.say(&octet.to_string());
    }
    bench.pump();
    for octet in "\r\n+CMGS: 200\r\n\r\nOK\r\n".chars() {
        bench.say(&octet.to_string());
    }
    bench.pump();
    assert_eq!(bench.outcome(), Some(&Outcome::Sent { reference: 200 }));
}

#[test]
fn a_bare_ok_is_not_sent() {
    let mut bench = Bench::ready();
    bench.begin(Duration::from_secs(60), "\r\n> ");
    bench.say("\r\nOK\r\n");
    bench.pass(Duration::from_secs(60));
    assert_eq!(bench.outcome(), Some(&Outcome::Unknown { reason: "OK without +CMGS" }));
}

#[test]
fn an_ok_before_the_verdict_does_not_hide_it() {
    let mut bench = Bench::ready();
    bench.begin(Duration::from_secs(60), "\r\n> ");
    bench.say("\r\nOK\r\n");
    bench.pass(Duration::from_secs(2));
    bench.say("\r\n+CMGS: 9\r\n");
    bench.pass(Duration::from_secs(2));
    assert_eq!(bench.outcome(), Some(&Outcome::Sent { reference: 9 }));
}

#[test]
fn a_verdict_after_45_seconds_counts() {
    let mut bench = Bench::ready();
    bench.begin(Duration::from_secs(120), "\r\n> ");
    bench.pass(Duration::from_secs(45));
    assert_eq!(bench.outcome(), None);
    bench.say("\r\n+CMGS: 3,\"26/11/21,20:00:00+04\"\r\n\r\nOK\r\n");
    bench.pump();
    assert_eq!(bench.outcome(), Some(&Outcome::Sent { reference: 3 }));
}

#[test]
fn silence_after_the_pdu_is_unknown_and_a_late_verdict_is_told() {
    let mut bench = Bench::ready();
    bench.begin(Duration::from_secs(30), "\r\n> ");
    bench.pass(Duration::from_secs(29));
    assert_eq!(bench.outcome(), None);
    bench.pass(Duration::from_secs(1));
    assert_eq!(bench.outcome(), Some(&Outcome::Unknown { reason: "no answer after the PDU" }));
    assert_eq!(hex_written(&bench), 1, "never written twice");

    bench.events.clear();
    bench.dialogue.send(bench.now, &tpdu(), bench.now + Duration::from_secs(60));
    assert_eq!(bench.pump(), ["AT\r"], "first find out whether the modem is back");
    bench.say("\r\n+CMGS: 8\r\n\r\nOK\r\n");
    bench.pump();
    bench.say("\r\nOK\r\n\r\n> ");
    bench.pump();
    bench.say("\r\n+CMGS: 9\r\n\r\nOK\r\n");
    bench.pump();
    assert!(bench.events.contains(&Event::Urc(Urc::LateSent { reference: 8 })), "{:?}", bench.events);
    assert_eq!(bench.outcome(), Some(&Outcome::Sent { reference: 9 }), "the late one is not this one's");
}

#[test]
fn no_verdict_waits_for_ever() {
    let mut bench = Bench::ready();
    bench.begin(Duration::from_secs(100_000), "\r\n> ");
    bench.pass(VERDICT_DEADLINE);
    assert!(matches!(bench.outcome(), Some(Outcome::Unknown { .. })));
}

#[test]
fn without_a_prompt_nothing_is_sent() {
    let mut bench = Bench::ready();
    bench.dialogue.send(bench.now, &tpdu(), bench.now + Duration::from_secs(60));
    bench.pass(Duration::from_secs(60));
    assert!(matches!(bench.outcome(), Some(Outcome::NotSent { class: Class::Modem, .. })));
    assert_eq!(hex_written(&bench), 0);
    assert_eq!(bench.written.last().map(String::as_str), Some("\u{1b}"), "the prompt is left");
}

#[test]
fn a_deadline_that_passed_writes_nothing() {
    let mut bench = Bench::ready();
    bench.dialogue.send(bench.now, &tpdu(), bench.now);
    assert_eq!(bench.pump(), [""; 0]);
    assert!(matches!(bench.outcome(), Some(Outcome::NotSent { .. })));
}

#[test]
fn errors_carry_class_and_number() {
    for (line, class, code) in [
        ("+CMS ERROR: 500", Class::Modem, Some(500)),
        ("+CMS ERROR: 331", Class::Temporary, Some(331)),
        ("+CMS ERROR: 28", Class::Permanent, Some(28)),
        ("+CMS ERROR: Unknown error", Class::Modem, None),
        ("ERROR", Class::Modem, None),
    ] {
        let mut bench = Bench::ready();
        bench.begin(Duration::from_secs(60), "\r\n> ");
        bench.say(&format!("\r\n{line}\r\n"));
        bench.pump();
        let expected = Outcome::NotSent { class, code, text: line.to_owned() };
        assert_eq!(bench.outcome(), Some(&expected));
    }
}

#[test]
fn a_restart_after_the_pdu_is_unknown() {
    let mut bench = Bench::ready();
    bench.begin(Duration::from_secs(60), "\r\n> ");
    bench.say("\r\nRDY\r\n");
    bench.pump();
    assert!(matches!(bench.outcome(), Some(Outcome::Unknown { .. })));
}

#[test]
fn first_dialogue_with_every_quirk_at_once() {
    let bench = Bench::new(Config::default()).first_dialogue(|command| {
        let echo = format!("{command}\r");
        let noise = "\r\n^RSSI:17\r\n\r\n^BOOT:1,0,0,0,75\r\n";
        let answer = match command {
            "\u{1b}" => return String::new(),
            "AT+CPIN?" => "\r\n +CPIN: \"READY\"\r\n".to_owned(),
            "AT+CGMI" => "\r\nhuawei\r\n\r\nOK\r\n".to_owned(),
            "AT+CGMM" => "\r\nE173\r\n\r\nOK\r\n".to_owned(),
            "AT+CGSN" => "\r\n355021043287519\r\n\r\nOK\r\n".to_owned(),
            "AT^ICCID?" => "\r\n^ICCID: 89410000000000000029\r\n\r\nOK\r\n".to_owned(),
            "AT+CNMI=?" => "\r\n+CNMI: (0-3),(0-3),(0,2),(0,1,2),(0,1)\r\n\r\nOK\r\n".to_owned(),
            "AT+CNMI=2,0,0,1,0" => "\r\n+CMS ERROR: 302\r\n".to_owned(),
            "AT+CREG?" => "\r\n+CREG: 2\r\n\r\n+CREG: 2,3\r\n\r\nOK\r\n".to_owned(),
            "AT+CEREG?" => "\r\n+CEREG: 2,5,\"0B,\"0100701\",7\r\n\r\nOK\r\n".to_owned(),
            "AT+CSMS=0" | "AT+CGREG=2" | "AT+CGREG?" => "\r\nCOMMAND NOT SUPPORT\r\n".to_owned(),
            _ => "\r\n\r\nOK\r\r\n".to_owned(),
        };
        echo + noise + &answer
    });
    assert_eq!(bench.failure(), None);
    let info = bench.dialogue.info();
    let registration = info.registration.map(|registration| registration.to_string());
    assert_eq!(info.profile.name(), "huawei");
    assert_eq!(info.model.as_deref(), Some("E173"));
    assert_eq!(info.imei.as_deref(), Some("355021043287519"));
    assert_eq!(info.iccid.as_deref(), Some("89410000000000000029"));
    assert_eq!(registration.as_deref(), Some("roaming"), "EPS counts although CREG is denied");
    assert_eq!((info.echo, info.cnmi_ds), (true, Some(2)));
    assert_eq!(bench.wrote("AT+CSMP"), 0, "some modems lose their SMSC over it");
    assert_eq!(bench.wrote("AT^CURC=0"), 1);
}

#[test]
fn a_busy_sim_is_waited_for() {
    let asked = std::cell::Cell::new(0);
    let bench = Bench::new(Config::default()).first_dialogue(|command| {
        if command == "AT+CPIN?" && asked.replace(asked.get() + 1) < 5 {
            return "\r\n+CME ERROR: 14\r\n".to_owned();
        }
        plain(command)
    });
    assert_eq!((bench.failure(), asked.get()), (None, 6));
}

#[test]
fn a_port_without_a_modem() {
    let silent = Bench::new(Config::default()).first_dialogue(|_| String::new());
    assert_eq!(silent.failure(), Some(&InitError::Silent));
    let gps = Bench::new(Config::default()).first_dialogue(|command| match command {
        "AT" => "$GPGGA,,,,,,0,,,,,,,,*66\r\n".to_owned(),
        _ => String::new(),
    });
    assert_eq!(gps.failure(), Some(&InitError::NotAModem));
}

fn locked(attempts: &'static str, entered: &'static str) -> impl Fn(&str) -> String {
    move |command| match command {
        "AT+CPIN?" => "\r\n+CPIN: SIM PIN\r\n\r\nOK\r\n".to_owned(),
        "AT+CPINR" => format!("\r\n{attempts}\r\n"),
        command if command.starts_with("AT+CPIN=") => format!("\r\n{entered}\r\n"),
        command if command.starts_with("AT^CPIN") || command.starts_with("AT+SPIC") => {
            "\r\nERROR\r\n".to_owned()
        }
        other => plain(other),
    }
}

fn with_pin(latched: bool) -> Config {
    Config { sim_pin: Some(Zeroizing::new("1234".to_owned())), latched, smsc: None }
}

#[test]
fn a_wrong_pin_is_tried_exactly_once() {
    let answer = locked("+CPINR: SIM PIN,3,3\r\n\r\nOK", "+CME ERROR: 16");
    let bench = Bench::new(with_pin(false)).first_dialogue(answer);
    assert!(matches!(bench.failure(), Some(InitError::PinRefused(_))));
    assert_eq!((bench.wrote("AT+CPIN="), bench.latch.as_slice()), (1, ["arm"].as_slice()));
}

#[test]
fn a_pin_that_is_asked_for_again_is_not_tried_again() {
    let bench = Bench::new(with_pin(false)).first_dialogue(locked("+CPINR: SIM PIN,3,3\r\n\r\nOK", "OK"));
    assert!(matches!(bench.failure(), Some(InitError::PinRefused(_))));
    assert_eq!(bench.wrote("AT+CPIN="), 1);
}

#[test]
fn an_unknown_count_allows_one_try_and_the_latch_none() {
    let unknown = || locked("ERROR", "+CME ERROR: 16");
    assert_eq!(Bench::new(with_pin(false)).first_dialogue(unknown()).wrote("AT+CPIN="), 1);
    let latched = Bench::new(with_pin(true)).first_dialogue(unknown());
    assert_eq!((latched.failure(), latched.wrote("AT+CPIN=")), (Some(&InitError::PinLatched), 0));
}

#[test]
fn two_attempts_left_are_not_touched() {
    let bench = Bench::new(with_pin(false)).first_dialogue(locked("+CPINR: SIM PIN,2,3\r\n\r\nOK", "OK"));
    assert_eq!((bench.failure(), bench.wrote("AT+CPIN=")), (Some(&InitError::PinAttempts(2)), 0));
}

#[test]
fn a_latch_that_cannot_be_written_keeps_the_pin_back() {
    let mut bench = Bench::new(with_pin(false));
    let answer = locked("+CPINR: SIM PIN,3,3\r\n\r\nOK", "OK");
    for _ in 0..200 {
        let mut said = String::new();
        while let Some(action) = bench.dialogue.poll_action() {
            match action {
                Action::ArmLatch => bench.dialogue.latch_failed(),
                Action::Write(octets) => {
                    assert!(!octets.starts_with(b"AT+CPIN="), "the PIN went out");
                    said += &answer(String::from_utf8_lossy(&octets).trim());
                }
                Action::Event(Event::Failed(error)) => return assert_eq!(error, InitError::Latch),
                Action::ClearLatch | Action::Event(_) => {}
            }
        }
        if said.is_empty() {
            bench.now = bench.dialogue.poll_timeout().expect("it waits for something");
            bench.dialogue.handle_timeout(bench.now);
        }
        bench.say(&said);
    }
    panic!("the first dialogue has no end")
}

#[test]
fn an_action_with_a_pin_does_not_show_it() {
    let shown = format!("{:?}", Action::Write(Zeroizing::new(b"AT+CPIN=\"1234\"\r".to_vec())));
    assert!(!shown.contains("1234"), "{shown}");
}

/// A modem that says its verdict again and again does not hold up whoever waits for it.
#[test]
fn a_verdict_said_again_does_not_move_the_end() {
    let mut bench = Bench::ready();
    bench.begin(Duration::from_secs(60), "\r\n> ");
    for _ in 0..3 {
        bench.say("\r\n+CMGS: 7\r\n");
        bench.pass(Duration::from_millis(900));
    }
    assert_eq!(bench.outcome(), Some(&Outcome::Sent { reference: 7 }));
}

#[test]
fn a_verdict_at_the_last_moment_ends_in_time() {
    let mut bench = Bench::ready();
    bench.begin(Duration::from_secs(2), "\r\n> ");
    bench.pass(Duration::from_millis(1_900));
    bench.say("\r\n+CMGS: 7\r\n");
    bench.pass(Duration::from_millis(100));
    assert_eq!(bench.outcome(), Some(&Outcome::Sent { reference: 7 }));
}

/// Some makes give no `OK` after it; one that repeats itself is no reason to wait on.
#[test]
fn a_sim_state_said_again_does_not_move_the_end() {
    let mut bench = Bench::new(Config::default());
    bench.pass(Duration::from_millis(200));
    while !bench.written.last().is_some_and(|command| command.starts_with("AT+CPIN?")) {
        bench.say("\r\nOK\r\n");
        bench.pump();
    }
    for _ in 0..3 {
        bench.say("\r\n+CPIN: READY\r\n");
        bench.pass(Duration::from_millis(500));
    }
    assert_eq!(bench.wrote("AT+CFUN?"), 1, "{:?}", bench.written);
}
