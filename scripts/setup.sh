#!/bin/sh
# Installs what Beamway needs into this checkout: the pinned Node and the libraries of package-lock.json. Does nothing when that has
# been done for this lock file. Needs npm of any age; as root on Debian it installs that too.
set -eu
cd "$(dirname -- "$0")/.."
stamp=node_modules/.beamway-setup
want=$(cat package-lock.json package.json | cksum)
[ -f "$stamp" ] && [ "$(cat "$stamp")" = "$want" ] && exit 0

if ! command -v npm > /dev/null 2>&1; then
  if [ "$(id -u)" = 0 ] && command -v apt-get > /dev/null 2>&1; then
    echo "setup: installing npm from Debian" >&2
    apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends npm > /dev/null
  else
    echo "setup: npm is missing. Ask your administrator for: apt-get install npm" >&2
    exit 5
  fi
fi
# A home folder that cannot be written (a service account's) must not stop npm from keeping its cache.
if [ ! -w "${HOME:-/nonexistent}" ]; then
  HOME=$PWD/node_modules/.home
  mkdir -p "$HOME"
  export HOME
fi
echo "setup: installing the pinned Node and the libraries (about half a minute)" >&2
log=$(mktemp)
trap 'rm -f "$log"' EXIT
# Optional packages of other machine types are left out by npm itself; scripts run only for packages listed in package.json.
if ! npm ci --no-audit --no-fund --loglevel=error > "$log" 2>&1; then
  cat "$log" >&2
  echo "setup: npm ci failed; see above" >&2
  exit 1
fi
case $(uname -m) in x86_64) arch=x64 ;; aarch64 | arm64) arch=arm64 ;; *) arch=$(uname -m) ;; esac
node=node_modules/node-linux-$arch/bin/node
if [ ! -x "$node" ]; then
  cat "$log" >&2
  echo "setup: the pinned Node did not arrive for $(uname -m); Beamway runs on linux x86_64 and aarch64" >&2
  exit 1
fi
echo "setup: $("$node" --version) is ready" >&2
printf '%s' "$want" > "$stamp"
