#!/usr/bin/env bash
# Writes man pages (man/) and shell completions (completions/) anew, from the
# commands' definitions and man/sections. A test fails where they are out of step.
#
#   scripts/docs.sh
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=scripts/install.sh
source scripts/install.sh
need "${BUILD_PACKAGES[@]}"
need_cargo
MVSWITCH_BLESS=1 cargo test --test docs pages_and_completions_are_those_of_the_programs
git status --short man completions
