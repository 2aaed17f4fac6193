# The static checks, for scripts/check and scripts/test. To be sourced after scripts/lib.sh.
source scripts/deployment.sh

static_checks() {
    step "format" cargo fmt --all --check
    step "clippy, all targets, warnings are errors" cargo clippy --workspace --all-targets --locked "${WITH_KAFKA[@]}" -- -D warnings
    step "clippy without Kafka, as most build it" cargo clippy -p tidegate --locked -- -D warnings
    step "docs, warnings are errors" docs
    check_dependencies
    check_fuzz_targets
    check_deployment
}

docs() { RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --locked "${WITH_KAFKA[@]}"; }

# Licences, sources, banned and doubled crates. Advisories need a database from the network and are looked at by hand
# (`cargo deny check advisories`): a new advisory must not break a build that changed nothing.
check_dependencies() {
    local deny=""
    if [[ -x $TOOLS/bin/cargo-deny ]]; then deny=$TOOLS/bin/cargo-deny; elif have cargo-deny; then deny=cargo-deny; fi
    if [[ -n $deny ]]; then
        step "dependencies: licences, sources, bans" "$deny" --locked check bans licenses sources
    else
        skip "dependencies: licences, sources, bans" "cargo-deny is not installed; cargo install cargo-deny --locked"
    fi
}

# libFuzzer's instrumentation exists on nightly only. The same parsers are property-tested on stable by `cargo test`.
check_fuzz_targets() {
    if [[ ! -f fuzz/Cargo.toml ]]; then
        skip "fuzz targets compile" "there is no fuzz/"
    elif cargo +nightly --version >/dev/null 2>&1; then
        step "fuzz targets compile" cargo +nightly check --manifest-path fuzz/Cargo.toml --all-targets
    else
        skip "fuzz targets compile" "no nightly toolchain; rustup toolchain install nightly"
    fi
}
