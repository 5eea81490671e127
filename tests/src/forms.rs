//! A visitor of the pages without a browser: plain HTTP/1.1, one cookie, forms as bytes. What a browser would never
//! send can be sent too.

use std::io::{BufReader, Write};
use std::net::SocketAddr;

use crate::http::{Answer, Endpoint, read_answer};

/// Redirects that are followed at the most.
const HOPS_MAX: usize = 8;

/// A visitor and the page that it sees.
pub struct Visitor {
    address: SocketAddr,
    /// Cookie pair, once one was set.
    pub cookie: Option<String>,
    /// More headers of every request.
    pub headers: Vec<(&'static str, String)>,
    /// Path of the page.
    pub path: String,
    /// The last answer.
    pub page: Option<Answer>,
}

impl Visitor {
    /// Nobody yet.
    pub fn new(address: SocketAddr) -> Visitor {
        Visitor { address, cookie: None, headers: Vec::new(), path: String::new(), page: None }
    }

    /// One request, as it is; redirects are not followed. Cookies are kept.
    ///
    /// # Panics
    /// When no answer comes.
    pub fn send(&mut self, method: &str, path: &str, fields: Option<&[(&str, &str)]>) -> Answer {
        let mut head = format!("{method} {path} HTTP/1.1\r\nhost: {}\r\nconnection: close\r\n", self.address);
        for (name, value) in &self.headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        if let Some(cookie) = &self.cookie {
            head.push_str(&format!("cookie: {cookie}\r\n"));
        }
        let body = fields.map(encoded);
        if let Some(body) = &body {
            head.push_str("content-type: application/x-www-form-urlencoded\r\n");
            head.push_str(&format!("content-length: {}\r\n", body.len()));
        }
        let mut stream = Endpoint::Tcp(self.address).connect().expect("the appliance listens");
        let message = format!("{head}\r\n{}", body.unwrap_or_default());
        stream.write_all(message.as_bytes()).expect("the appliance reads");
        let answer = read_answer(&mut BufReader::new(stream)).expect("an answer");
        if let Some(cookie) = answer.header("set-cookie") {
            let pair = cookie.split(';').next().unwrap_or_default();
            self.cookie = (!pair.ends_with('=')).then(|| pair.to_owned());
        }
        answer
    }

    fn follow(&mut self, path: &str, mut answer: Answer) -> &mut Visitor {
        path.clone_into(&mut self.path);
        for _ in 0..HOPS_MAX {
            let location = answer.header("location").filter(|to| to.starts_with('/')).map(str::to_owned);
            let Some(location) = location else { break };
            answer = self.send("GET", &location, None);
            self.path = location;
        }
        self.page = Some(answer);
        self
    }

    /// Goes to a page, wherever that leads.
    pub fn go(&mut self, path: &str) -> &mut Visitor {
        let answer = self.send("GET", path, None);
        self.follow(path, answer)
    }

    /// Sends the page's form with these fields, wherever that leads.
    pub fn submit(&mut self, fields: &[(&str, &str)]) -> &mut Visitor {
        let (path, csrf) = (self.path.clone(), self.csrf());
        let fields = [&[("csrf", csrf.as_str())], fields].concat();
        let answer = self.send("POST", &path, Some(&fields));
        self.follow(&path, answer)
    }

    /// The page's text.
    pub fn text(&self) -> String {
        self.page.as_ref().map(Answer::text).unwrap_or_default()
    }

    /// The token of the page's form.
    pub fn csrf(&self) -> String {
        between(&self.text(), "name=\"csrf\" value=\"", "\"").unwrap_or_default()
    }

    /// The key of the page's error.
    pub fn error(&self) -> Option<String> {
        between(&self.text(), "data-error=\"", "\"")
    }

    /// The path is this one.
    ///
    /// # Panics
    /// When it is another, with the page.
    #[track_caller]
    pub fn at(&mut self, path: &str) -> &mut Visitor {
        assert!(self.path == path, "{} in place of {path}: {}", self.path, self.text());
        self
    }
}

fn between(text: &str, before: &str, after: &str) -> Option<String> {
    let (_, rest) = text.split_once(before)?;
    rest.split_once(after).map(|(found, _)| found.to_owned())
}

/// `application/x-www-form-urlencoded` (WHATWG URL, 5.2), everything but letters and digits escaped.
fn encoded(fields: &[(&str, &str)]) -> String {
    let escape = |text: &str| -> String {
        let byte = |byte: u8| match byte {
            byte if byte.is_ascii_alphanumeric() => char::from(byte).to_string(),
            byte => format!("%{byte:02X}"),
        };
        text.bytes().map(byte).collect()
    };
    let pairs: Vec<String> =
        fields.iter().map(|(name, value)| format!("{}={}", escape(name), escape(value))).collect();
    pairs.join("&")
}
