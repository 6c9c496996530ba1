/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Loaded with LD_PRELOAD: counts every system call that changes something below one directory or that sends to an IMAP server, in
 * memory that forked processes share. At a chosen call it kills the process group, or lets calls fail. It can write down what each
 * call did, so that states of the disk can be made from it. tests/faults/calls.py is its other half.
 *
 * It is asked for /proc/self/fd at every call rather than to keep a table of descriptors: slower, and never wrong.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

enum action { COUNT, KILL, FAIL_ONCE, FAIL_ON, HANG_UP };

/* The fixed part of a record; path, second path and data follow. calls.py reads it as "<IIqiIQqqIIQ". */
struct record {
    uint32_t size;
    uint32_t number; /* of the call, from 1; 0: a mark of the test */
    int64_t result;
    int32_t code;  /* errno of a call that failed */
    uint32_t made; /* the file was not there before */
    uint64_t inode;
    int64_t offset; /* of a write; the length of a truncation, the seconds of a time, the mode of an open */
    int64_t flags;  /* of an open; the mode of a mkdir */
    uint32_t name_size;
    uint32_t paths_size; /* name, path, second path, each with a zero byte at its end, are this long together */
    uint64_t data_size;
};

struct shared {
    _Atomic long count;
    _Atomic int armed;
    _Atomic int guard;
    _Atomic long failed;
    long target;
    int action;
    int code;
    char kinds[256]; /* " write fsync " and so on; the names that may fail */
    char root[1024];
    size_t root_size;
    size_t log_size;
    size_t log_used;
    char *log;
};

static struct shared *shared;

__attribute__((constructor)) static void begin(void)
{
    shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (shared == MAP_FAILED)
        abort();
}

/* For the test, through ctypes */

int calls_arm(const char *root, long target, int action, int code, const char *kinds)
{
    if (strlen(root) >= sizeof shared->root || strlen(kinds) >= sizeof shared->kinds)
        return -1;
    strcpy(shared->root, root);
    strcpy(shared->kinds, kinds);
    shared->root_size = strlen(root);
    shared->target = target;
    shared->action = action;
    shared->code = code;
    shared->log_used = 0;
    atomic_store(&shared->count, 0);
    atomic_store(&shared->failed, 0);
    atomic_store(&shared->guard, 0); /* whoever held it may have been killed */
    atomic_store(&shared->armed, 1);
    return 0;
}

void calls_disarm(void) { atomic_store(&shared->armed, 0); }
long calls_count(void) { return atomic_load(&shared->count); }
long calls_failed(void) { return atomic_load(&shared->failed); }

/* Once, before anything is forked: where records are kept from the next arming on. */
int calls_keep(size_t size)
{
    shared->log = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    shared->log_size = shared->log == MAP_FAILED ? 0 : size;
    return shared->log_size ? 0 : -1;
}

const char *calls_log(size_t *used)
{
    *used = shared->log_used;
    return shared->log;
}

/* Everything here goes to the kernel directly: the functions below are our own. */

static int below_root(const char *path)
{
    return strncmp(path, shared->root, shared->root_size) == 0 && (path[shared->root_size] == '/' || path[shared->root_size] == 0);
}

/* The absolute path behind a descriptor and a name (NULL: the descriptor itself). */
static int whole_path(int directory, const char *name, char *path, size_t size)
{
    char link[64];
    ssize_t got;
    if (name && name[0] == '/') {
        snprintf(path, size, "%s", name);
        return 1;
    }
    if (directory == AT_FDCWD)
        snprintf(link, sizeof link, "/proc/self/cwd");
    else
        snprintf(link, sizeof link, "/proc/self/fd/%d", directory);
    got = syscall(SYS_readlink, link, path, size - 1);
    if (got < 0)
        return 0;
    path[got] = 0;
    if (name)
        snprintf(path + got, size - got, "/%s", name);
    return 1;
}

static uint64_t inode_of(int descriptor, const char *path)
{
    struct stat found;
    int saved = errno;
    int bad = path ? fstatat(AT_FDCWD, path, &found, AT_SYMLINK_NOFOLLOW) : fstat(descriptor, &found);
    errno = saved;
    return bad ? 0 : found.st_ino;
}

