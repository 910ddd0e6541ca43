#!/bin/bash
# Boots the lab's kernel in QEMU and runs one thing in it.
set -u

usage() {
  cat <<'END'
usage: lab/run.sh command [OPTION...] COMMAND [ARG...]
       lab/run.sh smoke [OPTION...] [fast|nullvp|stress]
       lab/run.sh guest [OPTION...] [SECTION,...]

command  runs COMMAND as root in the VM, in the project's folder, and exits with its status. One
         argument is a shell command line; several are a command and its arguments, passed as they
         are. Its stdout and stderr come out here; its stdin is empty.
smoke    the scripted smoke test of the driver
guest    guest machine code on emulated SVM; sections io fault spin mem irq door hc synic eoi smp
         stress xstate apictimer stimer clock
         identity state modes spin2 debug (all where none is named)

  --partition root|l1vh     what the kernel takes itself for (root)
  --scheduler lp|lp-smt|core|root   the hypervisor's scheduler (core; root with --svm)
  --fast-injection          offer interrupt injection through the register page
  --svm                     VPs execute guest code (always on in `guest`)
  --cpus N                  (2)
  --memory MIB              (2048)
  --timeout SECONDS         the VM is killed then, status 124 (300)
  --results FOLDER          copy what COMMAND left in /ctl/results to FOLDER
  --console FILE            keep the serial console
  --check-kernel-log        status 126 where the kernel warned of what known-kernel-messages.json has
                            no reason for; COMMAND is one that succeeds
  --append TEXT             more for the kernel's command line
  --other-sources           take an image that was made of other sources than this folder's

Status: that of COMMAND; 124 time-out; 125 the kernel died; 126 it warned; 2 nothing was started.
MSHV_LAB_IMAGE names the folder of bzImage, initramfs.gz and sources.sha256; without it lab/image is
used. An image of other sources, or of unknown ones, is refused: it would say nothing about these.
END
}
quote() { local word; for word; do printf "'%s' " "${word//\'/\'\\\'\'}"; done; }
refuse() { echo "lab: $1" >&2; exit 2; }

project=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd) || exit 2
mode=${1-}
case $mode in
  command | smoke | guest) shift ;;
  -h | --help) usage; exit 0 ;;
  *) usage >&2; exit 2 ;;
esac

partition=root scheduler='' parameters='' svm=0 cpus=2 memory=2048 limit=300 results='' console='' check=0 other=0
[ "$mode" = guest ] && svm=1
while [[ ${1-} == --* ]]; do
  option=$1
  shift
  case $option in
    --) break ;;
    --help) usage; exit 0 ;;
    --svm) svm=1; continue ;;
    --check-kernel-log) check=1; continue ;;
    --other-sources) other=1; continue ;;
    --fast-injection) parameters+=' fakehv.ext_features=0x200'; continue ;;
  esac
  [ $# -gt 0 ] || refuse "$option needs a value (lab/run.sh --help)"
  case $option in
    --partition) partition=$1 ;;
    --scheduler) scheduler=$1 ;;
    --cpus) cpus=$1 ;;
    --memory) memory=$1 ;;
    --timeout) limit=$1 ;;
    --results) results=$1 ;;
    --console) console=$1 ;;
    --append) parameters+=" $1" ;;
    *) refuse "no option $option (lab/run.sh --help)" ;;
  esac
  shift
done
[ "$mode" != command ] || [ $# -gt 0 ] || refuse 'no command (lab/run.sh --help)'

case $partition in root | l1vh) ;; *) refuse "no partition kind $partition" ;; esac
if [ -z "$scheduler" ]; then [ $svm = 1 ] && scheduler=root || scheduler=core; fi
case $scheduler in
  lp) type=1 ;; lp-smt) type=2 ;; core) type=3 ;; root) type=4 ;;
  *) refuse "no scheduler $scheduler" ;;
esac
# An L1VH partition learns of a root scheduler by a VMM capability only.
[ $partition$type = l1vh4 ] && parameters=" fakehv.vmm_caps=0x40$parameters"
# QEMU's SVM emulation goes wrong with one thread per CPU (README.md, "Limits").
[ $svm = 1 ] && threads=single || threads=multi

image=${MSHV_LAB_IMAGE:-$project/lab/image}
[ "$image" = "$project/lab/build/image-debug" ] && build='npm run lab:build -- --debug' || build='npm run lab:build'
for file in bzImage initramfs.gz; do
  [ -r "$image/$file" ] ||
    refuse "no $image/$file: build it with \`$build\`, or name a folder that has it in MSHV_LAB_IMAGE"
done
if [ $other = 0 ]; then
  sources=$("$project/lab/build.sh" --sources) || exit 2
  fault=''
  if [ ! -r "$image/sources.sha256" ]; then
    fault='does not say what it was made of (sources.sha256)'
  elif ! printf '%s\n' "$sources" | cmp -s - "$image/sources.sha256"; then
    changed=$(printf '%s\n' "$sources" | diff - "$image/sources.sha256" | sed -n 's/^[<>].*  //p' | sort -u | paste -sd ' ')
    fault="was made of other sources: $changed"
  fi
  [ -z "$fault" ] || refuse "the image $image $fault
