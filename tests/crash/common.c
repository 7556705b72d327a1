/* SPDX-License-Identifier: MIT */
#include "tests/crash/common.h"

#include <dirent.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

uint64_t random_next(struct random *random)
{
    uint64_t mixed = random->state += UINT64_C(0x9e3779b97f4a7c15);
    mixed = (mixed ^ mixed >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    mixed = (mixed ^ mixed >> 27) * UINT64_C(0x94d049bb133111eb);
    return mixed ^ mixed >> 31;
}

uint64_t random_below(struct random *random, uint64_t bound)
{
    return random_next(random) % bound;
}

bool random_one_in(struct random *random, uint64_t times)
{
    return random_below(random, times) == 0;
}

void random_fill(struct random *random, uint8_t *to, size_t len)
{
    for (size_t i = 0; i < len; i += 8) {
        uint64_t word = random_next(random);
        memcpy(to + i, &word, len - i < 8 ? len - i : 8);
    }
}

struct random random_of(uint64_t seed, uint64_t stream)
{
    struct random random = {.state = seed ^ (stream + 1) * UINT64_C(0xd1342543de82ef95)};
    random.state = random_next(&random);
    return random;
}

uint64_t random_seed(void)
{
    const char *given = getenv("RD_TEST_SEED");
    return given == NULL ? (uint64_t)time(NULL) : strtoull(given, NULL, 10);
}

static char place[256];

void die_names(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(place, sizeof place, format, args);
    va_end(args);
}

void die(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    fprintf(stderr, "%s", place);
    vfprintf(stderr, format, args);
    va_end(args);
    fputc('\n', stderr);
    abort();
}

static void on_alarm(int number)
{
    static const char text[] = "it hangs\n";
    (void)number;
    if (write(STDERR_FILENO, place, strlen(place)) < 0 || write(STDERR_FILENO, text, sizeof text - 1) < 0)
        _exit(4);
    _exit(3);
}

void die_unless_within(unsigned seconds)
{
    struct sigaction action = {.sa_handler = on_alarm};
    sigaction(SIGALRM, &action, NULL);
    alarm(seconds);
}

void *allocate(size_t count, size_t size)
{
    void *items = calloc(count == 0 ? 1 : count, size);
    if (items == NULL)
        die("no memory for %zu times %zu bytes", count, size);
    return items;
}

void *grow(void *items, size_t count, size_t *capacity, size_t size)
{
    if (count < *capacity)
        return items;
    *capacity = *capacity == 0 ? 16 : 2 * *capacity;
    items = realloc(items, *capacity * size);
    if (items == NULL)
        die("no memory for %zu times %zu bytes", *capacity, size);
    return items;
}

char *scratch_create(void)
{
    const char *parent = getenv("TMPDIR");
    if (parent == NULL)
        parent = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";
    char *folder = NULL;
    if (asprintf(&folder, "%s/rdrive-crash-XXXXXX", parent) < 0 || mkdtemp(folder) == NULL)
        die("cannot make a folder in %s", parent);
    return folder;
}

void scratch_clear(const char *folder)
{
    DIR *dir = opendir(folder);
    if (dir == NULL)
        die("cannot list %s", folder);
    for (struct dirent *entry; (entry = readdir(dir)) != NULL;)
        if (entry->d_name[0] != '.')
            unlinkat(dirfd(dir), entry->d_name, 0);
    closedir(dir);
}

void scratch_remove(char *folder)
{
    scratch_clear(folder);
    rmdir(folder);
    free(folder);
}

double seconds_now(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}
