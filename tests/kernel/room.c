/* Asks from inside a step for what must not be possible, and for what must: one line each, `question: answer`.
 *
 * An answer is the name of an error, `done`, or what was found. Where machines differ, it is only said whether a thing
 * is `closed`, `hidden` or `absent`, so that the answers are the same wherever the room is as it should be: they are
 * tests/golden/probe. What could change the room for later questions is asked in a child.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/capability.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/timex.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

#define COUNT(list) (sizeof(list) / sizeof *(list))

static void answer(const char *question, long result)
{
	printf("%s: %s\n", question, result == -1 ? strerrorname_np(errno) : "done");
}

/* Asks in a child, so that nothing of it stays. */
#define ASK(question, call)                     \
	do {                                    \
		fflush(stdout);                 \
		if (fork() == 0) {              \
			answer(question, call); \
			exit(0);                \
		}                               \
		wait(NULL);                     \
	} while (0)

#define CALL(name, ...) syscall(SYS_##name, ##__VA_ARGS__)

/* Calls whose numbers older headers lack; they are the same on every machine. */
enum { OPEN_TREE = 428, MOVE_MOUNT, FSOPEN, FSPICK = 433, CLONE3 = 435, PIDFD_GETFD = 438, PROCESS_MADVISE = 440, MOUNT_SETATTR = 442, OPEN_TREE_ATTR = 467 };

static void namespaces(void)
{
	static const struct {
		const char *name;
		long flag;
	} kinds[] = {{"user", CLONE_NEWUSER}, {"mount", CLONE_NEWNS}, {"pid", CLONE_NEWPID}, {"network", CLONE_NEWNET}, {"ipc", CLONE_NEWIPC}, {"uts", CLONE_NEWUTS}, {"cgroup", CLONE_NEWCGROUP}, {"time", 0x80}};
	char question[64];
	for (size_t i = 0; i < COUNT(kinds); i++) {
		sprintf(question, "unshare %s namespace", kinds[i].name);
		ASK(question, CALL(unshare, kinds[i].flag));
	}
	static const char *const entered[] = {"user", "mnt", "pid", "net"};
	for (size_t i = 0; i < COUNT(entered); i++) {
		char path[64];
		sprintf(path, "/proc/self/ns/%s", entered[i]);
		sprintf(question, "setns %s namespace", entered[i]);
		ASK(question, CALL(setns, open(path, O_RDONLY), 0));
	}
	long child = CALL(clone, CLONE_NEWUSER | 17 /* SIGCHLD */, 0, 0, 0, 0);
	if (child == 0)
		_exit(0);
	answer("clone with a user namespace", child);
	child = CALL(clone, 17, 0, 0, 0, 0);
	if (child == 0)
		_exit(0);
	answer("clone of a process", child);
	while (wait(NULL) > 0)
		;
	answer("clone3", syscall(CLONE3, 0, 0));
}

static void mounts(void)
{
	ASK("mount tmpfs", mount("x", "/tmp", "tmpfs", 0, ""));
	ASK("mount proc", mount("x", "/tmp", "proc", 0, ""));
	ASK("bind mount", mount("/etc", "/tmp", NULL, MS_BIND, NULL));
	ASK("remount / without nodev", mount(NULL, "/", NULL, MS_BIND | MS_REMOUNT, NULL));
	ASK("remount /proc/sys writable", mount(NULL, "/proc/sys", NULL, MS_BIND | MS_REMOUNT, NULL));
	ASK("make / shared", mount(NULL, "/", NULL, MS_SHARED, NULL));
	ASK("umount /proc/sys", umount2("/proc/sys", MNT_DETACH));
	ASK("pivot_root", CALL(pivot_root, ".", "."));
	ASK("open_tree, a copy", syscall(OPEN_TREE, -100, "/", 1));
	ASK("open_tree_attr", syscall(OPEN_TREE_ATTR, -100, "/", 1, 0, 0));
	ASK("fsopen", syscall(FSOPEN, "tmpfs", 0));
	ASK("fspick", syscall(FSPICK, -100, "/", 0));
	ASK("move_mount", syscall(MOVE_MOUNT, -100, "/proc", -100, "/tmp", 0));
	ASK("mount_setattr", syscall(MOUNT_SETATTR, -100, "/", 0, 0, 0));
	ASK("open_by_handle_at", CALL(open_by_handle_at, 0, 0, 0));
	ASK("chroot", chroot("/tmp"));
	/* The old way out of a chroot, chroot(2): the root is one, so there is nothing above it. */
	struct stat top, above;
	stat("/", &top);
	int root = open("/", O_RDONLY | O_DIRECTORY);
	fflush(stdout);
	if (fork() == 0) {
		if (chroot("/tmp") || fchdir(root) || chdir("../../../../../../../.."))
			answer("out of a chroot by a descriptor", -1);
		else {
			stat(".", &above);
			printf("out of a chroot by a descriptor: %s\n", above.st_ino == top.st_ino && above.st_dev == top.st_dev ? "no further than /" : "OUT");
		}
		exit(0);
	}
	wait(NULL);
	close(root);
}