static void keep(const char *name, long number, const char *path, const char *second, uint64_t inode, int64_t offset, int64_t flags,
                 int made, const void *data, size_t data_size, long result)
{
    struct record record = {0};
    char *at;
    int saved = errno;
    if (!shared->log_size)
        return;
    while (atomic_exchange(&shared->guard, 1))
        ;
    record.name_size = strlen(name) + 1;
    record.paths_size = record.name_size + strlen(path) + 1 + strlen(second) + 1;
    record.data_size = data_size;
    record.size = sizeof record + record.paths_size + data_size;
    record.number = number;
    record.result = result;
    record.code = result < 0 ? saved : 0;
    record.made = made;
    record.inode = inode;
    record.offset = offset;
    record.flags = flags;
    if (shared->log_used + record.size > shared->log_size)
        abort();
    at = shared->log + shared->log_used;
    memcpy(at, &record, sizeof record);
    at += sizeof record;
    at = stpcpy(at, name) + 1;
    at = stpcpy(at, path) + 1;
    at = stpcpy(at, second) + 1;
    memcpy(at, data, data_size);
    shared->log_used += record.size;
    atomic_store(&shared->guard, 0);
    errno = saved;
}

/* One more call: returns its number, 0 when it is none of ours, -1 when it has to fail with errno set. */
static long call(const char *name, int relevant, int descriptor)
{
    char kind[40];
    long number;
    if (!relevant)
        return 0;
    number = atomic_fetch_add(&shared->count, 1) + 1;
    if (shared->target == 0 || number < shared->target)
        return number;
    if (shared->action == KILL && number == shared->target) {
        syscall(SYS_kill, 0, SIGKILL);
        for (;;)
            pause();
    }
    snprintf(kind, sizeof kind, " %s ", name);
    if (!strstr(shared->kinds, kind))
        return number;
    if (shared->action == HANG_UP && !atomic_exchange(&shared->failed, 1)) {
        shutdown(descriptor, SHUT_RDWR); /* the call itself finds the connection gone */
        return number;
    }
    if (shared->action == FAIL_ON || (shared->action == FAIL_ONCE && !atomic_exchange(&shared->failed, 1))) {
        atomic_fetch_add(&shared->failed, shared->action == FAIL_ON);
        errno = shared->code;
        return -1;
    }
    return number;
}

static int armed(void) { return shared && atomic_load(&shared->armed); }

static int is_imap(int descriptor)
{
    struct sockaddr_storage peer;
    socklen_t size = sizeof peer;
    int saved = errno;
    int bad = syscall(SYS_getpeername, descriptor, &peer, &size);
    errno = saved;
    return !bad && (peer.ss_family == AF_INET || peer.ss_family == AF_INET6);
}

/* What is of the test and of no system call: a statement to the catalog (counted), or a mark (not counted). */
void calls_point(const char *name, const char *text)
{
    long number = armed() ? call(name, 1, -1) : 0;
    if (number)
        keep(name, number, text, "", 0, 0, 0, 0, "", 0, 0);
}

void calls_mark(const char *text)
{
    if (armed())
        keep("mark", 0, text, "", 0, 0, 0, 0, "", 0, 0);
}

