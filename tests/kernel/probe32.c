/* As probe.c, but a program of i386 without a libc (gcc -m32 -static -nostdlib), so that it can be built anywhere on amd64.
 *
 * probe32 NR[,ARG...] ...  makes calls by int 0x80 and prints what each answers: the errno, or 0; other arguments are 0
 */
static int call(const unsigned *words)
{
	int result;
	/* Without the sixth argument, which goes in ebp: no question of ours needs one, and a compiler may need ebp. */
	__asm__ volatile("int $0x80"
			 : "=a"(result)
			 : "a"(words[0]), "b"(words[1]), "c"(words[2]), "d"(words[3]), "S"(words[4]), "D"(words[5])
			 : "memory");
	return result;
}

static unsigned number(char **text)
{
	unsigned value = 0, base = 10;
	if ((*text)[0] == '0' && (*text)[1] == 'x') {
		base = 16;
		*text += 2;
	}
	for (;; ++*text) {
		char c = **text;
		if (c >= '0' && c <= '9')
			value = value * base + (unsigned)(c - '0');
		else if (base == 16 && c >= 'a' && c <= 'f')
			value = value * base + (unsigned)(c - 'a') + 10;
		else
			return value;
	}
}

static void print(unsigned value)
{
	char line[12];
	char *at = line + sizeof line;
	*--at = '\n';
	do {
		*--at = (char)('0' + value % 10);
		value /= 10;
	} while (value);
	const unsigned words[6] = {4 /* write */, 1, (unsigned)at, (unsigned)(line + sizeof line - at), 0, 0};
	call(words);
}

__attribute__((used, noreturn)) void begin(int argc, char **argv)
{
	for (int i = 1; i < argc; i++) {
		unsigned words[6] = {0, 0, 0, 0, 0, 0};
		char *text = argv[i];
		for (int count = 0; *text && count < 6; count++) {
			words[count] = number(&text);
			if (*text == ',')
				text++;
			else
				break;
		}
		int result = call(words);
		/* only the last 4095 values are errors: an address may look negative */
		print((unsigned)result > 0xfffff000u ? (unsigned)-result : 0);
	}
	const unsigned words[6] = {1 /* exit */, 0, 0, 0, 0, 0};
	call(words);
	__builtin_unreachable();
}

__asm__(".globl _start\n_start:\n\tmov %esp, %eax\n\tlea 4(%esp), %edx\n\tand $-16, %esp\n\tsub $8, %esp\n\tpush %edx\n\tpush (%eax)\n\tcall begin\n");
