#!/bin/bash
# Runs a command where programs for arm64 run by qemu-user, also those that it starts:
#
#   test/arm64/within-binfmt.sh QEMU COMMAND [ARGUMENT...]
#
# In a user and mount namespace of its own, which has a binfmt_misc of its own (Linux 6.7): nothing is registered on this
# machine, and no privileges are needed. The status is 125 where that is not to be had.
set -u
if [ "${MSHV_WITHIN_BINFMT-}" != 1 ]; then
  MSHV_WITHIN_BINFMT=1 exec unshare --user --map-root-user --mount "${BASH_SOURCE[0]}" "$@" || exit 125
fi
unset MSHV_WITHIN_BINFMT
qemu=$1
shift
# The beginning of an ELF file, 64 bits, little-endian, executable or shared, for AArch64.
magic='\x7fELF\x02\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\xb7\x00'
mask='\xff\xff\xff\xff\xff\xff\xff\x00\xff\xff\xff\xff\xff\xff\xff\xff\xfe\xff\xff\xff'
mount -t binfmt_misc none /proc/sys/fs/binfmt_misc || exit 125
printf ':arm64:M::%s:%s:%s:OCF' "$magic" "$mask" "$qemu" > /proc/sys/fs/binfmt_misc/register || exit 125
exec "$@"
