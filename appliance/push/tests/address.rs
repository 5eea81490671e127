//! Push addresses of C.11: shapes, keys, and the spellings by which a phone could send the appliance elsewhere.

#![expect(clippy::unwrap_used, reason = "what fails here fails the test")]

use proptest::prelude::*;
use push::address::{AddressError, AllowList, QUEUE_MAX, RULES_MAX, Route, URL_MAX, Url};

const P256DH: &str =
    "BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4";
const AUTH: &str = "BTBZMqHH6r4Tts7J_aSIgg";

/// C.11. Red when an address of one shape is taken for another.
#[test]
fn an_address_is_told_by_its_shape() {
    let route = |address: &str| Route::of(address).unwrap();
    assert!(matches!(route("https://ntfy.example.org/upAbCdEfGh1234?up=1"), Route::NtfyUrl(_)));
    assert_eq!(route("ntfy:upAbCdEfGh1234"), Route::NtfyTopic("upAbCdEfGh1234".to_owned()));
    assert_eq!(route("poll:1"), Route::Poll("1".to_owned()));
    for url in [
        "https://up.example.org/x",
        "https://ntfy.example.org/upAbCdEfGh123?up=1",
        "https://ntfy.example.org/upAbCdEfGh1234",
    ] {
        assert!(matches!(route(url), Route::WebPush(_, None)), "{url}");
    }
    let Route::WebPush(url, Some(_)) =
        route(&format!("https://up.example.org/x?y=1#p256dh={P256DH}&auth={AUTH}"))
    else {
        panic!("no keys");
    };
    assert_eq!((url.target(), url.port(), url.tls()), ("/x?y=1", 443, true));
    for token in
        ["dbDqU8xX10w:APA91bH", "740f4707bebcf74f9b7c25d48e3358945f6aa01da5ddb387462c7eaf61bb78ad", ""]
    {
        assert_eq!(route(token), Route::Vendor);
    }
}

/// C.11. Red when a broken address counts as a token, or is repaired.
#[test]
fn what_looks_like_an_address_must_be_one() {
    let (long, queue) = (format!("https://a.example/{}", "x".repeat(URL_MAX)), "x".repeat(QUEUE_MAX + 1));
    for (address, why) in [
        ("ftp://up.example.org/x", AddressError::Scheme),
        ("HTTPS://up.example.org/x", AddressError::Scheme),
        ("//up.example.org/x", AddressError::Scheme),
        ("https:/up.example.org/x", AddressError::Scheme),
        ("https:\\\\up.example.org\\x", AddressError::Spelling),
        ("file:///etc/passwd", AddressError::Scheme),
        ("https:///x", AddressError::Spelling),
        ("https://up.example.org/x#", AddressError::Keys),
        ("https://up.example.org/x#p256dh=AA&auth=AA", AddressError::Keys),
        ("ntfy:up../../x", AddressError::Spelling),
        ("ntfy:AbCdEfGh123456", AddressError::Spelling),
        ("poll:", AddressError::Spelling),
        ("poll:a/b", AddressError::Spelling),
        (&format!("poll:{queue}"), AddressError::Spelling),
        (&long, AddressError::TooLong),
    ] {
        assert_eq!(Route::of(address), Err(why), "{address:.60}");
    }
}

fn list() -> AllowList {
    let rules =
        ["up.example.org", ".push.example.net", "ntfy.example.org:8443", "192.0.2.7", "[2001:db8::7]:8443"];
    AllowList::parse(&rules, false).unwrap()
}

fn allowed(list: &AllowList, url: &str) -> Result<(), AddressError> {
    list.check(&Url::parse(url)?)
}

/// C.11, D-39: what rules allow, and no more.
#[test]
fn a_rule_allows_what_it_names() {
    for good in [
        "https://up.example.org/x",
        "https://UP.Example.ORG/x",
        "https://up.example.org",
        "https://up.example.org:443/x",
        "https://up.example.org?x",
        "https://a.push.example.net/x",
        "https://a.b.push.example.net/x",
        "https://ntfy.example.org:8443/x",
        "https://192.0.2.7/x",
        "https://[2001:db8::7]:8443/x",
        "https://[2001:DB8:0:0::7]:8443/x",
    ] {
        assert_eq!(allowed(&list(), good), Ok(()), "{good}");
    }
    for bad in [
        "https://example.org/x",
        "https://a.up.example.org/x",
        "https://push.example.net/x",
        "https://evilpush.example.net/x",
        "https://up.example.org:8443/x",
        "https://ntfy.example.org/x",
        "https://192.0.2.8/x",
        "https://[2001:db8::7]/x",
        "http://up.example.org/x",
        "http://up.example.org:443/x",
        "https://localhost/x",
    ] {
        assert_eq!(allowed(&list(), bad), Err(AddressError::NotAllowed), "{bad}");
    }
    assert!(AllowList::default().check(&Url::parse("https://up.example.org/").unwrap()).is_err());
}

