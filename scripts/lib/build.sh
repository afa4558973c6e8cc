# The one profile that scripts build with, so that nothing is compiled twice.
# shellcheck shell=bash

PROFILE=quick
TARGET=${CARGO_TARGET_DIR:-$ROOT/target}

build_dbhaul() {
    say "Building dbhaul (profile $PROFILE)"
    cargo build --locked --profile "$PROFILE" -p dbhaul
    export DBHAUL_BIN=$TARGET/$PROFILE/dbhaul
}

# The binary and everything that tests it, in one selection: built one after the other, with other features each, half
# of all crates would be compiled twice.
build_tests() {
    say "Building dbhaul and its tests (profile $PROFILE)"
    cargo build --locked --profile "$PROFILE" --workspace --bins --tests "$@"
    export DBHAUL_BIN=$TARGET/$PROFILE/dbhaul
}
