// app [CODE TEXT]: prints TEXT and exits with CODE, or serves until it is told to stop.
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
static void stop(int s) { (void)s; _exit(0); }
int main(int argc, char **argv) {
  if (argc > 2) { puts(argv[2]); return atoi(argv[1]); }
  signal(SIGTERM, stop);
  puts("serving"); fflush(stdout);
  for (;;) pause();
}
