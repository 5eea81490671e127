//! What a phone scans and where it wants its pushes: what is read strictly has one meaning, and allowed hosts are those
//! of the list.

#![no_main]

use fuzz::{begin, is_control};
use libfuzzer_sys::fuzz_target;
use push::address::{AllowList, Route, Url};
use push::label::{Colour, Issuer, Logo};
use push::policies::Policies;
use push::scan::Scanned;

/// The planted fault: a host that only begins as an allowed one does.
fn allowed(list: &AllowList, url: &Url) -> bool {
    list.check(url).is_ok() || (is_control() && url.host().starts_with("up."))
}

fn check(text: &str) {
    if let Ok(read) = Scanned::parse(text) {
        assert!(text.is_ascii());
        assert!(!read.issuer.contains(':') && !read.account.contains(':') && !read.account.is_empty());
        assert!(read.image.is_none_or(|image| Logo::parse(&image).is_ok()));
        assert!(read.colour.is_none_or(|colour| Colour::parse(&colour).is_ok()));
        assert!(read.push.is_none_or(|push| push.register.ends_with("?_action=register")));
    }
    if let Ok(issuer) = Issuer::parse(text) {
        assert!(push::base64::neutral(issuer.as_str().as_bytes()).is_some());
    }
    if let Ok(Some(policies)) = Policies::parse(text) {
        assert!(push::base64::neutral(policies.json().as_bytes()).is_some());
        let names = |json: &str| -> Option<Vec<String>> {
            let value: serde_json::Value = serde_json::from_str(json).ok()?;
            Some(value.as_object()?.keys().cloned().collect())
        };
        assert_eq!(names(policies.json()), names(text));
    }
    if let Ok(Route::WebPush(url, _) | Route::NtfyUrl(url)) = Route::of(text) {
        let rules = ["up.example.org", ".push.example.net", "192.0.2.7:8443"];
        let list = AllowList::parse(&rules, false).expect("rules");
        if allowed(&list, &url) {
            let host = url.host();
            let named = ["up.example.org", "192.0.2.7"].contains(&host.as_str());
            assert!(url.tls() && (named || host.ends_with(".push.example.net")), "{text} leads to {host}");
        }
    }
}

fn seeds() -> Vec<Vec<u8>> {
    [
        "mfauth://totp/A%20B:c?a=aHR0cHM6Ly9hLmV4YW1wbGUvcD9fYWN0aW9uPWF1dGhlbnRpY2F0ZQ&b=032b75&r=aHR0cHM6Ly9hLmV4YW1wbGUvcD9fYWN0aW9uPXJlZ2lzdGVy&s=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA&c=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA&l=YW1sYmNvb2tpZT0wMQ&m=REGISTER:0b7f6c1e-6a55-4d0e-9d0a-3f2f6f3f6a011767225600000&issuer=QSBC&digits=6&period=30&secret=BZDMDZWJEQ7RUK73HKU4CXQCTIQJ2VT5",
        "otpauth://hotp/A:b?secret=BZDMDZWJEQ7RUK73HKU4CXQCTIQJ2VT5&issuer=A&digits=8&counter=7&image=https://a.example/l.png",
        "https://up.example.org/x?up=1",
        "https://up.example.org.evil.example/",
        "https://a.push.example.net:443/upAbCdEfGh1234?up=1",
        "https://192.0.2.7:8443/x#p256dh=A&auth=A",
        "{\"biometricAvailable\":{},\"own?\":{\"x\":\"~\"}}",
    ]
    .map(|text| text.as_bytes().to_vec())
    .to_vec()
}

fuzz_target!(init: begin(seeds), |data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else { return };
    check(text);
    check(&format!("mfauth://totp/{text}"));
    check(&format!("https://{text}"));
});
