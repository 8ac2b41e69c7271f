// prog serve | exit CODE TEXT | cat FILE | env NAME: what the tests' images run.
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
static void stop(int s) { (void)s; _exit(0); }
int main(int argc, char **argv) {
  if (argc > 3 && !strcmp(argv[1], "exit")) { puts(argv[3]); return atoi(argv[2]); }
  if (argc > 2 && !strcmp(argv[1], "env")) { puts(getenv(argv[2]) ? getenv(argv[2]) : ""); return 0; }
  if (argc > 2 && !strcmp(argv[1], "cat")) {
    FILE *f = fopen(argv[2], "r"); int c;
    if (!f) { perror(argv[2]); return 1; }
    while ((c = fgetc(f)) != EOF) putchar(c);
    return 0;
  }
  signal(SIGTERM, stop);
  puts("serving"); fflush(stdout);
  for (;;) pause();
}