/// C.11 (SSRF). Red when one spelling passes the list and leads elsewhere: for each, either we refuse it or a
/// browser's reader sees the host that we saw.
#[test]
fn no_spelling_leads_elsewhere() {
    for url in [
        "https://up.example.org@evil.example/",
        "https://up.example.org:443@evil.example/",
        "https://up.example.org%40evil.example/",
        "https://evil.example\\@up.example.org/",
        "https://evil.example/@up.example.org/",
        "https://evil.example?@up.example.org/",
        "https://evil.example#@up.example.org/",
        "https://up.example.org.evil.example/",
        "https://up.example.org\\.evil.example/",
        "https://up.example.org.",
        "https://up.example.org./x",
        "https://up.example.org%2eevil.example/",
        "https://up.example.org%00.evil.example/",
        "https://up.example.org\t.evil.example/",
        "https://up.example.org\r\n.evil.example/",
        " https://evil.example/",
        "https://up．example．org.evil.example/",
        "https://ⓤp.example.org/",
        "https://2130706433/",
        "https://0x7f000001/",
        "https://0x7f.1/",
        "https://0177.0.0.1/",
        "https://127.1/",
        "https://127.0.0.1/",
        "https://127.0.0.01/",
        "https://192.0.2.7./",
        "https://192.0.2.07/",
        "https://3221225991/",
        "https://[::1]/",
        "https://[::ffff:127.0.0.1]/",
        "https://[::ffff:192.0.2.7]/",
        "https://[fe80::1%25eth0]/",
        "https://[::1]up.example.org/",
        "https://169.254.169.254/latest/meta-data/",
        "https://up.example.org:/",
        "https://up.example.org:0443/",
        "https://up.example.org:0/",
        "https://up.example.org:65979/",
        "https://up.example.org:443:80/",
        "https://up.example.org:+443/",
        "https://:443/",
        "https:up.example.org",
        "https://up_example.org/",
        "https://-up.example.org/",
        "https://up..example.org/",
    ] {
        assert!(allowed(&list(), url).is_err(), "{url}");
    }
}

/// `http://` stays on this machine, and only if it was asked for.
#[test]
fn plain_http_stays_on_this_machine() {
    let rules = ["127.0.0.1:8080", "localhost:8080", "[::1]:8080", "up.example.org:8080", "10.0.0.1:8080"];
    let (with, without) = (AllowList::parse(&rules, true).unwrap(), AllowList::parse(&rules, false).unwrap());
    for good in ["http://127.0.0.1:8080/x", "http://localhost:8080/x", "http://[::1]:8080/x"] {
        assert_eq!(allowed(&with, good), Ok(()), "{good}");
        assert_eq!(allowed(&without, good), Err(AddressError::NotAllowed), "{good}");
    }
    for bad in [
        "http://127.0.0.1:8081/x",
        "http://127.0.0.1/x",
        "http://127.0.0.2:8080/x",
        "http://up.example.org:8080/x",
        "http://10.0.0.1:8080/x",
    ] {
        assert_eq!(allowed(&with, bad), Err(AddressError::NotAllowed), "{bad}");
    }
    assert_eq!(allowed(&without, "https://127.0.0.1:8080/x"), Ok(()));
}

/// Red when a list is taken that allows more than its writer thinks.
#[test]
fn a_rule_that_is_none_is_named() {
    for bad in [
        "",
        ".",
        "*",
        "*.example.org",
        ".org",
        "..example.org",
        ".192.0.2.7",
        "https://a.example",
        "a.example/x",
        "a.example:0",
        "a.example:x",
        "a@b.example",
        "é.example",
        "1.2.3",
    ] {
        assert_eq!(AllowList::parse(&["ok.example", bad], false), Err(bad), "{bad}");
    }
    let many = vec!["a.example"; RULES_MAX + 1];
    assert_eq!(AllowList::parse(&many, false), Err("a.example"));
}

proptest! {
    /// Red when a browser's reader sees another host or port than we do.
    #[test]
    fn whatever_is_taken_is_read_alike(url in "https?://[a-z0-9.:@/?%\\[\\]\\\\#xA-]{0,40}", host in "[a-z0-9.x-]{1,12}") {
        for text in [url, format!("https://{host}/"), format!("https://{host}.example.org/x")] {
            let Ok(own) = Url::parse(&text) else { continue };
            if let Ok(other) = url::Url::parse(&text) {
                prop_assert_eq!(own.host(), other.host_str().unwrap(), "{}", text);
                prop_assert_eq!(Some(own.port()), other.port_or_known_default(), "{}", text);
                prop_assert_eq!(own.tls(), other.scheme() == "https");
                prop_assert!(other.username().is_empty() && other.password().is_none());
            }
        }
    }
}