static void processes(void)
{
	int self = syscall(434 /* pidfd_open */, getpid(), 0);
	answer("pidfd_open", self);
	answer("pidfd_getfd", syscall(PIDFD_GETFD, self, 0, 0));
	answer("process_madvise", syscall(PROCESS_MADVISE, self, 0, 0, 4, 0));
	close(self);
	answer("kcmp", CALL(kcmp, getpid(), getpid(), 0, 0, 0));
	char here = 'x', there = 0;
	struct {
		void *base;
		size_t size;
	} from = {&here, 1}, to = {&there, 1};
	answer("process_vm_readv of itself", CALL(process_vm_readv, getpid(), &to, 1, &from, 1, 0));
	ASK("ptrace", CALL(ptrace, 0 /* PTRACE_TRACEME */, 0, 0, 0));
	answer("move_pages", CALL(move_pages, 0, 0, 0, 0, 0, 0));
	struct sched_param fifo = {.sched_priority = 1};
	ASK("a realtime priority", sched_setscheduler(0, SCHED_FIFO, &fifo));
	ASK("a negative nice value", setpriority(PRIO_PROCESS, 0, -20));
	struct rlimit limit;
	getrlimit(RLIMIT_NPROC, &limit);
	limit.rlim_max = limit.rlim_cur = RLIM_INFINITY;
	ASK("no limit of processes", setrlimit(RLIMIT_NPROC, &limit));
	static const unsigned long kinds[] = {0, 0x8, 0x20000, 0x20008, 0xffffffff, 0x0040000, 0x0400000, 0x0100000};
	for (size_t i = 0; i < COUNT(kinds); i++) {
		char question[64];
		sprintf(question, "personality %#lx", kinds[i]);
		ASK(question, CALL(personality, kinds[i]));
	}
}

static void machine(void)
{
	ASK("sethostname", sethostname("x", 1));
	ASK("setdomainname", setdomainname("x", 1));
	ASK("settimeofday", CALL(settimeofday, 0, 0));
	ASK("clock_settime", CALL(clock_settime, 0, 0));
	struct timex clock = {.modes = ADJ_FREQUENCY};
	ASK("adjtimex", adjtimex(&clock));
	ASK("reboot", CALL(reboot, 0, 0, 0, 0));
	ASK("init_module", CALL(init_module, 0, 0, 0));
	ASK("finit_module", CALL(finit_module, -1, 0, 0));
	ASK("delete_module", CALL(delete_module, "x", 0));
	ASK("kexec_load", CALL(kexec_load, 0, 0, 0, 0));
	ASK("swapon", CALL(swapon, "/tmp", 0));
	ASK("acct", CALL(acct, 0));
	ASK("syslog", CALL(syslog, 3, 0, 0));
	ASK("quotactl", CALL(quotactl, 0, 0, 0, 0));
	ASK("vhangup", CALL(vhangup));
#ifdef __x86_64__
	ASK("iopl", CALL(iopl, 3));
	ASK("ioperm", CALL(ioperm, 0, 1, 1));
#endif
	ASK("bpf", CALL(bpf, 0, 0, 0));
	ASK("io_uring_setup", syscall(425, 1, 0));
	ASK("userfaultfd", CALL(userfaultfd, 1));
	ASK("perf_event_open", CALL(perf_event_open, 0, 0, -1, -1, 0));
	ASK("fanotify_init", CALL(fanotify_init, 0, 0));
	ASK("keyctl", CALL(keyctl, 0, -3, 0));
	ASK("add_key", CALL(add_key, "user", "x", "x", 1, -3));
	ASK("request_key", CALL(request_key, "user", "x", 0, 0));
	ASK("a call that does not exist", syscall(999));
}