Build it with \`$build\`, name another in MSHV_LAB_IMAGE, or take it as it is with --other-sources."
fi
command -v qemu-system-x86_64 > /dev/null ||
  refuse 'no qemu-system-x86_64: apt-get install --no-install-recommends qemu-system-x86 seabios'

scratch=$(mktemp -d) || exit 2
vm='' tails=()
trap 'kill $vm "${tails[@]}" 2> /dev/null; rm -rf "$scratch"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
console=${console:-$scratch/console}
append="console=ttyS0,115200 quiet loglevel=4 panic=-1 oops=panic mitigations=off nokaslr tsc=reliable"
# The driver waits for a grace period wherever it lets go of something, which by itself takes ticks of the clock.
append+=" rcupdate.rcu_expedited=1"
append+=" random.trust_cpu=on fakehv=$partition fakehv.sched=$type fakehv.svm=$svm$parameters"
qemu=(
  qemu-system-x86_64 -accel "tcg,thread=$threads" -machine pc -cpu max,la57=off -smp "$cpus" -m "$memory"
  -nodefaults -no-user-config -display none -no-reboot -serial "file:$console"
  -kernel "$image/bzImage" -initrd "$image/initramfs.gz"
)

case $mode in
  smoke) append+=" vm=smoke ${1:+smokearg=$1}" ;;
  guest) append+=" vm=smoke vmprog=/guest_test smokearg=${1:-all}" ;;
  command)
    (cd "$project" && node --import tsx test/bundle-programs.ts) || refuse 'the tests are not bundled (npm ci)'
    append+=' vm=host'
    ctl=$scratch/ctl
    mkdir -p "$ctl/results"
    : > "$ctl/stdout" > "$ctl/stderr" > "$ctl/kernel.log"
    [ $# -gt 1 ] || set -- /bin/sh -c "$1"
    # Pipes, not the files themselves: a program that opens /dev/stdout again must not truncate them.
    cat > "$ctl/cmd.sh" << END
export PATH=$(quote "$PATH")
ulimit -n 65536 # 4095 routes are 4095 eventfds
mountpoint -q /sys/kernel/tracing || mount -t tracefs tracefs /sys/kernel/tracing
mkfifo /run/stdout /run/stderr
cat /run/stdout > /ctl/stdout &
copiers=\$!
cat /run/stderr > /ctl/stderr &
copiers="\$copiers \$!"
cat /dev/kmsg > /ctl/kernel.log &
(cd $(quote "$project") && exec $(quote "$@")) < /dev/null > /run/stdout 2> /run/stderr
status=\$?
wait \$copiers
echo 'lab: the command has ended' > /dev/kmsg
until grep -q 'the command has ended' /ctl/kernel.log; do sleep 0.1; done
exit \$status
END
    qemu+=(
      -fsdev local,id=root,path=/,security_model=none,readonly=on,multidevs=remap
      -device virtio-9p-pci,fsdev=root,mount_tag=host
      -fsdev "local,id=ctl,path=$ctl,security_model=none"
      -device virtio-9p-pci,fsdev=ctl,mount_tag=ctl
    )
    ;;
esac

started=$EPOCHREALTIME
timeout -k 5 "$limit" "${qemu[@]}" -append "$append" &
vm=$!
if [ "$mode" = command ]; then
  tail -q -c +1 -s 0.1 --pid=$vm -f "$ctl/stdout" & tails+=($!)
  tail -q -c +1 -s 0.1 --pid=$vm -f "$ctl/stderr" >&2 & tails+=($!)
fi
wait $vm
ended=$?
vm=''
[ ${#tails[@]} = 0 ] || wait "${tails[@]}"
tails=()
seconds=$(((${EPOCHREALTIME/./} - ${started/./}) / 100000))
seconds=${seconds%?}.${seconds: -1}

# The firmware's escape sequences precede the kernel's first line.
sed -i 's/\r//; s/^.*\x1b\[[0-9;?]*[a-zA-Z]//' "$console"
status=$(sed -n 's/.*VM-RESULT rc=\([0-9]*\).*/\1/p' "$console" | tail -n 1)
if [ "$mode" != command ]; then
  cat "$console"
elif [ -z "$status" ]; then
  cat "$console" >&2
else
  grep -a '^\[' "$console" | grep -av -e 'compiled without mitigations' -e 'reboot: Restarting system' >&2
fi
if [ -n "$results" ]; then
  mkdir -p "$results" && cp -r "$ctl/results/." "$results" || exit 2
fi
if [ $ended = 124 ] || [ $ended = 137 ]; then
  echo "lab: killed after $limit s (--timeout)" >&2
  exit 124
elif [ -z "$status" ]; then
  echo "lab: the VM ended after $seconds s without a result" >&2
  exit 125
fi
echo "lab: status $status after $seconds s" >&2
if [ $check = 1 ] && [ "$status" = 0 ]; then
  node "$project/lab/kernel-log.mjs" "$ctl/kernel.log" || status=126
fi
exit "$status"
