#!/bin/bash
# Runs the conformance suite on the real driver, then the tests in which guest code runs.
set -u

if [ "${1-}" = --help ]; then
  cat <<'END'
usage: lab/test.sh [REPORTS]

Boots one VM for each: the conformance suite with the core scheduler, and what depends on the
scheduler (VPs, interrupts) with the root scheduler; real guest code, the examples and a hundred
killed processes with the hypervisor's scheduler, guest code with the root scheduler, and what takes
interrupts with fast injection. REPORTS is a folder for one JSON report of each.
END
  exit 0
fi
lab=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
reports=${1-}
failed=0

# suite NAME "PROJECT [FILTER...]" OPTION...
suite() {
  local name=$1 tests results=()
  read -ra tests <<< "$2"
  shift 2
  [ -z "$reports" ] || results=(--results "$reports")
  echo "lab: $name" >&2
  "$lab/run.sh" command --timeout 1800 "${results[@]}" "$@" \
    env "MSHV_TEST_REPORT=/ctl/results/$name.json" \
    node node_modules/vitest/vitest.mjs run --no-file-parallelism --project "${tests[@]}" || failed=1
}

"$lab/build-guest.sh" || exit 2
suite conformance-core conformance --scheduler core
# With the other scheduler, what depends on it: runs of VPs and interrupts.
suite conformance-root 'conformance vp- irqfd driver-rules route-model mask-storm' --scheduler root
suite guest-core lab --svm --scheduler core
suite guest-root 'lab device interrupt' --svm --scheduler root
# One CPU: where the VP runs beside the signaller, the driver injects some signals twice.
suite guest-fast-injection 'lab interrupt' --svm --scheduler root --fast-injection --cpus 1
exit $failed
