//! What plugins send to privacyIDEA's paths, through the API as its listeners serve it, without an HSM: a request is
//! malformed or it is not, and its spelling (query, form, multipart, JSON) decides nothing.

#![no_main]

use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use appliance::api::{self, Api, BODY_MAX, Peer};
use appliance::appliance::Appliance;
use appliance::clock::Clock;
use appliance::store::Store;
use axum::Router;
use axum::body::Body;
use axum::http::{Request, StatusCode, header};
use fuzz::{begin, is_control, with_options};
use hsm::{Hsm, Launcher};
use libfuzzer_sys::fuzz_target;
use metrics_exporter_prometheus::PrometheusBuilder;
use tokio::runtime::Runtime;
use tower::ServiceExt as _;

const FORM: &str = "application/x-www-form-urlencoded";
const MULTIPART: &str = "multipart/form-data; boundary=b";
const JSON: &str = "application/json";
/// Longer values than these are not looked at: the answer quotes the nonce.
const ANSWER_MAX: usize = 8 * BODY_MAX;

struct Served {
    router: Router,
    runtime: Runtime,
    _state: tempfile::TempDir,
}

/// An appliance without an HSM, without users and without applications.
fn served() -> &'static Served {
    static SERVED: OnceLock<Served> = OnceLock::new();
    SERVED.get_or_init(|| {
        let state = tempfile::tempdir().expect("a temporary directory");
        let text = format!(
            "state_dir = {:?}\n[hsm]\nmodule = \"/nowhere\"\ntoken_label = \"t\"\npin_file = \"/nowhere\"\n\
             [[listen]]\nkind = \"http\"\naddress = \"127.0.0.1:1\"\n",
            state.path()
        );
        let config = appliance::config::parse(&text).expect("a configuration");
        let store = Store::open(state.path()).expect("a store");
        let launcher = Launcher { program: PathBuf::from("/bin/false"), args: Vec::new() };
        let hsm = Hsm::start(launcher, appliance::daemon::hsm_settings(&config));
        let app = Appliance::new(config, store, hsm, Clock::new(0).expect("a clock"));
        let api = Api::new(Arc::new(app), PrometheusBuilder::new().build_recorder().handle());
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .max_blocking_threads(1)
            .thread_keep_alive(Duration::from_secs(3600))
            .build()
            .expect("a runtime");
        Served { router: api::router(api), runtime, _state: state }
    })
}

/// The answer's status and body.
fn ask(path: &str, agent: &str, content_type: &str, body: Vec<u8>) -> Option<(StatusCode, String)> {
    let Served { router, runtime, .. } = served();
    let method = if path.starts_with("/validate/polltransaction") { "GET" } else { "POST" };
    let mut request = Request::builder()
        .method(method)
        .uri(path)
        .header(header::USER_AGENT, agent)
        .header(header::CONTENT_TYPE, content_type)
        .body(Body::from(body))
        .ok()?;
    request.extensions_mut().insert(Peer { uid: None, application: None });
    runtime.block_on(async {
        let response = router.clone().oneshot(request).await.expect("a router does not fail");
        let status = response.status();
        let body =
            axum::body::to_bytes(response.into_body(), ANSWER_MAX).await.expect("an answer has an end");
        Some((status, String::from_utf8(body.to_vec()).expect("an answer is text")))
    })
}

/// Whether the parameters are malformed; the request is otherwise refused for its caller, who is nobody.
fn is_malformed(agent: &str, content_type: &str, body: Vec<u8>) -> bool {
    let long = body.len() > BODY_MAX;
    let (status, text) = ask("/validate/check", agent, content_type, body).expect("a request");
    let known = [StatusCode::BAD_REQUEST, StatusCode::UNAUTHORIZED, StatusCode::PAYLOAD_TOO_LARGE];
    assert!(known.contains(&status), "{status}: {text}");
    assert_eq!(status == StatusCode::PAYLOAD_TOO_LARGE, long, "{text}");
    status != StatusCode::UNAUTHORIZED
}

fn escaped(text: &str) -> String {
    domain::otpauth::percent_encode(text)
}

