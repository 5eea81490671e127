//! The daemon is killed at each step of a registration, a push and a recovery: nothing is stored by halves, and what was
//! answered stays. T3, COMB-39.

use serde_json::{Value, json};
use tests::device::{Choice, Personality};
use tests::handset::{Handset, REFUSED, Registered, begin, register};
use tests::phones::SCOPES;
use tests::time::unix_s;
use tests::{Appliance, Client, RigOptions};

struct Scene {
    rig: Appliance,
    client: Client,
    key: String,
}

impl Scene {
    fn start() -> Scene {
        let options = RigOptions { pages: true, ..RigOptions::default().config("[push]\n") };
        let rig = Appliance::start(options);
        let key = rig.app_key("portal", &SCOPES);
        let client = rig.loopback(Some(&key));
        Scene { rig, client, key }
    }

    fn kill(&mut self) {
        self.rig.kill9();
        self.rig.serve();
        self.rig.await_ready();
        self.client = self.rig.loopback(Some(&self.key));
    }

    fn count(&self, what: &str) -> i64 {
        let store = rusqlite::Connection::open(self.rig.state.join("countersign.db")).expect("the store");
        store.query_row(&format!("SELECT count(*) FROM {what}"), [], |row| row.get(0)).expect("a count")
    }

    fn show(&mut self, path: &str) -> Value {
        self.client.get(path).expect(200).json()
    }
}

/// COMB-39, T3. Red when a killed daemon leaves one half of a registration, or forgets one that the phone was told of.
#[test]
fn a_registration_is_whole_or_not_at_all() {
    let mut scene = Scene::start();
    scene.rig.user("alice");
    let begun = begin(&mut scene.client, "alice", "combined");
    let path = format!("/v1/users/alice/registrations/{}", begun["id"].as_str().expect("a handle"));
    let mut handset = Handset::new(&scene.rig, Personality::PingNew, "alice");
    scene.kill();
    assert_eq!(scene.show(&path)["state"], "waiting", "the boot is the same");
    assert_eq!(scene.count("push_device") + scene.count("token"), 0);
    handset.again(&scene.rig);
    let (account, answer) = handset.register(begun["uri"].as_str().expect("a text"));
    assert_eq!(answer.status, 200);
    scene.kill();
    assert_eq!((scene.count("push_device"), scene.count("token")), (1, 1), "what the phone was told of");
    let shown = scene.show(&path);
    assert_eq!(shown["recovery_codes"].as_array().map(Vec::len), Some(10), "not read before");
    scene.kill();
    assert!(scene.show(&path)["recovery_codes"].is_null(), "read once, whatever happened since");
    let code = handset.phone.code(account, unix_s());
    assert!(scene.client.verify("alice", &code).accepted());
    scene.rig.check_chain();
}

/// T3, A1. Red when an approval is lost once the phone was told that it counts, or can be fetched again.
#[test]
fn a_push_survives_and_is_fetched_once() {
    let mut scene = Scene::start();
    scene.rig.user("alice");
    let Registered { mut handset, account, shown, .. } =
        register(&scene.rig, &mut scene.client, "alice", ("combined", Personality::PingNew));
    let wish = json!({"user": "alice", "channel": "push"});
    let asked = scene.client.post("/v1/challenges", &wish).expect(201).json();
    scene.kill();
    handset.again(&scene.rig);
    let notice = handset.notice(account);
    let number = u8::try_from(asked["number"].as_u64().expect("a number")).expect("two digits");
    assert_eq!(handset.answer(&notice, Choice::Number(number)).status, 200);
    scene.kill();
    let path = format!("/v1/challenges/{}", asked["id"].as_str().expect("a handle"));
    assert_eq!(scene.show(&path)["state"], "verified");
    let verify = format!("{path}/verify");
    assert!(scene.client.post(&verify, &json!({"otp": ""})).accepted());
    scene.kill();
    assert!(scene.client.post(&verify, &json!({"otp": ""})).rejected(), "fetched before");
    handset.again(&scene.rig);
    assert_eq!(handset.answer(&notice, Choice::Number(number)).status, 400, "answered before");
    let code = shown["recovery_codes"][0].as_str().expect("a code").to_owned();
    let recover = |scene: &mut Scene| {
        let wish = json!({"user": "alice", "channel": "recovery"});
        let asked = scene.client.post("/v1/challenges", &wish).expect(201).json();
        let path = format!("/v1/challenges/{}/verify", asked["id"].as_str().expect("a handle"));
        scene.client.post(&path, &json!({"otp": code}))
    };
    assert!(recover(&mut scene).accepted());
    scene.kill();
    assert!(recover(&mut scene).rejected(), "used before");
    scene.rig.check_chain();
}

/// A22, rule 4, D-40. Red when a closed HSM lets a reply or an answer count, counts against a phone, or forgets what
/// waited; and when phones are told of it.
#[test]
fn with_a_closed_hsm_nothing_counts_and_nothing_is_forgotten() {
    let mut scene = Scene::start();
    scene.rig.user("alice");
    scene.rig.user("bob");
    let mut alice = register(&scene.rig, &mut scene.client, "alice", ("combined", Personality::PingNew));
    let asked = scene.client.post("/v1/challenges", &json!({"user": "alice", "channel": "push"}));
    let asked = asked.expect(201).json();
    let notice = alice.handset.notice(alice.account);
    let begun = begin(&mut scene.client, "bob", "combined");
    let mut bob = Handset::new(&scene.rig, Personality::AndroidLegacy, "bob");
    let reply =
        bob.phone.scan(begun["uri"].as_str().expect("a text")).expect("taken").request.expect("a reply");
    scene.rig.stop();
    let label = std::mem::replace(&mut scene.rig.options_mut().token_label, "nowhere".to_owned());
    scene.rig.write_config();
    scene.rig.serve();
    scene.rig.await_listening();
    let number = u8::try_from(asked["number"].as_u64().expect("a number")).expect("two digits");
    alice.handset.again(&scene.rig);
    bob.again(&scene.rig);
    let mut key = scene.rig.loopback(Some(&scene.key));
    for _ in 0..3 {
        assert_eq!(alice.handset.answer(&notice, Choice::Number(number)).text(), REFUSED);
        assert_eq!(bob.send(&reply).text(), REFUSED);
        assert_eq!(key.post("/v1/challenges", &json!({"user": "alice", "channel": "push"})).status, 503);
        assert_eq!(key.post("/v1/users/bob/registrations", &json!({"kind": "push"})).status, 503);
    }
    scene.rig.stop();
    scene.rig.options_mut().token_label = label;
    scene.rig.write_config();
    scene.rig.serve();
    scene.rig.await_ready();
    scene.client = scene.rig.loopback(Some(&scene.key));
    alice.handset.again(&scene.rig);
    bob.again(&scene.rig);
    assert_eq!(bob.send(&reply).status, 200, "it waited");
    assert_eq!(alice.handset.answer(&notice, Choice::Number(number)).status, 200);
    assert!(scene.rig.events("type=push.bad_signature").is_empty());
    scene.rig.check_chain();
}
