//! Web addresses that browsers are sent to (RFC 3986; origin: RFC 6454), as far as a redirect needs them.

/// Longest address, in bytes.
pub const WEB_URL_MAX: usize = 2_048;
/// Hosts that are this machine: the only ones without TLS.
const LOCAL: [&str; 3] = ["127.0.0.1", "localhost", "[::1]"];

/// The origin of an address: scheme, host and port. None for one that no browser may be sent to: another scheme than
/// `https`, or `http` to another machine; user names; a fragment; anything but graphic ASCII.
pub fn return_origin(url: &str) -> Option<&str> {
    let clean = url.len() <= WEB_URL_MAX && url.bytes().all(|byte| byte.is_ascii_graphic());
    let origin = origin(url).filter(|_| clean && !url.contains(['#', '\\', '"', '<', '>']))?;
    let local = |host: &str| LOCAL.contains(&host);
    match origin.split_once("://")? {
        ("https", _) => Some(origin),
        ("http", authority) if local(host(authority)) => Some(origin),
        _ => None,
    }
}

/// Scheme, host and port of an address.
pub fn origin(url: &str) -> Option<&str> {
    let (scheme, rest) = url.split_once("://")?;
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-.:[]".contains(&byte);
    let good = !host(authority).is_empty() && authority.bytes().all(plain);
    (good && ["http", "https"].contains(&scheme))
        .then(|| &url[..scheme.len() + "://".len() + authority.len()])
}

fn host(authority: &str) -> &str {
    match authority.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => host,
        _ => authority,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn browsers_are_sent_to_safe_places_only() {
        for (url, expected) in [
            ("https://app.example.org/back?x=1", "https://app.example.org"),
            ("https://app.example.org:8443", "https://app.example.org:8443"),
            ("http://127.0.0.1:9000/back", "http://127.0.0.1:9000"),
            ("http://localhost/back", "http://localhost"),
            ("http://[::1]:9000/", "http://[::1]:9000"),
        ] {
            assert_eq!(return_origin(url), Some(expected));
        }
        for url in [
            "http://127.0.0.1.evil.example/",
            "http://localhost.evil.example/",
            "http://localhost:80@evil.example/",
            "http://app.example.org/",
            "https://user@app.example.org/",
            "https:///back",
            "https://:443/",
            "https://app.example.org/#x",
            "https://app.example.org/\r\nx: y",
            "https://app.example.org;script-src/",
            "https://app.example.org\\@evil.example/",
            "javascript://app.example.org/",
            "//app.example.org/",
            "",
        ] {
            assert_eq!(return_origin(url), None, "{url}");
        }
    }
}