static void sockets(void)
{
	ASK("socket AF_UNIX", socket(AF_UNIX, SOCK_STREAM, 0));
	ASK("socket AF_INET", socket(AF_INET, SOCK_STREAM, 0));
	ASK("socket AF_INET6", socket(AF_INET6, SOCK_DGRAM, 0));
	ASK("socket AF_NETLINK", socket(AF_NETLINK, SOCK_RAW, 0));
	ASK("socket AF_ALG", socket(38, SOCK_SEQPACKET, 0));
	ASK("socket AF_VSOCK", socket(40, SOCK_STREAM, 0));
	ASK("socket AF_ALG with a high half", CALL(socket, 0x100000026, SOCK_SEQPACKET, 0));
	ASK("socket AF_PACKET", socket(AF_PACKET, SOCK_RAW, 0));
	ASK("raw socket", socket(AF_INET, SOCK_RAW, 1));
}

#ifdef __x86_64__
static long int80(long number, long first)
{
	long result;
	__asm__ volatile("int $0x80" : "=a"(result) : "a"(number), "b"(first), "c"(0), "d"(0), "S"(0), "D"(0) : "memory", "r8", "r9", "r10", "r11");
	result = (int)result;
	errno = result < 0 ? -result : 0;
	return result < 0 ? -1 : result;
}

static void other_ways_in(void)
{
	ASK("i386 getpid", int80(20, 0));
	ASK("i386 unshare", int80(310, CLONE_NEWUSER));
	ASK("i386 mount", int80(21, 0));
	ASK("i386 umount", int80(22, 0));
	ASK("i386 keyctl", int80(288, 0));
	ASK("i386 bpf", int80(357, 0));
	ASK("i386 io_uring_setup", int80(425, 0));
	ASK("i386 socketcall", int80(102, 1));
	ASK("i386 socket AF_ALG", int80(359, 38));
	long child = int80(120, CLONE_NEWUSER | 17);
	if (child == 0)
		_exit(0);
	answer("i386 clone with a user namespace", child);
	wait(NULL);
	ASK("x32 getpid", syscall(0x40000000 | 39));
}
#else
static void other_ways_in(void) { }
#endif

static void authority(void)
{
	struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
	struct __user_cap_data_struct data[2], more[2];
	CALL(capget, &header, data);
	memcpy(more, data, sizeof data);
	more[0].permitted |= 1U << CAP_SYS_ADMIN;
	ASK("capset permitted SYS_ADMIN", CALL(capset, &header, more));
	memcpy(more, data, sizeof data);
	more[0].inheritable |= 1U << CAP_SYS_ADMIN;
	ASK("capset inheritable SYS_ADMIN", CALL(capset, &header, more));
	ASK("raise ambient CHOWN", prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_CHOWN, 0, 0));
	ASK("seccomp without a filter", CALL(seccomp, 0, 0, 0) == 0 ? 0 : -1);
	ASK("setuid 1000", setuid(1000));
	ASK("setuid 70000", setuid(70000));
	ASK("setgid 1000", setgid(1000));
	gid_t group = 7;
	ASK("setgroups", CALL(setgroups, 1, &group));
}

static void nodes(void)
{
	ASK("mknod of /dev/null", mknod("/tmp/null", S_IFCHR | 0666, makedev(1, 3)));
	ASK("mknod of a disk", mknod("/tmp/disk", S_IFBLK | 0666, makedev(8, 0)));
	ASK("mknod of a disk in /dev", mknod("/dev/disk", S_IFBLK | 0666, makedev(8, 0)));
	printf("mknod of a whiteout: %s\n", mknod("/tmp/whiteout", S_IFCHR | 0666, makedev(0, 0)) ? "closed" : "done");
	ASK("mkfifo", mkfifo("/tmp/fifo", 0600));
	close(open("/tmp/file", O_CREAT | O_WRONLY, 0600));
	ASK("chown to 1000", chown("/tmp/file", 1000, 1000));
	ASK("chown to 70000", chown("/tmp/file", 70000, 70000));
	ASK("setxattr user.x", setxattr("/tmp/file", "user.x", "y", 1, 0));
	ASK("setxattr trusted.overlay.opaque", setxattr("/tmp", "trusted.overlay.opaque", "y", 1, 0));
	ASK("hard link out of a mount", link("/etc/hosts", "/etc/other"));
	ASK("rename of a mount point", rename("/etc/hosts", "/etc/other"));
	ASK("unlink of a mount point", unlink("/etc/hosts"));
	ASK("chmod of /dev/null", chmod("/dev/null", 0));
	ASK("chown of /dev/null", chown("/dev/null", 0, 0));
	ASK("chmod of /etc/hosts", chmod("/etc/hosts", 0));
}

extern void look(void); /* room_files.c */

int main(void)
{
	setvbuf(stdout, NULL, _IOFBF, 1 << 16);
	look();
	namespaces();
	mounts();
	processes();
	machine();
	sockets();
	other_ways_in();
	authority();
	nodes();
	return 0;
}
