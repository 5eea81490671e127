//! The token's real image on an emulated board: from the factory to an accepted code and through a power cut, with
//! the real appliance. Codes are read from the pixels that the board sends to its display.

use tests::board::{Board, Flash};
use tests::token::make_maker;
use tests::{Appliance, PATIENCE, RigOptions, wait_until};

/// With the static data that the linker allows, 14 KiB of the part's 16.
const STACK_MAX: usize = 14 * 1024 - 704;
const SERIAL: &str = "CST-000001";

/// An appliance that trusts a maker, and the maker's key file.
fn bench() -> (Appliance, std::path::PathBuf) {
    let mut rig = Appliance::prepare(RigOptions::default());
    let maker = rig.path("maker.key");
    let key = make_maker(&maker);
    rig.options_mut().config = format!("[provisioning]\nmaker_keys = [\"{key}\"]\n");
    rig.write_config();
    rig.serve();
    rig.await_ready();
    (rig, maker)
}

/// Runs the technician's command, and presses the button when the board asks.
fn provision(rig: &Appliance, board: &mut Board) -> serde_json::Value {
    let port = board.port.display().to_string();
    let home = wait_until(PATIENCE, "the first picture", || board.picture());
    std::thread::scope(|scope| {
        let technician = scope.spawn(|| {
            rig.cli_json(&["technician", "provision", "--port", &port, "--type", "hotp", "--digits", "8"])
        });
        let question = wait_until(PATIENCE, "the board's question", || {
            assert!(!technician.is_finished(), "the technician's command ended before the question");
            board.picture().filter(|now| *now != home)
        });
        board.press_past(&question);
        technician.join().expect("the technician's command")
    })
}

fn check_stack(board: &mut Board, when: &str) {
    let used = board.stack_used();
    println!("{when}: {used} bytes of stack");
    assert!(used <= STACK_MAX, "{when}: {used} bytes of stack");
}

/// COMB-24, D-23, on the reference board: the secret is made in the HSM, wrapped to the chip, and survives its power.
///
/// Red when the image faults, runs out of stack, forgets its counter in a power cut, or draws something else than
/// the code.
#[test]
fn a_board_is_provisioned_and_survives_a_power_cut() {
    let (rig, maker) = bench();
    rig.user("alice");
    let mut board = Board::start(&rig.path(""), "one", SERIAL, &maker, None);
    assert_eq!(board.said("life"), "Attested");
    let made = provision(&rig, &mut board);
    assert_eq!(
        (made["serial"].as_str(), made["state"].as_str()),
        (Some(SERIAL), Some("provisioned")),
        "{made}"
    );
    assert!(made["error"].is_null(), "{made}");
    rig.cli_json(&["token", "assign", SERIAL, "--user", "alice"]);
    let mut admin = rig.admin();
    let first = board.code(8);
    assert!(admin.verify("alice", &first).accepted(), "{first}");
    assert!(admin.verify("alice", &first).rejected(), "the same code again");
    check_stack(&mut board, "provisioning");
    let flash: Flash = board.cut();
    let mut board = Board::start(&rig.path(""), "one", SERIAL, &maker, Some(&flash));
    assert_eq!(board.said("life"), "Provisioned");
    let second = board.code(8);
    assert_ne!(first, second);
    assert!(admin.verify("alice", &second).accepted(), "{second}");
    assert!(admin.verify("alice", &first).rejected(), "a code from before the cut");
    check_stack(&mut board, "a start with a secret");
    rig.check_chain();
}
