#!/bin/sh
# Measures this machine's GPU: README.txt says what comes of it.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
if [ "$(uname -sm)" != "Linux x86_64" ]; then
  echo "The kit runs on Linux on x86-64; this is $(uname -sm)." >&2
  exit 2
fi
place=$here
if [ ! -w "$here" ]; then place=$(mktemp -d); fi
echo "Unpacking into $place/unpacked" >&2
rm -rf "$place/unpacked"
mkdir "$place/unpacked"
tar -xzf "$here/kit.tar.gz" -C "$place/unpacked"
if ! "$place/unpacked/node" --version > /dev/null; then
  echo "The kit's Node does not run on this Linux: it needs glibc 2.28 or newer, and libstdc++." >&2
  exit 2
fi
exec "$place/unpacked/node" "$place/unpacked/test/kit/kit.js" --out "$place" "$@"
