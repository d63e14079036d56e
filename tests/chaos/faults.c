/* Loaded into a node (LD_PRELOAD): lets its syncs fail and its wall clock run wrong, as the file that CHAOS_FAULTS names says.
 *
 * | bytes | what                                                        |
 * |-------|-------------------------------------------------------------|
 * | 0..8  | nanoseconds that the wall clock is ahead, signed            |
 * | 8..12 | how many of the next syncs fail with EIO, which are counted |
 *
 * A failed sync writes nothing: what the page cache held stays there, and is lost with the next power cut. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

struct faults {
    _Atomic int64_t ahead;
    _Atomic int32_t failing_syncs;
};

static struct faults none;
static struct faults *faults = &none;
static int (*real_fsync)(int);
static int (*real_fdatasync)(int);
static int (*real_clock_gettime)(clockid_t, struct timespec *);

__attribute__((constructor)) static void load(void) {
    real_fsync = dlsym(RTLD_NEXT, "fsync");
    real_fdatasync = dlsym(RTLD_NEXT, "fdatasync");
    real_clock_gettime = dlsym(RTLD_NEXT, "clock_gettime");
    const char *path = getenv("CHAOS_FAULTS");
    int file = path ? open(path, O_RDWR | O_CLOEXEC) : -1;
    if (file < 0) return;
    void *mapped = mmap(NULL, sizeof(struct faults), PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    if (mapped != MAP_FAILED) faults = mapped;
    close(file);
}

static int fails(void) {
    int32_t left = atomic_load(&faults->failing_syncs);
    while (left > 0)
        if (atomic_compare_exchange_weak(&faults->failing_syncs, &left, left - 1)) {
            errno = EIO;
            return 1;
        }
    return 0;
}

int fsync(int file) { return fails() ? -1 : real_fsync(file); }

int fdatasync(int file) { return fails() ? -1 : real_fdatasync(file); }

int clock_gettime(clockid_t clock, struct timespec *now) {
    int result = real_clock_gettime(clock, now);
    int64_t ahead = atomic_load_explicit(&faults->ahead, memory_order_relaxed);
    if (result == 0 && ahead != 0 && clock == CLOCK_REALTIME) {
        int64_t nanoseconds = now->tv_nsec + ahead % 1000000000;
        now->tv_sec += ahead / 1000000000 + (nanoseconds >= 1000000000) - (nanoseconds < 0);
        now->tv_nsec = (nanoseconds + 1000000000) % 1000000000;
    }
    return result;
}
