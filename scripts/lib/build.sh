# The one profile that scripts build with, so that nothing is compiled twice.
# shellcheck shell=bash

PROFILE=quick
TARGET=${CARGO_TARGET_DIR:-$ROOT/target}

build_dbhaul() {
    say "Building dbhaul (profile $PROFILE)"
    cargo build --locked --profile "$PROFILE" -p dbhaul
    export DBHAUL_BIN=$TARGET/$PROFILE/dbhaul
}
