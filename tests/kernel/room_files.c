/* The part of room.c that looks: what a step is, and what it sees. */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#define COUNT(list) (sizeof(list) / sizeof *(list))

static void lines_of(const char *path, const char *const *names, size_t count)
{
	char line[4096];
	FILE *file = fopen(path, "r");
	while (file && fgets(line, sizeof line, file))
		for (size_t i = 0; i < count; i++)
			if (strncmp(line, names[i], strlen(names[i])) == 0 && line[strlen(names[i])] == ':') {
				for (char *at = line; *at; at++)
					if (*at == '\t')
						*at = ' ';
				size_t length = strlen(line);
				while (length && (line[length - 1] == '\n' || line[length - 1] == ' '))
					line[--length] = '\0';
				puts(line);
			}
	if (file)
		fclose(file);
}

static void link_of(const char *path)
{
	char target[4096];
	ssize_t length = readlink(path, target, sizeof target - 1);
	target[length > 0 ? length : 0] = '\0';
	char *colon = strchr(target, ':');
	if (colon)
		*colon = '\0'; /* pipe:[number] */
	printf("%s: %s\n", path, length < 0 ? strerrorname_np(errno) : target);
}

static void who(void)
{
	static const char *const status[] = {"Uid", "Gid", "Groups", "PPid", "SigBlk", "SigIgn", "CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb", "NoNewPrivs", "Seccomp", "Seccomp_filters"};
	lines_of("/proc/self/status", status, COUNT(status));
	int signal_number = 0;
	prctl(PR_GET_PDEATHSIG, &signal_number);
	printf("pdeathsig: %d\nsecurebits: %#x\ndumpable: %d\n", signal_number, prctl(PR_GET_SECUREBITS), prctl(PR_GET_DUMPABLE));
	mode_t mask = umask(0);
	umask(mask);
	printf("umask: %04o\n", mask);
	printf("pid, session, group: %d %d %d\n", getpid(), getsid(0), getpgid(0));
	char name[256] = "", directory[256] = "";
	gethostname(name, sizeof name);
	printf("host name: %s\ncwd: %s\n", name, getcwd(directory, sizeof directory));
	struct rlimit limit;
	getrlimit(RLIMIT_CORE, &limit);
	printf("limit core: %s\n", limit.rlim_max <= 1 ? "no dump" : "DUMPS");
	getrlimit(RLIMIT_NOFILE, &limit);
	printf("limit nofile: %ld\n", (long)limit.rlim_cur);
	getrlimit(RLIMIT_NPROC, &limit);
	printf("limit nproc: %s\n", limit.rlim_max <= 32768 ? "bounded" : "UNBOUNDED");
	for (char **variable = environ; *variable; variable++)
		printf("variable %s\n", *variable);
}

static void descriptors(void)
{
	for (int fd = 0; fd < 1024; fd++)
		if (fcntl(fd, F_GETFD) >= 0) {
			char path[64];
			sprintf(path, "/proc/self/fd/%d", fd);
			link_of(path);
		}
	int terminal = open("/dev/tty", O_RDWR);
	printf("controlling terminal: %s\n", terminal < 0 ? strerrorname_np(errno) : "OPEN");
	for (int fd = 0; fd < 3; fd++)
		printf("TIOCSTI on %d: %s\n", fd, ioctl(fd, TIOCSTI, "x") ? strerrorname_np(errno) : "done");
}

static void names_in(const char *path)
{
	struct dirent **names;
	int count = scandir(path, &names, NULL, alphasort);
	for (int i = 0; i < count; i++) {
		if (names[i]->d_name[0] == '.')
			continue;
		char full[4096];
		struct stat facts;
		snprintf(full, sizeof full, "%s/%s", path, names[i]->d_name);
		lstat(full, &facts);
		if (S_ISCHR(facts.st_mode) || S_ISBLK(facts.st_mode))
			printf("%s: device %d:%d mode %03o\n", full, major(facts.st_rdev), minor(facts.st_rdev), facts.st_mode & 07777);
		else if (S_ISLNK(facts.st_mode))
			link_of(full);
		else
			printf("%s: %s mode %04o\n", full, S_ISDIR(facts.st_mode) ? "directory" : "FILE", facts.st_mode & 07777);
	}
}

static void terminals(void)
{
	int master = open("/dev/ptmx", O_RDWR | O_NOCTTY);
	struct stat facts = {0};
	char *name = master < 0 ? NULL : ptsname(master);
	if (name)
		stat(name, &facts);
	printf("a new terminal: %s group %d mode %03o\n", name ? name : strerrorname_np(errno), (int)facts.st_gid, facts.st_mode & 07777);
	close(master);
}

