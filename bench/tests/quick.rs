//! The program itself, without a peer in between.

use std::process::Command;

#[test]
fn a_quick_run_without_peers_measures_the_direct_way() {
    let figures = ["--only", "small", "--only", "flat", "--only", "departure"];
    let output = Command::new(env!("CARGO_BIN_EXE_tidegate-bench")).args(["--quick", "--peer", "direct"]).args(figures).output().unwrap();
    let tables = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    for label in ["small whole requests per second", "events per second, flat out", "provider idle"] {
        assert!(tables.contains(label), "no line for {label} in\n{tables}");
    }
}
