// What a save costs that is nothing but syscalls, its bytes made beforehand, and
// at the end what a load costs.
// `bare` makes those that no durable save with a backup can do without; `promised`
// makes just those of oasis_data's save, in their order: strace one to compare.

#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/xattr.h>
#include <unistd.h>

// The line of the call that failed tells which it was.
#define MUST(call)           \
    do {                     \
        if ((call) < 0)      \
            return __LINE__; \
    } while (0)

#define TEMPORARY ".oasis_data/temp/x.json"
#define LOCK ".oasis_data/locks/x.json.lock"
#define KEPT 10
#define PIECE ((size_t)4 << 20)
#define FIRST_PIECE ((size_t)4 << 10)

static const int WRITE_ANEW = O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC;
static const int READ = O_RDONLY | O_NONBLOCK | O_NOCTTY | O_NOFOLLOW | O_CLOEXEC;
static const int FOLDER = O_RDONLY | O_DIRECTORY | O_CLOEXEC;

int bare(const char *path, const void *text, size_t size) {
    int folder, file;
    MUST(folder = open(path, FOLDER));
    MUST(file = openat(folder, "x.json.new", WRITE_ANEW, 0644));
    MUST(write(file, text, size));
    MUST(fsync(file));
    MUST(close(file));
    if (unlinkat(folder, "x.json.old", 0) < 0 && errno != ENOENT)
        return __LINE__;
    MUST(linkat(folder, "x.json", folder, "x.json.old", 0));
    MUST(renameat(folder, "x.json.new", folder, "x.json"));
    MUST(fsync(folder));
    MUST(close(folder));
    return 0;
}

static int list(int folder, const char *name) {
    static char entries[32768];
    int listed;
    MUST(listed = openat(folder, name, FOLDER | O_NOFOLLOW | O_NOATIME));
    long count;
    do
        MUST(count = syscall(SYS_getdents64, listed, entries, sizeof entries));
    while (count > 0);
    MUST(close(listed));
    return 0;
}

int promised(const char *path, const void *text, size_t size, unsigned turn) {
    static char entries[32768], piece[FIRST_PIECE];
    char link[256], stamp[111], backup[64], oldest[64];
    struct stat stat;
    struct flock waiting = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_len = 2};
    int folder, lock, live, file, failed;
    snprintf(backup, sizeof backup, "x.json.backup.20260101_000000_%06u", turn);
    snprintf(oldest, sizeof oldest, "x.json.backup.20260101_000000_%06u", turn - KEPT);
    // Where the path leads, and nobody else at work there.
    MUST(folder = open(path, FOLDER));
    if (readlinkat(folder, "x.json", link, sizeof link) >= 0)
        return __LINE__;
    MUST(lock = openat(folder, LOCK, O_RDWR | O_NOFOLLOW | O_CLOEXEC));
    MUST(fstat(lock, &stat));
    MUST(fcntl(lock, F_OFD_GETLK, &waiting));
    MUST(flock(lock, LOCK_EX | LOCK_NB));
    MUST(fstatat(folder, LOCK, &stat, AT_SYMLINK_NOFOLLOW));
    // No interrupted batch, and another content.
    if (openat(folder, ".oasis_data/journal", READ) >= 0)
        return __LINE__;
    MUST(fstatat(folder, "x.json", &stat, AT_SYMLINK_NOFOLLOW));
    MUST(live = openat(folder, "x.json", READ));
    MUST(fstat(live, &stat));
    MUST(pread(live, piece, sizeof piece, 0));
    // The sidecar is as open to others as the folder.
    MUST(fstat(folder, &stat));
    MUST(fstatat(folder, ".oasis_data", &stat, AT_SYMLINK_NOFOLLOW));
    fgetxattr(folder, "system.posix_acl_access", link, sizeof link);
    // The new content, with which the disk begins at once.
    MUST(file = openat(folder, TEMPORARY, WRITE_ANEW, 0600));
    MUST(flock(file, LOCK_EX | LOCK_NB));
    for (size_t done = 0; done < size; done += PIECE) {
        size_t left = size - done < PIECE ? size - done : PIECE;
        MUST(write(file, (const char *)text + done, left));
        MUST(sync_file_range(file, done, left, SYNC_FILE_RANGE_WRITE));
    }
    // No leftover of a dead writer; the old file's attributes; the backups that there are.
    if ((failed = list(folder, ".oasis_data/temp")))
        return failed;
    MUST(fstat(file, &stat));
    MUST(flistxattr(live, link, sizeof link));
    fgetxattr(file, "system.posix_acl_access", link, sizeof link);
    MUST(fchmod(file, 0644));
    MUST(pread(lock, stamp, sizeof stamp, 0));
    MUST(fstat(folder, &stat));
    MUST(lseek(folder, 0, SEEK_SET));
    MUST(fcntl(folder, F_SETFL, O_NOATIME));
    while (syscall(SYS_getdents64, folder, entries, sizeof entries) > 0)
        ;
    MUST(fstat(file, &stat));
    MUST(fsync(file));
    // The backup: a link, which nobody may write into.
    MUST(fcntl(live, F_SETSIG, SIGURG));
    MUST(fcntl(live, F_SETLEASE, F_RDLCK));
    MUST(fstatat(folder, "x.json", &stat, AT_SYMLINK_NOFOLLOW));
    MUST(linkat(folder, "x.json", folder, backup, 0));
    MUST(renameat(folder, TEMPORARY, folder, "x.json"));
    MUST(close(file));
    MUST(fcntl(live, F_GETLEASE));
    MUST(fcntl(live, F_SETLEASE, F_UNLCK));
    // The content is on the disk, for the next save, which need not wait for the name.
    MUST(fstatat(folder, "x.json", &stat, AT_SYMLINK_NOFOLLOW));
    MUST(pwrite(lock, stamp, sizeof stamp, 0));
    MUST(close(live));
    MUST(flock(lock, LOCK_UN));
    MUST(fcntl(lock, F_OFD_GETLK, &waiting));
    MUST(fsync(folder));
    MUST(fstat(folder, &stat));
    MUST(fstatat(folder, "x.json", &stat, AT_SYMLINK_NOFOLLOW));
    MUST(pwrite(lock, stamp, sizeof stamp, 0));
    if (turn > KEPT)
        MUST(unlinkat(folder, oldest, 0));
    MUST(close(folder));
    MUST(close(lock));
    return 0;
}

// Those of a load that the cache does not answer, which closes its file later.
int load(const char *path, const char *journal, void *text, size_t size) {
    struct stat found;
    int file;
    MUST(stat(path, &found));
    MUST(file = open(path, READ));
    MUST(fstat(file, &found));
    MUST(read(file, text, size));
    MUST(fstat(file, &found));
    if (access(journal, F_OK) == 0)
        return __LINE__;
    MUST(close(file));
    return 0;
}
