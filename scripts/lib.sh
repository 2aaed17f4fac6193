# Shared by scripts/test and scripts/check: numbered steps with their time, and a summary that hides nothing.
# To be sourced by bash after `set -euo pipefail`.

export CARGO_TERM_COLOR="${CARGO_TERM_COLOR:-auto}" RUST_LIB_BACKTRACE=0
# A cold build gains nothing from incremental compilation and pays for it in time and disk.
if [[ -n ${CI:-} ]]; then export CARGO_INCREMENTAL=0; fi

TOOLS="$PWD/.cache/tools"
# Off by default, because it builds a C library; checked and tested all the same, and in one go with the rest, which builds everything once.
WITH_KAFKA=(--features tidegate/kafka)
step_number=${STEP_NUMBER:-0}
summary=()
failures=0

# step TITLE COMMAND… : runs the command, remembers how it ended, goes on either way: one run tells everything that is wrong.
step() {
    local title=$1 began=$SECONDS outcome=ok
    shift
    step_number=$((step_number + 1))
    printf '\n=== %d. %s\n' "$step_number" "$title"
    if ! "$@"; then
        outcome=FAILED
        failures=$((failures + 1))
    fi
    summary+=("$(printf '%-7s %4d s  %d. %s' "$outcome" "$((SECONDS - began))" "$step_number" "$title")")
    printf '=== %d. %s: %s after %d s\n' "$step_number" "$title" "$outcome" "$((SECONDS - began))"
}

# skip TITLE REASON : a step that cannot run here is said, never hidden.
skip() {
    step_number=$((step_number + 1))
    printf '\n=== %d. %s: SKIPPED, %s\n' "$step_number" "$1" "$2"
    summary+=("$(printf '%-7s %6s  %d. %s (%s)' SKIPPED '' "$step_number" "$1" "$2")")
}

print_summary() {
    printf '\n=== Summary after %d s\n' "$SECONDS"
    printf '%s\n' "${summary[@]}"
}

have() { command -v "$1" >/dev/null 2>&1; }
