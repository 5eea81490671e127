//! Which addresses a name may lead to. A name is resolved once, and what was looked at here is what is connected to, so
//! that a name server that answers differently the second time gains nothing.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use push::address::{AllowList, Url};

/// Whether `address`, which the URL's host resolved to, may be connected to. This machine, its links, and what is no
/// host at all only where a rule names that very address (or `localhost`); the URL itself has been checked.
pub(super) fn admits(allow: &AllowList, url: &Url, address: IpAddr) -> bool {
    if !is_special(address) {
        return true;
    }
    if url.host() == "localhost" {
        return address.to_canonical().is_loopback();
    }
    let host = match address {
        IpAddr::V4(address) => address.to_string(),
        IpAddr::V6(address) => format!("[{address}]"),
    };
    let scheme = if url.tls() { "https" } else { "http" };
    Url::parse(&format!("{scheme}://{host}:{}/", url.port()))
        .is_ok_and(|literal| allow.check(&literal).is_ok())
}

fn is_special(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_special_v4(address),
        IpAddr::V6(address) => {
            address.is_loopback()
                || address.is_unspecified()
                || address.is_multicast()
                || address.is_unicast_link_local()
                || embedded(address).is_some_and(is_special_v4)
        }
    }
}

/// RFC 6890: this network, this machine, this link, groups, and what is reserved.
fn is_special_v4(address: Ipv4Addr) -> bool {
    let [first, ..] = address.octets();
    first == 0 || address.is_loopback() || address.is_link_local() || first >= 224
}

/// The IPv4 address inside: mapped or compatible (RFC 4291, 2.5.5), 6to4 (RFC 3056), NAT64 (RFC 6052).
fn embedded(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let parts = address.segments();
    let of = |high: u16, low: u16| Ipv4Addr::from_bits(u32::from(high) << 16 | u32::from(low));
    match parts {
        [0, 0, 0, 0, 0, 0 | 0xffff, high, low] | [0x64, 0xff9b, 0, 0, 0, 0, high, low] => Some(of(high, low)),
        [0x2002, high, low, ..] => Some(of(high, low)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allowed(rules: &[&str], url: &str, address: &str) -> bool {
        let (allow, url) = (AllowList::parse(rules, true).unwrap(), Url::parse(url).unwrap());
        allow.check(&url).is_ok() && admits(&allow, &url, address.parse().unwrap())
    }

    /// C.11. Red when a name that is allowed leads to this machine, its links or its metadata.
    #[test]
    fn an_allowed_name_leads_to_no_special_address() {
        let rules = ["push.example.org"];
        let url = "https://push.example.org/x";
        for usual in [
            "192.0.2.1",
            "10.1.2.3",
            "172.16.0.9",
            "192.168.7.7",
            "fd00::1",
            "2001:db8::1",
            "64:ff9b::c000:201",
        ] {
            assert!(allowed(&rules, url, usual), "{usual}");
        }
        for special in [
            "127.0.0.1",
            "127.8.8.8",
            "0.0.0.0",
            "0.1.2.3",
            "169.254.169.254",
            "224.0.0.1",
            "255.255.255.255",
            "240.0.0.1",
            "::1",
            "::",
            "fe80::1",
            "ff02::1",
            "::ffff:127.0.0.1",
            "::ffff:169.254.169.254",
            "::127.0.0.1",
            "64:ff9b::7f00:1",
            "64:ff9b::a9fe:a9fe",
            "2002:7f00:1::",
        ] {
            assert!(!allowed(&rules, url, special), "{special}");
        }
    }

    /// C.11. Red when a rule for one port or one address opens another.
    #[test]
    fn a_special_address_is_reached_where_a_rule_names_it() {
        let at = "https://127.0.0.1:8443/x";
        assert!(allowed(&["127.0.0.1:8443"], at, "127.0.0.1"));
        assert!(allowed(
            &["push.example.org:8443", "127.0.0.1:8443"],
            "https://push.example.org:8443/",
            "127.0.0.1"
        ));
        assert!(!allowed(
            &["push.example.org:8443", "127.0.0.1"],
            "https://push.example.org:8443/",
            "127.0.0.1"
        ));
        assert!(!allowed(
            &["push.example.org:8443", "127.0.0.2:8443"],
            "https://push.example.org:8443/",
            "127.0.0.1"
        ));
        assert!(allowed(&["localhost"], "https://localhost/", "::1"));
        assert!(allowed(&["localhost"], "https://localhost/", "127.0.0.1"));
        assert!(!allowed(&["localhost"], "https://localhost/", "169.254.1.1"));
        assert!(allowed(&["[::1]:8443"], "https://[::1]:8443/", "::1"));
    }
}
