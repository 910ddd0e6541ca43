#!/bin/sh
# Builds guest-runner and the guests interrupt-counter.bin and device-guest.bin into lab/build.
set -eu
lab=$(cd "$(dirname "$0")" && pwd)
build=$lab/build
mkdir -p "$build"
gcc -O2 -Wall -Wextra -Wconversion -Werror -pthread -o "$build/guest-runner" "$lab/guest-runner.c"
for guest in interrupt-counter device-guest; do
  as --64 -I "$lab" -o "$build/$guest.o" "$lab/$guest.S"
  ld -Ttext=0x100000 --oformat binary -o "$build/$guest.bin" "$build/$guest.o"
done
