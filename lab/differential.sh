#!/bin/bash
# Makes the same random operations on the real driver and on the simulator, side by side in the VM.
set -u

if [ "${1-}" = --help ]; then
  cat <<'END'
usage: npm run differential [-- [--ops N] [--seed S] [--sequence I] [--differences N] [--scheduler core|root] [--other-sources]]

--ops N           how many operations at least (200000)
--seed S          of all sequences (20261121)
--sequence I      only this one
--differences N   how many to look for (1)
--built           lab/build-guest.sh has been run
--other-sources   for lab/run.sh

After each operation results, outputs and interrupts must be the same, and now and then all that can be seen.
A difference is printed as the fewest operations found that show it; the status is 1 then. The last line is
the figure.
END
  exit 0
fi
lab=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
scheduler=core arguments=() built=0 image=()
while [ $# -gt 0 ]; do
  if [ "$1" = --scheduler ] && [ $# -gt 1 ]; then
    scheduler=$2
    shift 2
  elif [ "$1" = --built ]; then
    built=1
    shift
  elif [ "$1" = --other-sources ]; then
    image=("$1")
    shift
  else
    arguments+=("$1")
    shift
  fi
done

[ $built = 1 ] || "$lab/build-guest.sh" || exit 2
# On one CPU the emulator takes the least time. The driver's complaints would go to a slow console.
exec "$lab/run.sh" command "${image[@]}" --cpus 1 --scheduler "$scheduler" --timeout 86400 \
  /bin/sh -c 'dmesg -n 1 && exec node build/programs/test/differential/run.js "$@"' differential "${arguments[@]}"
