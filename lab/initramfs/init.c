/* SPDX-License-Identifier: MIT */
/*
 * /init of the lab's VM. What it does is on the kernel's command line:
 *
 *   vm=smoke   runs /smoke, or the program after vmprog=, with the word after smokearg=
 *   vm=host    mounts the 9p share `host` read-only under an overlay as the root and the share
 * `ctl` on /ctl, and runs /ctl/cmd.sh there
 *
 * and then prints "VM-RESULT rc=STATUS" and reboots, which ends QEMU.
 */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <fcntl.h>
#include <errno.h>
#include <time.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <sys/reboot.h>
#include <sys/ioctl.h>
#include <net/if.h>
#include <sys/socket.h>

static int mnt(const char *src, const char *dst, const char *type, unsigned long fl,
	       const char *opt)
{
	int r;
	mkdir(dst, 0755);
	r = mount(src, dst, type, fl, opt);
	if (r)
		printf("init: mount %s on %s: %s\n", src, dst, strerror(errno));
	return r;
}
static double up(void)
{
	struct timespec t;
	clock_gettime(CLOCK_BOOTTIME, &t);
	return t.tv_sec + t.tv_nsec / 1e9;
}
static int run(const char *root, char **argv)
{
	int st, pid = fork();
	if (!pid) {
		if (root && (chroot(root) || chdir("/")))
			_exit(126);
		setenv("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", 1);
		setenv("HOME", "/root", 1);
		setenv("TERM", "dumb", 1);
		execv(argv[0], argv);
		printf("init: exec %s: %s\n", argv[0], strerror(errno));
		_exit(127);
	}
	while (waitpid(pid, &st, 0) != pid)
		;
	return WIFEXITED(st) ? WEXITSTATUS(st) : 128 + WTERMSIG(st);
}

int main(void)
{
	char cl[4096] = "";
	int fd, rc = 0;

	setvbuf(stdout, NULL, _IOLBF, 0);
	mnt("proc", "/proc", "proc", 0, NULL);
	mnt("sysfs", "/sys", "sysfs", 0, NULL);
	mount("debugfs", "/sys/kernel/debug", "debugfs", 0, NULL);
	mount("devtmpfs", "/dev", "devtmpfs", 0, NULL); /* EBUSY if auto-mounted */
	mnt("devpts", "/dev/pts", "devpts", 0, NULL);
	mnt("tmpfs", "/dev/shm", "tmpfs", 0, NULL);
	mnt("tmpfs", "/tmp", "tmpfs", 0, NULL);
	symlink("/proc/self/fd", "/dev/fd");
	{ /* lo up, for node tests that listen on 127.0.0.1 */
		struct ifreq r = { .ifr_name = "lo" };
		int s = socket(AF_INET, SOCK_DGRAM, 0);
		if (s >= 0 && !ioctl(s, SIOCGIFFLAGS, &r)) {
			r.ifr_flags |= IFF_UP | IFF_RUNNING;
			ioctl(s, SIOCSIFFLAGS, &r);
		}
		if (s >= 0)
			close(s);
	}
	fd = open("/proc/cmdline", O_RDONLY);
	if (fd >= 0) {
		if (read(fd, cl, sizeof(cl) - 1) < 0)
			cl[0] = 0;
		close(fd);
	}
	printf("INIT-UP %.3f s after kernel start\n", up());
	if (strstr(cl, "vm=smoke")) {
		char *a[] = { "/smoke", NULL, NULL };
		char *m = strstr(cl, "smokearg=");
		if (m) {
			m = strdup(m + 9);
			m[strcspn(m, " \n")] = 0;
			a[1] = m;
		}
		m = strstr(cl, "vmprog=");
		if (m) {
			m = strdup(m + 7);
			m[strcspn(m, " \n")] = 0;
			a[0] = m;
		}
		rc = run(NULL, a);
	}
	if (strstr(cl, "vm=host")) {
		char *a[] = { "/bin/sh", "/ctl/cmd.sh", NULL };
		const char *o = "trans=virtio,version=9p2000.L,msize=524288,cache=loose,ro";
		double t0 = up();
		rc = 125;
		if (!mnt("host", "/lower", "9p", MS_RDONLY, o)) {
			mnt("tmpfs", "/ovl", "tmpfs", 0, NULL);
			mkdir("/ovl/u", 0755);
			mkdir("/ovl/w", 0755);
			if (!mnt("overlay", "/host", "overlay", 0,
				 "lowerdir=/lower,upperdir=/ovl/u,workdir=/ovl/w")) {
				mount("/dev", "/host/dev", NULL, MS_BIND | MS_REC, NULL);
				mount("/proc", "/host/proc", NULL, MS_BIND, NULL);
				mount("/sys", "/host/sys", NULL, MS_BIND | MS_REC, NULL);
				mnt("tmpfs", "/host/run", "tmpfs", 0, NULL);
				/* the host's /tmp stays visible (overlay): the work tree may live
				 * there */
				mnt("ctl", "/host/ctl", "9p", 0,
				    "trans=virtio,version=9p2000.L,msize=524288");
				printf("HOST-ROOT mounted in %.3f s\n", up() - t0);
				rc = run("/host", a);
				fd = open("/host/ctl/rc", O_CREAT | O_TRUNC | O_WRONLY, 0644);
				dprintf(fd, "%d\n", rc);
				close(fd);
				umount2("/host/ctl", MNT_DETACH);
			}
		}
	}
	printf("VM-RESULT rc=%d at %.3f s\n", rc, up());
	fflush(stdout);
	sync();
	reboot(RB_AUTOBOOT); /* qemu -no-reboot exits */
	for (;;)
		pause();
}
