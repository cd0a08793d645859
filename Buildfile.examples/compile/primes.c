#include <stdio.h>
#include <stdlib.h>

/* Prints the primes up to the number that is its argument. */
int main(int argc, char **argv)
{
    long limit = argc > 1 ? strtol(argv[1], NULL, 10) : 100;
    for (long n = 2; n <= limit; n++) {
        long d = 2;
        while (d * d <= n && n % d != 0)
            d++;
        if (d * d > n)
            printf("%ld\n", n);
    }
    return 0;
}
