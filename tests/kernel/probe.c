/* Asks the kernel for system calls by number and prints what it answers, one line each: the errno, or 0.
 *
 * probe geteuid            prints the effective uid
 * probe int80 NR ...       makes i386 calls (on amd64)
 * probe NR[,ARG...] ...    makes native calls; all arguments that are not given are 0
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

static void ask(char *words)
{
	long numbers[7] = {0};
	int count = 0;
	for (char *word = strtok(words, ","); word && count < 7; word = strtok(NULL, ","))
		numbers[count++] = (long)strtoul(word, NULL, 0);
	errno = 0;
	long result = syscall(numbers[0], numbers[1], numbers[2], numbers[3], numbers[4], numbers[5], numbers[6]);
	printf("%d\n", result == -1 ? errno : 0);
	fflush(stdout);
}

int main(int argc, char **argv)
{
	if (argc > 1 && strcmp(argv[1], "geteuid") == 0) {
		printf("%d\n", (int)geteuid());
		return 0;
	}
#ifdef __x86_64__
	if (argc > 1 && strcmp(argv[1], "int80") == 0) {
		for (int i = 2; i < argc; i++) {
			int result;
			__asm__ volatile("int $0x80" : "=a"(result) : "a"(atoi(argv[i])), "b"(0), "c"(0), "d"(0) : "memory", "r8", "r9", "r10", "r11");
			printf("%d\n", result < 0 ? -result : 0);
		}
		return 0;
	}
#endif
	for (int i = 1; i < argc; i++)
		ask(argv[i]);
	return 0;
}