static void flags_of(const char *path)
{
	struct statvfs facts;
	if (statvfs(path, &facts)) {
		printf("mount flags of %s: %s\n", path, strerrorname_np(errno));
		return;
	}
	printf("mount flags of %s:%s%s%s%s\n", path, facts.f_flag & ST_RDONLY ? " ro" : " rw", facts.f_flag & ST_NOSUID ? " nosuid" : "", facts.f_flag & ST_NODEV ? " nodev" : "", facts.f_flag & ST_NOEXEC ? " noexec" : "");
}

/* Absent, empty, or not to be read. */
static void masked(const char *path)
{
	char byte;
	int fd = open(path, O_RDONLY | O_NONBLOCK);
	int seen = fd >= 0 && read(fd, &byte, 1) > 0;
	DIR *directory = fd >= 0 ? fdopendir(fd) : NULL;
	for (struct dirent *entry; directory && (entry = readdir(directory));)
		seen |= entry->d_name[0] != '.';
	printf("%s: %s\n", path, seen ? "SHOWN" : "hidden");
	if (directory)
		closedir(directory);
	else if (fd >= 0)
		close(fd);
}

static void closed(const char *path)
{
	int fd = open(path, O_WRONLY | O_NONBLOCK);
	printf("write %s: %s\n", path, fd < 0 ? "closed" : "OPEN");
	if (fd >= 0)
		close(fd);
}

static void written(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY);
	printf("write '%s' to %s: %s\n", text, path, fd < 0 || write(fd, text, strlen(text)) < 0 ? strerrorname_np(errno) : "done");
	if (fd >= 0)
		close(fd);
}

static void others(void)
{
	int processes = 0, foreign = 0;
	DIR *proc = opendir("/proc");
	for (struct dirent *entry; (entry = readdir(proc));) {
		int pid = atoi(entry->d_name);
		processes += pid > 0;
		foreign += pid > 1;
	}
	closedir(proc);
	printf("processes: %d, of others: %d\n", processes, foreign);
	link_of("/proc/1/root");
	link_of("/proc/1/cwd");
	link_of("/proc/1/exe");
	char line[4096];
	int shared = 0, paths = 0;
	FILE *mounts = fopen("/proc/self/mountinfo", "r");
	while (mounts && fgets(line, sizeof line, mounts)) {
		shared += strstr(line, " shared:") || strstr(line, " master:");
		paths += strstr(line, "pybuild") != NULL;
	}
	fclose(mounts);
	printf("mounts that propagate: %d\nmounts that tell where the store is: %d\n", shared, paths);
	FILE *groups = fopen("/proc/self/cgroup", "r");
	int above = 0;
	while (groups && fgets(line, sizeof line, groups))
		above += strcmp(strrchr(line, ':'), ":/\n") != 0;
	fclose(groups);
	printf("control groups above ours: %d\n", above);
}

void look(void)
{
	who();
	descriptors();
	others();
	names_in("/dev");
	terminals();
	static const char *const mounted[] = {"/", "/dev", "/dev/null", "/dev/pts", "/dev/shm", "/dev/mqueue", "/etc/hosts", "/etc/resolv.conf", "/proc", "/proc/sys", "/sys", "/sys/fs/cgroup"};
	for (size_t i = 0; i < COUNT(mounted); i++)
		flags_of(mounted[i]);
	static const char *const hidden[] = {"/proc/acpi", "/proc/asound", "/proc/interrupts", "/proc/kcore", "/proc/keys", "/proc/kmsg", "/proc/latency_stats", "/proc/sched_debug", "/proc/scsi", "/proc/timer_list", "/proc/timer_stats", "/sys/devices/virtual/powercap", "/sys/firmware", "/sys/fs/bpf", "/sys/fs/pstore", "/sys/kernel/debug", "/sys/kernel/security", "/sys/kernel/tracing", "/dev/mem", "/dev/kmsg", "/dev/console", "/dev/mqueue"};
	for (size_t i = 0; i < COUNT(hidden); i++)
		masked(hidden[i]);
	static const char *const shut[] = {"/etc/hosts", "/etc/resolv.conf", "/proc/irq/default_smp_affinity", "/proc/mtrr", "/proc/sys/fs/binfmt_misc/register", "/proc/sys/kernel/core_pattern", "/proc/sys/kernel/hostname", "/proc/sys/kernel/modprobe", "/proc/sys/net/ipv4/ip_forward", "/proc/sys/vm/drop_caches", "/proc/sysrq-trigger", "/sys/devices/system/cpu/cpu0/online", "/sys/fs/cgroup/cgroup.procs", "/sys/kernel/mm/ksm/run", "/sys/kernel/uevent_helper", "/sys/module/kernel/parameters/panic", "/sys/power/state"};
	for (size_t i = 0; i < COUNT(shut); i++)
		closed(shut[i]);
	written("/proc/self/uid_map", "0 0 1");
	written("/proc/self/gid_map", "0 0 1");
	written("/proc/self/setgroups", "allow");
	written("/proc/self/oom_score_adj", "-1000");
	fflush(stdout);
}
