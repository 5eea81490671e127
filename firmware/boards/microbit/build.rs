//! Tells the linker where `memory.x` is, and cargo that the images depend on it.

fn main() {
    println!("cargo::rerun-if-changed=memory.x");
    let here = std::env::var("CARGO_MANIFEST_DIR").expect("cargo says where a build script belongs");
    println!("cargo::rustc-link-search={here}");
}
