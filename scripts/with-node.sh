#!/bin/sh
# Runs a TypeScript program with the pinned Node, from the checkout's root, whatever node the machine has.
set -eu
cd "$(dirname -- "$0")/.."
case $(uname -m) in x86_64) arch=x64 ;; aarch64 | arm64) arch=arm64 ;; *) arch=$(uname -m) ;; esac
node=node_modules/node-linux-$arch/bin/node
PATH=$PWD/$(dirname "$node"):$PWD/node_modules/.bin:$PATH
export PATH
exec "$node" --disable-warning=ExperimentalWarning "$@"
