#!/bin/sh
# Biome, the formatter and linter. Its program comes as one package per machine type; the wrapper package that chooses between them is not
# installed, because its lock entries name packages for other machine types.
set -eu
cd "$(dirname -- "$0")/.."
case $(uname -m) in x86_64) arch=x64 ;; aarch64 | arm64) arch=arm64 ;; *) arch=$(uname -m) ;; esac
exec "node_modules/@biomejs/cli-linux-$arch/biome" "$@"
