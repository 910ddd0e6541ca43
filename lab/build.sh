#!/bin/bash
# Builds the lab's kernel and initramfs from the distribution's kernel source package.
set -eu

usage() {
  cat <<'END'
usage: lab/build.sh [--debug] [--source FILE_OR_FOLDER] [--output FOLDER]
       lab/build.sh --sources

  --debug     with lockdep, KASAN and the checks for sleeping in atomic context (much slower), for
              lab/test.sh --debug
  --source    a kernel source tree or tarball, Linux 7.2 or later with CONFIG_MSHV_ROOT; without it
              apt fetches the distribution's package
  --output    where bzImage and initramfs.gz go (lab/image; lab/build/image-debug with --debug), and
              sources.sha256, by which lab/run.sh knows an image of other sources

  --sources   builds nothing, prints the hashes of what an image is made of: its sources.sha256

JOBS=N runs N compilers at a time (one per CPU).
END
}
refuse() { echo "lab: $1" >&2; exit 2; }

lab=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# In one order, whatever the locale.
sources() (cd "$lab/.." && LC_ALL=C && sha256sum lab/build.sh lab/initramfs/* lab/kernel/*)

work=$lab/build/kernel
variant=release source='' output=''
while [ $# -gt 0 ]; do
  case $1 in
    --debug) variant=debug ;;
    --sources) sources; exit ;;
    --source | --output)
      [ $# -gt 1 ] || refuse "$1 needs a value (lab/build.sh --help)"
      declare "${1#--}=$2"
      shift
      ;;
    --help) usage; exit 0 ;;
    *) refuse "no option $1 (lab/build.sh --help)" ;;
  esac
  shift
done

if [ -z "$output" ]; then
  [ $variant = debug ] && output=$lab/build/image-debug || output=$lab/image
fi

missing=()
for tool in gcc make flex bison bc perl xz patch; do
  command -v $tool > /dev/null || missing+=($tool)
done
for header in gelf.h openssl/opensslv.h; do
  gcc -E -include $header -x c /dev/null > /dev/null 2>&1 || missing+=($header)
done
[ ${#missing[@]} = 0 ] || refuse "missing: ${missing[*]}
apt-get install --no-install-recommends build-essential flex bison bc perl xz-utils patch libelf-dev libssl-dev"

# The oldest linux-source-X.Y that has the driver, as far as the apt of "$@" knows.
kernel_package() {
  "$@" pkgnames linux-source- | sed -n 's/^linux-source-\([0-9]*\)\.\([0-9]*\)$/\1 \2 &/p' | sort -n -k1 -k2 |
    awk '$1 > 7 || ($1 == 7 && $2 >= 2) { print $3; exit }'
}

# Fetches the package and prints the name of its tarball. A release that is too old gets a second
# source list for sid, made of the mirror this machine already uses, in a state folder of its own.
fetch_source() {
  local package mirror config=$work/apt/apt.conf
  package=$(kernel_package apt-cache)
  mkdir -p "$work/apt/lists" "$work/apt/cache"
  : > "$config"
  if [ -z "$package" ]; then
    mirror=$(. /etc/os-release && apt-get indextargets --format '$(REPO_URI) $(RELEASE) $(COMPONENT)' 'Created-By: Packages' |
      awk -v release="${VERSION_CODENAME-}" -v id="$ID" 'id == "debian" && $2 == release && $3 == "main" { print $1; exit }')
    [ -n "$mirror" ] || refuse 'no linux-source-7.2 or later in the package sources of this machine: use --source'
    local keyring=/usr/share/keyrings/debian-archive-keyring.gpg trust=''
    [ ! -r $keyring ] || trust="[signed-by=$keyring] "
    echo "deb $trust$mirror sid main" > "$work/apt/sources.list"
    cat > "$config" << END
Dir::Etc::sourcelist "$work/apt/sources.list";
Dir::Etc::sourceparts "/dev/null";
Dir::Etc::preferencesparts "/dev/null";
Dir::State::lists "$work/apt/lists";
Dir::Cache "$work/apt/cache";
Acquire::Languages "none";
APT::Sandbox::User "$(id -un)";
#clear APT::Update::Post-Invoke;
#clear APT::Update::Post-Invoke-Success;
END
    APT_CONFIG=$config apt-get -q update >&2
    package=$(APT_CONFIG=$config kernel_package apt-cache)
    [ -n "$package" ] || refuse "no linux-source-7.2 or later in sid of $mirror: use --source"
  fi
  (cd "$work/apt" && APT_CONFIG=$config apt-get -q download "$package" >&2)
  dpkg -x "$work/apt/$package"_*.deb "$work/apt/package"
  echo "$work/apt/package/usr/src/$package".tar.*
}

# Before they are read: an image whose sources change meanwhile is one of other sources.
made_of=$(sources)

linux=$work/linux
if [ ! -e "$work/driver.sha256" ]; then
  mkdir -p "$work"
  rm -rf "$linux" "$work/Makefile.patch"
  [ -n "$source" ] || source=$(fetch_source)
  if [ -d "$source" ]; then
    cp -a "$source" "$linux"
  else
    mkdir "$linux"
    tar -C "$linux" --strip-components=1 -xf "$source"
  fi
  rm -rf "$work/apt"
  version=$(make -s -C "$linux" kernelversion)
  if [ "# Linux $version" = "$(head -n 1 "$lab/driver.sha256")" ]; then
    (cd "$linux" && sha256sum --quiet -c "$lab/driver.sha256")
  else
    echo "lab: no recorded checksums for Linux $version; the tree is taken as it was unpacked" >&2
  fi
  (
    cd "$linux"
    echo "# Linux $version"
    sha256sum drivers/hv/mshv* drivers/hv/hv_proc.c drivers/hv/hv_common.c include/uapi/linux/mshv.h \
      include/hyperv/*.h arch/x86/kernel/cpu/mshyperv.c arch/x86/hyperv/*.c \
      arch/x86/include/asm/mshyperv.h include/asm-generic/mshyperv.h
  ) > "$work/driver.sha256.new"
  mv "$work/driver.sha256.new" "$work/driver.sha256"
fi
# The tree stays from build to build, and the patch may be another one by now.
patch=$lab/kernel/Makefile.patch applied=$work/Makefile.patch
if ! patch -s -f -R --dry-run -d "$linux" -p1 < "$patch" > /dev/null; then
  [ ! -e "$applied" ] || patch -s -R -d "$linux" -p1 < "$applied"
  patch -s -d "$linux" -p1 < "$patch"
fi
cp "$patch" "$applied"
for file in "$lab"/kernel/*.[ch]; do
  cmp -s "$file" "$linux/drivers/hv/${file##*/}" || cp "$file" "$linux/drivers/hv/"
