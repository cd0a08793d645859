/* Tries what CVE-2019-5736 did: to change the program that the step's process was before it was this one.
 *
 * The image has it as the loader that the host's interpreter names, and /bin/runner as a link to /proc/self/exe. The
 * first run keeps the file that it was executed as; the second, no longer of that file, tries to open and change it.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define KEPT 9

static void tell(const char *what, int failed)
{
	printf("%s: %s\n", what, failed ? strerrorname_np(errno) : "done");
}

int main(int argc, char **argv)
{
	if (argc > 1 && strcmp(argv[1], "again") == 0) {
		tell("write", open("/proc/self/fd/9", O_WRONLY) < 0);
		tell("truncate", truncate("/proc/self/fd/9", 1));
		tell("chmod", fchmod(KEPT, 0777));
		return 0;
	}
	char program[4096];
	ssize_t length = readlink("/proc/self/exe", program, sizeof program - 1);
	program[length > 0 ? length : 0] = '\0';
	printf("%s\n", program);
	fflush(stdout);
	dup2(open("/proc/self/exe", O_RDONLY), KEPT);
	execl("/bin/overwrite", "overwrite", "again", (char *)NULL);
	tell("exec", 1);
	return 1;
}
