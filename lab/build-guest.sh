#!/bin/sh
# Builds guest-runner and the guest interrupt-counter.bin into lab/build.
set -eu
lab=$(cd "$(dirname "$0")" && pwd)
build=$lab/build
mkdir -p "$build"
gcc -O2 -Wall -Wextra -Wconversion -Werror -pthread -o "$build/guest-runner" "$lab/guest-runner.c"
as --64 -o "$build/interrupt-counter.o" "$lab/interrupt-counter.S"
ld -Ttext=0x100000 --oformat binary -o "$build/interrupt-counter.bin" "$build/interrupt-counter.o"