done
# Linux checks x86 for PREEMPT_RT's rules of nesting whatever it is built for. The driver's interrupt handler breaks
# them, and lockdep, having said so, checks nothing more: here it is a choice, which debug.config makes.
nesting='/^config PROVE_RAW_LOCK_NESTING$/,/^\thelp$/'
! sed -n "$nesting p" "$linux/lib/Kconfig.debug" | grep -q 'if !ARCH_SUPPORTS_RT' ||
  sed -i "$nesting s/ if !ARCH_SUPPORTS_RT//" "$linux/lib/Kconfig.debug"

objects=$work/$variant
mkdir -p "$objects" "$output"
build=(make -s -C "$linux" "O=$objects" "-j${JOBS:-$(nproc)}")
fragments=("$lab/kernel/kernel.config")
[ $variant = release ] || fragments+=("$lab/kernel/debug.config")
{
  "${build[@]}" tinyconfig
  (cd "$linux" && scripts/kconfig/merge_config.sh -m -O "$objects" "$objects/.config" "${fragments[@]}")
  "${build[@]}" olddefconfig
} > "$objects/config.log" 2>&1
grep -q '^CONFIG_MSHV_ROOT=y' "$objects/.config" || refuse "this kernel has no CONFIG_MSHV_ROOT: $objects/config.log"
"${build[@]}" bzImage headers
(cd "$linux" && sha256sum --quiet -c "$work/driver.sha256")
echo 'lab: the driver is unmodified'

# The mark of what is there now goes first, that of what is made last.
rm -f "$output/sources.sha256"
programs=$work/programs
mkdir -p "$programs"
as --64 -I "$lab/initramfs" -o "$programs/guest.o" "$lab/initramfs/guest.S"
ld -Ttext=0x100000 --oformat binary -o "$programs/guest.bin" "$programs/guest.o"
compile() { gcc -static -O1 -Wall -pthread -I "$objects/usr/include" "-Wa,-I$programs" -o "$programs/$1" "$lab/initramfs/$1.c"; }
compile init
compile smoke
compile guest_test
# gen_init_cpio makes the device nodes in the archive, so that no root is needed.
"$objects/usr/gen_init_cpio" - << END | gzip -1 > "$output/initramfs.gz"
$(printf 'dir /%s 0755 0 0\n' dev proc sys tmp host lower ovl)
nod /dev/console 0600 0 0 c 5 1
nod /dev/null 0666 0 0 c 1 3
file /init $programs/init 0755 0 0
file /smoke $programs/smoke 0755 0 0
file /guest_test $programs/guest_test 0755 0 0
END
cp "$objects/arch/x86/boot/bzImage" "$work/driver.sha256" "$output/"
cp "$objects/.config" "$output/kernel.config"
printf '%s\n' "$made_of" > "$output/sources.sha256"
ls -l "$output/bzImage" "$output/initramfs.gz"
