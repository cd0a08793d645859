/* Says a word to a Unix socket and prints what it answers: talk SOCKET WORD. Fails with the errno as its status. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	if (argc != 3 || strlen(argv[1]) >= sizeof address.sun_path)
		return 255;
	strcpy(address.sun_path, argv[1]);
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);
	if (connect(fd, (struct sockaddr *)&address, sizeof address) || write(fd, argv[2], strlen(argv[2])) < 0)
		return errno;
	shutdown(fd, SHUT_WR);
	char buffer[65536];
	for (ssize_t count; (count = read(fd, buffer, sizeof buffer)) > 0;)
		if (write(1, buffer, count) != count)
			return errno;
	return 0;
}
