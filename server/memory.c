/* SPDX-License-Identifier: MIT */
#include "server/memory.h"

#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static uint64_t lesser(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

/* UINT64_MAX: there is no such file, or no number in it ("max"). */
static uint64_t read_number(const char *path)
{
    char text[32];
    uint64_t number = UINT64_MAX;
    FILE *file = fopen(path, "re");
    if (file == NULL)
        return UINT64_MAX;
    if (fgets(text, sizeof text, file) != NULL && text[0] >= '0' && text[0] <= '9')
        number = strtoull(text, NULL, 10);
    fclose(file);
    return number;
}

/* The least of a group's limits and its ancestors'. A container sees its own group as the topmost one, though its
 * path may be that outside: what is not there is passed over. */
static uint64_t limit_along(const char *mount, const char *group, const char *name)
{
    char path[PATH_MAX];
    uint64_t limit = UINT64_MAX;
    size_t group_len = strcmp(group, "/") == 0 ? 0 : strlen(group);
    for (;;) {
        int len = snprintf(path, sizeof path, "%s%.*s/%s", mount, (int)group_len, group, name);
        if (len > 0 && (size_t)len < sizeof path)
            limit = lesser(limit, read_number(path));
        if (group_len == 0)
            return limit;
        do
            group_len--;
        while (group_len > 0 && group[group_len] != '/');
    }
}

/* Whether a list as "cpu,memory" names memory. */
static bool names_memory(const char *controllers)
{
    static const char memory[] = "memory";
    size_t len = sizeof memory - 1;
    for (const char *at = controllers; at != NULL; at = strchr(at, ',')) {
        at += *at == ',';
        if (strncmp(at, memory, len) == 0 && (at[len] == ',' || at[len] == '\0'))
            return true;
    }
    return false;
}

/* line: of /proc/self/cgroup, "ID:CONTROLLERS:GROUP"; changed on the way. */
static uint64_t limit_of_line(const char *root, char *line)
{
    char mount[PATH_MAX];
    char *controllers = strchr(line, ':');
    char *group = controllers == NULL ? NULL : strchr(controllers + 1, ':');
    if (group == NULL)
        return UINT64_MAX;
    *controllers++ = '\0';
    *group++ = '\0';
    group[strcspn(group, "\n")] = '\0';
    if (names_memory(controllers)) {
        snprintf(mount, sizeof mount, "%s/sys/fs/cgroup/memory", root);
        return limit_along(mount, group, "memory.limit_in_bytes");
    }
    if (controllers[0] != '\0') /* another v1 controller's */
        return UINT64_MAX;
    snprintf(mount, sizeof mount, "%s/sys/fs/cgroup", root);
    return lesser(limit_along(mount, group, "memory.max"), limit_along(mount, group, "memory.high"));
}

uint64_t rd_memory_limit_of_groups(const char *root)
{
    char text[PATH_MAX];
    uint64_t limit = UINT64_MAX;
    snprintf(text, sizeof text, "%s/proc/self/cgroup", root);
    FILE *groups = fopen(text, "re");
    if (groups == NULL)
        return UINT64_MAX;
    while (fgets(text, sizeof text, groups) != NULL)
        limit = lesser(limit, limit_of_line(root, text));
    fclose(groups);
    return limit;
}

uint64_t rd_memory_limit(void)
{
    long pages = sysconf(_SC_PHYS_PAGES);
    long page_len = sysconf(_SC_PAGESIZE);
    uint64_t machine = pages > 0 && page_len > 0 ? (uint64_t)pages * (uint64_t)page_len : UINT64_MAX;
    return lesser(machine, rd_memory_limit_of_groups(""));
}
