#!/bin/bash
# Runs the conformance suite on the real driver, then the tests in which guest code runs.
set -u

if [ "${1-}" = --help ]; then
  cat <<'END'
usage: lab/test.sh [--debug] [--other-sources] [REPORTS]

Boots one VM for each, two at a time: the conformance suite with the core scheduler, what depends on
the scheduler (VPs, interrupts) with the root scheduler, and what an MSI means where the driver injects
through register pages; real guest code, the examples and twenty killed processes with the
hypervisor's scheduler, guest code with the root scheduler, and what takes interrupts with fast
injection; 200 000 random operations on driver and simulator. Each line begins with the name of what
it is from. REPORTS is a folder for one JSON report of each. What the kernel warns of without a known
reason is a failure.

With --debug, the conformance suite alone on a kernel of `lab/build.sh --debug`, which takes most of
an hour. --other-sources is for lab/run.sh.
END
  exit 0
fi
lab=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
debug=0 image=()
while [[ ${1-} == --* ]]; do
  case $1 in
    --debug) debug=1 ;;
    --other-sources) image=(--other-sources) ;;
    *)
      echo "lab: no option $1 (lab/test.sh --help)" >&2
      exit 2
      ;;
  esac
  shift
done
reports=${1-} slowness=1 limit=1800

# suite NAME "PROJECT [FILTER...]" OPTION...
# One process for all files: in the emulated VM, starting one and loading the library takes longer than most files' tests.
suite() {
  local name=$1 tests results=()
  read -ra tests <<< "$2"
  shift 2
  [ -z "$reports" ] || results=(--results "$reports")
  "$lab/run.sh" command "${image[@]}" --check-kernel-log --timeout $limit "${results[@]}" "$@" \
    env "MSHV_TEST_REPORT=/ctl/results/$name.json" "MSHV_TEST_SLOWNESS=$slowness" \
    "MSHV_TEST_WAYS=${ways-}" \
    node node_modules/vitest/vitest.mjs run --no-file-parallelism --no-isolate --project "${tests[@]}" 2>&1 |
    sed -u "s/^/$name: /"
  [ "${PIPESTATUS[0]}" = 0 ]
}

conformance() {
  local failed=0
  suite conformance-core conformance --scheduler core || failed=1
  # With the other scheduler, what depends on it: runs of VPs and interrupts.
  suite conformance-root 'conformance kicks vp-exits vp-model vp-workers irqfd driver-rules mask-storm' \
    --scheduler root || failed=1
  return $failed
}

# QEMU runs guests on one thread: there is room for the conformance suite beside them.
guests() {
  local failed=0
  suite guest-core lab --svm --scheduler core || failed=1
  # How exits are decoded does not depend on the scheduler.
  ways=start suite guest-root 'lab cancel interrupt synic' --svm --scheduler root || failed=1
  # One CPU: where the VP runs beside the signaller, the driver injects some signals twice.
  suite guest-fast-injection 'lab interrupt' --svm --scheduler root --fast-injection --cpus 1 || failed=1
  "$lab/differential.sh" --built "${image[@]}" 2>&1 | sed -u 's/^/differential: /'
  [ "${PIPESTATUS[0]}" = 0 ] || failed=1
  # No guest runs in it, but the conformance suite takes longer than all of these.
  suite fast-injection fast-injection --scheduler root --fast-injection || failed=1
  return $failed
}

"$lab/build-guest.sh" || exit 2
if [ $debug = 1 ]; then
  export MSHV_LAB_IMAGE=$lab/build/image-debug
  slowness=10 limit=7200
  suite conformance-debug conformance --scheduler core --memory 4096
  exit
fi
# A background job takes no notice of Ctrl-C.
trap 'trap - INT; kill 0' INT
failed=0
conformance &
running=$!
guests || failed=1
wait $running || failed=1
exit $failed
