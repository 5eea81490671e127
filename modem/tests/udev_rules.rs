//! The shipped udev rules are the generated ones, and cover the table.

use std::path::Path;

use modem::udev;

#[test]
fn the_shipped_file_is_the_generated_one() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../udev/70-countersign-modem.rules");
    let shipped = std::fs::read_to_string(file).expect("udev/70-countersign-modem.rules");
    assert!(shipped == udev::rules(), "run `countersign modem udev-rules > udev/70-countersign-modem.rules`");
}

#[test]
fn known_modems_have_their_port() {
    let ports = udev::at_ports();
    for (vendor, product, interface, secondary) in [
        ("2c7c", "0125", "02", false),
        ("2c7c", "0125", "03", true),
        ("1e0e", "9001", "02", false),
        ("1bc7", "1201", "04", false),
        ("1546", "1102", "00", false),
    ] {
        let found = ports.iter().find(|port| {
            (port.vendor.as_str(), port.product.as_str(), port.secondary) == (vendor, product, secondary)
        });
        assert_eq!(found.map(|port| port.interface.as_str()), Some(interface), "{vendor}:{product}");
    }
    for port in ports {
        for digits in [&port.vendor, &port.product, &port.interface] {
            assert!(digits.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b)), "{port:?}");
        }
    }
}
