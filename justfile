# Everything that CI runs: install what is missing, static checks, all tests.
check:
    ./scripts/test

# The static half alone: format, clippy, docs, dependencies, fuzz targets. No tests.
lint:
    ./scripts/check

# A working gateway on 127.0.0.1:8080 (built-in mock provider where no provider key is set).
run *args:
    cargo run --release -- {{args}}

# The tests of one crate: `just test core`.
test crate:
    cargo test -p tidegate-{{crate}}

# The tests over sockets, all or those whose name contains `filter`.
e2e filter="":
    cargo build -p tidegate --features kafka
    cargo test -p tidegate-e2e --test e2e -- {{filter}}

# Writes the generated pages (docs/failures.md) anew.
docs:
    UPDATE_DOCS=1 cargo test -p tidegate-e2e --test tidy

# Measures Tidegate beside a raw nginx and writes docs/performance.md.
bench:
    cargo run --release -p tidegate-bench

# Fuzzes one parser for a while (needs the nightly toolchain and cargo-fuzz).
fuzz target seconds="60":
    cargo +nightly fuzz run {{target}} -- -max_total_time={{seconds}}