/// The same parameters in each spelling: all are taken, or none is.
fn check_spellings(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let pairs: Vec<(&str, &str)> = text.split('\0').filter_map(|pair| pair.split_once('=')).collect();
    let fits =
        |text: &str| !text.contains(['"', ';', '\r', '\n', '\\']) && text.trim() == text && !text.is_empty();
    if pairs.is_empty()
        || !pairs.iter().all(|(name, value)| fits(name) && fits(value) && !value.contains("--b"))
    {
        return;
    }
    let value = |name: &str| pairs.iter().find(|(n, _)| *n == name).map(|(_, value)| *value);
    let twice = (1..pairs.len()).any(|at| pairs[..at].iter().any(|(name, _)| *name == pairs[at].0));
    let torn = matches!((value("transaction_id"), value("state")), (Some(id), Some(state)) if id != state);
    let form: Vec<_> =
        pairs.iter().map(|(name, value)| format!("{}={}", escaped(name), escaped(value))).collect();
    let multipart = pairs.iter().map(|(name, value)| {
        format!("--b\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n")
    });
    let multipart = multipart.chain(["--b--\r\n".to_owned()]).collect::<String>();
    let quoted = |text: &str| serde_json::Value::from(text).to_string();
    let json: Vec<_> =
        pairs.iter().map(|(name, value)| format!("{}:{}", quoted(name), quoted(value))).collect();
    // The planted fault: whoever takes the last of two.
    let form = if is_control() { form.last().cloned().unwrap_or_default() } else { form.join("&") };
    for (content_type, body) in
        [(FORM, form), (MULTIPART, multipart), (JSON, format!("{{{}}}", json.join(",")))]
    {
        if body.len() <= BODY_MAX {
            assert_eq!(
                is_malformed("x", content_type, body.into_bytes()),
                twice || torn,
                "{content_type}: {text:?}"
            );
        }
    }
}

fn seeds() -> Vec<Vec<u8>> {
    let part = |name: &str| format!("--b\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n1\r\n");
    let multipart = format!("{}{}--b--\r\n", part("user"), part("pass"));
    [
        (0, "user=alice&realm=&pass=123456&state=77&type=HOTP"),
        (8, "user=a%2540b&pass=%2525"),
        (0, "user=a&pass=1&%75ser=b"),
        (1, multipart.as_str()),
        (2, r#"{"user":"alice","pass":"123456","transaction_id":"77","type":"hotp","otponly":1,"realm":null}"#),
        (2, r#"{"user":"a","user":"a"}"#),
        (3, "transaction_id=000000000000000000000000000000000000001"),
        (4, "user=alice\0pass=123456\0nonce=x"),
        (4, "user=alice\0user=alice"),
        (4, "state=1\0transaction_id=2"),
    ]
    .map(|(options, text)| with_options(options, text.as_bytes()))
    .to_vec()
}

fuzz_target!(init: begin(seeds), |data: &[u8]| {
    let Some((&options, body)) = data.split_first() else { return };
    let agent = if options & 8 == 0 { "x" } else { "FreeRADIUS/3.2" };
    match options & 7 {
        0 => drop(is_malformed(agent, FORM, body.to_vec())),
        1 => drop(is_malformed(agent, MULTIPART, body.to_vec())),
        2 => {
            let malformed = is_malformed(agent, JSON, body.to_vec());
            assert!(malformed || body.is_empty() || serde_json::from_slice::<serde_json::Value>(body).is_ok());
        }
        3 => {
            let query: String = body.iter().map(|byte| format!("%{byte:02x}")).collect();
            let query = if options & 16 == 0 { String::from_utf8_lossy(body).into_owned() } else { query };
            let Some((status, text)) = ask(&format!("/validate/polltransaction?{query}"), agent, FORM, Vec::new()) else {
                return;
            };
            let known = [StatusCode::OK, StatusCode::BAD_REQUEST, StatusCode::PAYLOAD_TOO_LARGE];
            assert!(known.contains(&status), "{status}: {text}");
        }
        _ => check_spellings(body),
    }
});
