/* Preloaded into a process, it shifts the wall clock by WALL_CLOCK_SHIFT seconds and leaves monotonic time alone.

   Waits with a deadline on the wall clock are given to the kernel in true time, so that they take as long as ever. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <linux/futex.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>

#define SECOND 1000000000LL
#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))
#define WALL(id) ((id) == CLOCK_REALTIME || (id) == CLOCK_REALTIME_COARSE)
#define SINCE_2001 1000000000 /* seconds; monotonic time, which condition variables may go by too, stays far below */

static long long shift; /* nanoseconds */
static int (*true_clock)(clockid_t, struct timespec *);

__attribute__((constructor)) static void read_shift(void) {
    const char *text = getenv("WALL_CLOCK_SHIFT");
    shift = text ? (long long)(strtod(text, NULL) * SECOND) : 0;
    true_clock = REAL(clock_gettime);
}

static void move(struct timespec *at, long long by) {
    long long all = at->tv_sec * SECOND + at->tv_nsec + by;
    at->tv_sec = all / SECOND;
    at->tv_nsec = all % SECOND;
}

static const struct timespec *in_true_time(const struct timespec *until, struct timespec *room) {
    if (until == NULL || until->tv_sec < SINCE_2001)
        return until;
    *room = *until;
    move(room, -shift);
    return room;
}

int clock_gettime(clockid_t id, struct timespec *now) {
    if (true_clock == NULL) /* before our constructor has run */
        read_shift();
    int failed = true_clock(id, now);
    if (!failed && WALL(id))
        move(now, shift);
    return failed;
}

time_t time(time_t *result) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (result)
        *result = now.tv_sec;
    return now.tv_sec;
}

int gettimeofday(struct timeval *restrict now, void *restrict zone) {
    (void)zone;
    struct timespec exact;
    clock_gettime(CLOCK_REALTIME, &exact);
    now->tv_sec = exact.tv_sec;
    now->tv_usec = exact.tv_nsec / 1000;
    return 0;
}

int timespec_get(struct timespec *now, int base) {
    return base == TIME_UTC && clock_gettime(CLOCK_REALTIME, now) == 0 ? base : 0;
}

int clock_nanosleep(clockid_t id, int flags, const struct timespec *wanted, struct timespec *left) {
    struct timespec room;
    if (WALL(id) && flags & TIMER_ABSTIME)
        wanted = in_true_time(wanted, &room);
    return REAL(clock_nanosleep)(id, flags, wanted, left);
}

int sem_timedwait(sem_t *restrict semaphore, const struct timespec *restrict until) {
    struct timespec room;
    return REAL(sem_timedwait)(semaphore, in_true_time(until, &room));
}

int pthread_mutex_timedlock(pthread_mutex_t *restrict mutex, const struct timespec *restrict until) {
    struct timespec room;
    return REAL(pthread_mutex_timedlock)(mutex, in_true_time(until, &room));
}

int pthread_cond_timedwait(pthread_cond_t *restrict condition, pthread_mutex_t *restrict mutex,
                           const struct timespec *restrict until) {
    static int (*real)(pthread_cond_t *, pthread_mutex_t *, const struct timespec *);
    struct timespec room;
    if (real == NULL) /* the plain look-up may find the one of glibc 2.2, which knows no clocks */
        real = dlvsym(RTLD_NEXT, "pthread_cond_timedwait", "GLIBC_2.3.2");
    if (real == NULL)
        real = REAL(pthread_cond_timedwait);
    return real(condition, mutex, in_true_time(until, &room));
}

/* gRPC waits by the system call itself. */
long syscall(long number, ...) {
    long a[6];
    struct timespec room;
    va_list rest;
    va_start(rest, number);
    for (int i = 0; i < 6; i++)
        a[i] = va_arg(rest, long);
    va_end(rest);
    if (number == SYS_futex && a[1] & FUTEX_CLOCK_REALTIME)
        a[3] = (long)in_true_time((const struct timespec *)a[3], &room);
    return REAL(syscall)(number, a[0], a[1], a[2], a[3], a[4], a[5]);
}
