#!/bin/sh
# Installs the packages of this checkout and runs a command, in a container with Alpine
# Linux (musl), Node.js and Rust:
#
#   scripts/alpine.sh 'npm run build'
set -eu
cd "$(dirname "$0")/.."
exec docker run --rm -i -v "$PWD:/oxws" -w /oxws node:20-alpine sh -euc "
  apk add --quiet build-base rustup
  rustup-init -y --quiet --profile minimal
  . ~/.cargo/env
  npm ci --ignore-scripts
  $1
"
