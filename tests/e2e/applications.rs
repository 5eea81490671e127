//! The sample applications, as they are shipped: a PAM service, and a web application whose users log in at the
//! appliance's pages.

use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tests::appliance::workspace;
use tests::{Appliance, RigOptions};

fn shipped(name: &str) -> PathBuf {
    workspace().join("docs/examples/applications").join(name)
}

fn key_file(rig: &Appliance, name: &str, scopes: &[&str]) -> PathBuf {
    let path = rig.path(&format!("{name}.key"));
    fs::write(&path, rig.app_key(name, scopes)).expect("a scratch file");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("own file");
    path
}

/// Whether PAM lets alice in with this code: the real stack, in a mount namespace whose `/etc/pam.d` is ours.
fn pam(rig: &Appliance, service: &Path, code: &str) -> bool {
    let script = "mount --bind \"$1\" /etc/pam.d && exec pamtester countersign-sample alice authenticate";
    let mut child = Command::new("unshare")
        .args(["--user", "--map-root-user", "--mount", "sh", "-c", script, "sh"])
        .arg(service)
        .env("COUNTERSIGN", &rig.binary)
        .env("COUNTERSIGN_SOCKET", &rig.socket)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("unshare starts");
    let mut typed = child.stdin.take().expect("piped");
    writeln!(typed, "{code}").expect("the code is typed");
    drop(typed);
    let ended = child.wait_with_output().expect("it ends");
    let said =
        format!("{}{}", String::from_utf8_lossy(&ended.stdout), String::from_utf8_lossy(&ended.stderr));
    // pam_exec makes a system error of its program's refusal.
    assert!(said.contains("authenticated") || said.contains("System error"), "{said}");
    ended.status.success()
}

/// The PAM sample lets a user in by a right code, once, and by nothing else; without a daemon nobody.
#[test]
fn pam_lets_a_user_in_by_a_code() {
    let mut rig = Appliance::start(RigOptions::default());
    let token = rig.hotp_user("alice");
    let key = key_file(&rig, "pam", &["verify"]);
    let service = rig.path("pam.d");
    fs::create_dir(&service).expect("a scratch directory");
    // pam_exec starts its program without our environment, and scratch directories may forbid to start anything.
    let wrapper = rig.path("countersign-pam");
    let (binary, socket) = (rig.binary.display(), rig.socket.display());
    let sample = shipped("countersign-pam").display().to_string();
    let text = format!(
        "#!/bin/sh\nCOUNTERSIGN={binary} COUNTERSIGN_SOCKET={socket} COUNTERSIGN_KEY_FILE={} exec {sample}\n",
        key.display()
    );
    fs::write(&wrapper, text).expect("a scratch file");
    fs::set_permissions(&wrapper, fs::Permissions::from_mode(0o755)).expect("own file");
    let line = format!("auth required pam_exec.so expose_authtok quiet /bin/sh {}\n", wrapper.display());
    fs::write(service.join("countersign-sample"), line).expect("a scratch file");

    assert!(!pam(&rig, &service, &token.secret.wrong(0..20)));
    assert!(pam(&rig, &service, &token.secret.hotp(0)));
    assert!(!pam(&rig, &service, &token.secret.hotp(0)), "once");
    rig.stop();
    assert!(!pam(&rig, &service, &token.secret.hotp(1)), "nobody answers");
}