#define REAL(name) \
    static __typeof__(name) *real; \
    if (!real) \
        real = (__typeof__(name) *)dlsym(RTLD_NEXT, #name)

/* Calls on an open file. ours: 1 a file below the root, 2 a connection, 0 none of ours. */
static int ours(int descriptor, char *path, size_t size)
{
    int saved = errno;
    int kind = 0;
    path[0] = 0;
    if (armed()) {
        if (whole_path(descriptor, NULL, path, size) && below_root(path))
            kind = 1;
        else if (strncmp(path, "socket:", 7) == 0 && is_imap(descriptor))
            kind = 2;
    }
    errno = saved;
    return kind;
}

#define ON_FILE(name, arguments, offset, data, data_size) \
    char path[1200]; \
    REAL(name); \
    int kind = ours(descriptor, path, sizeof path); \
    long number = call(kind == 2 ? "imap" : #name, kind, descriptor); \
    if (number < 0) \
        return -1; \
    __typeof__(real arguments) result = real arguments; \
    if (number) \
        keep(#name, number, path, "", kind == 1 ? inode_of(descriptor, NULL) : 0, offset, 0, 0, data, \
             (kind == 1 && result > 0) ? (size_t)(data_size) : 0, result); \
    return result

static int64_t position(int descriptor, ssize_t written) { return syscall(SYS_lseek, descriptor, 0, SEEK_CUR) - written; }

ssize_t write(int descriptor, const void *data, size_t size)
{
    ON_FILE(write, (descriptor, data, size), kind == 1 ? position(descriptor, result) : 0, data, result);
}

#define PWRITE(name, type) \
    ssize_t name(int descriptor, const void *data, size_t size, type offset) \
    { \
        char path[1200]; \
        REAL(name); \
        int kind = ours(descriptor, path, sizeof path); \
        long number = call("pwrite64", kind, descriptor); \
        if (number < 0) \
            return -1; \
        ssize_t result = real(descriptor, data, size, offset); \
        if (number) \
            keep("pwrite64", number, path, "", inode_of(descriptor, NULL), offset, 0, 0, data, result > 0 ? result : 0, result); \
        return result; \
    }
PWRITE(pwrite, off_t)
PWRITE(pwrite64, off64_t)

/* The kernel's name of both is sendto. */
ssize_t sendto(int descriptor, const void *data, size_t size, int flags, const struct sockaddr *to, socklen_t to_size)
{
    ON_FILE(sendto, (descriptor, data, size, flags, to, to_size), 0, data, 0);
}

ssize_t send(int descriptor, const void *data, size_t size, int flags) { return sendto(descriptor, data, size, flags, NULL, 0); }

int fsync(int descriptor) { ON_FILE(fsync, (descriptor), 0, "", 0); }
int fdatasync(int descriptor) { ON_FILE(fdatasync, (descriptor), 0, "", 0); }
int syncfs(int descriptor) { ON_FILE(syncfs, (descriptor), 0, "", 0); }
int fchmod(int descriptor, mode_t mode) { ON_FILE(fchmod, (descriptor, mode), mode, "", 0); }
int fchown(int descriptor, uid_t owner, gid_t group) { ON_FILE(fchown, (descriptor, owner, group), 0, "", 0); }

#define FTRUNCATE(name, type) \
    int name(int descriptor, type length) \
    { \
        char path[1200]; \
        REAL(name); \
        int kind = ours(descriptor, path, sizeof path); \
        long number = call("ftruncate", kind, descriptor); \
        if (number < 0) \
            return -1; \
        int result = real(descriptor, length); \
        if (number) \
            keep("ftruncate", number, path, "", inode_of(descriptor, NULL), length, 0, 0, "", 0, result); \
        return result; \
    }
FTRUNCATE(ftruncate, off_t)
FTRUNCATE(ftruncate64, off64_t)

/* The kernel's name is utimensat. */
int futimens(int descriptor, const struct timespec times[2])
{
    char path[1200];
    REAL(futimens);
    int kind = ours(descriptor, path, sizeof path);
    long number = call("utimensat", kind, descriptor);
    if (number < 0)
        return -1;
    int result = real(descriptor, times);
    if (number)
        keep("utimensat", number, path, "", inode_of(descriptor, NULL), times ? times[1].tv_sec : 0, 0, 0, "", 0, result);
    return result;
}

/* Calls that make a file or open it for that */

#ifndef O_TMPFILE
#error "this is for Linux"
#endif

static int makes(int flags) { return (flags & O_CREAT) || (flags & O_TRUNC) || (flags & O_TMPFILE) == O_TMPFILE; }

#define OPEN(name, parameters, directory, arguments) \
    int name parameters \
    { \
        char path[1200]; \
        mode_t mode = 0; \
        struct stat found; \
        long number = 0; \
        int made = 0; \
        REAL(name); \
        if (makes(flags)) { \
            va_list more; \
            va_start(more, flags); \
            mode = va_arg(more, mode_t); \
            va_end(more); \
            if (armed() && whole_path(directory, file, path, sizeof path) && below_root(path)) { \
                int saved = errno; \
                made = (flags & O_TMPFILE) == O_TMPFILE || fstatat(AT_FDCWD, path, &found, 0) != 0; \
                errno = saved; \
                number = call("openat", 1, -1); \
                if (number < 0) \
                    return -1; \
            } \
        } \
        int result = real arguments; \
        if (number) \
            keep("openat", number, path, "", result < 0 ? 0 : inode_of(result, NULL), mode, flags, made && result >= 0, "", 0, result); \
        return result; \
    }
OPEN(open, (const char *file, int flags, ...), AT_FDCWD, (file, flags, mode))
OPEN(open64, (const char *file, int flags, ...), AT_FDCWD, (file, flags, mode))
OPEN(openat, (int directory, const char *file, int flags, ...), directory, (directory, file, flags, mode))
OPEN(openat64, (int directory, const char *file, int flags, ...), directory, (directory, file, flags, mode))

/* Calls on names. The inode is that of the file that has the name afterwards (or had it, where it loses it). */

static int named(int directory, const char *file, char *path, size_t size)
{
    int saved = errno;
    int relevant = armed() && whole_path(directory, file, path, size) && below_root(path);
    errno = saved;
    return relevant;
}

#define ON_NAME(name, kernel, parameters, directory, arguments, flagged) \
    int name parameters \
    { \
        char path[1200]; \
        REAL(name); \
        int relevant = named(directory, file, path, sizeof path); \
        uint64_t inode = relevant ? inode_of(-1, path) : 0; \
        long number = call(kernel, relevant, -1); \
        if (number < 0) \
            return -1; \
        int result = real arguments; \
        if (number) \
            keep(kernel, number, path, "", inode ? inode : inode_of(-1, path), 0, flagged, 0, "", 0, result); \
        return result; \
    }
ON_NAME(mkdir, "mkdir", (const char *file, mode_t mode), AT_FDCWD, (file, mode), mode)
ON_NAME(mkdirat, "mkdirat", (int directory, const char *file, mode_t mode), directory, (directory, file, mode), mode)
ON_NAME(rmdir, "rmdir", (const char *file), AT_FDCWD, (file), 0)
ON_NAME(unlink, "unlink", (const char *file), AT_FDCWD, (file), 0)
ON_NAME(unlinkat, "unlinkat", (int directory, const char *file, int flags), directory, (directory, file, flags), flags)
ON_NAME(chmod, "chmod", (const char *file, mode_t mode), AT_FDCWD, (file, mode), mode)
ON_NAME(chown, "chown", (const char *file, uid_t owner, gid_t group), AT_FDCWD, (file, owner, group), 0)
ON_NAME(utimensat, "utimensat", (int directory, const char *file, const struct timespec times[2], int flags), directory,
        (directory, file, times, flags), times ? times[1].tv_sec : 0)

#define ON_TWO(name, parameters, from_directory, to_directory, arguments) \
    int name parameters \
    { \
        char path[1200], second[1200]; \
        REAL(name); \
        int relevant = named(from_directory, from, path, sizeof path) && named(to_directory, to, second, sizeof second); \
        uint64_t inode = relevant ? inode_of(-1, path) : 0; \
        long number = call(#name, relevant, -1); \
        if (number < 0) \
            return -1; \
        int result = real arguments; \
        if (number) \
            keep(#name, number, path, second, inode, 0, 0, 0, "", 0, result); \
        return result; \
    }
ON_TWO(rename, (const char *from, const char *to), AT_FDCWD, AT_FDCWD, (from, to))
ON_TWO(renameat, (int one, const char *from, int other, const char *to), one, other, (one, from, other, to))
ON_TWO(link, (const char *from, const char *to), AT_FDCWD, AT_FDCWD, (from, to))
ON_TWO(linkat, (int one, const char *from, int other, const char *to, int flags), one, other, (one, from, other, to, flags))
