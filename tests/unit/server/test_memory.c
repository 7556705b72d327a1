/* SPDX-License-Identifier: MIT
 *
 * What memory control groups leave to the process, read from folders that look like the kernel's.
 */
#include "server/memory.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "tests/support/golden.h"

/* With the folders above it. */
static void put(const char *root, const char *name, const char *text)
{
    char *path = rd_path(root, name);
    for (char *slash = strchr(path + strlen(root) + 1, '/'); slash != NULL; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        (void)mkdir(path, 0700);
        *slash = '/';
    }
    rd_file_write(path, rd_slice_of_string(text));
    free(path);
}

static void nothing_is_said(void **state)
{
    (void)state;
    char *root = rd_scratch_create();
    assert_true(rd_memory_limit_of_groups(root) == UINT64_MAX);
    put(root, "proc/self/cgroup", "0::/system.slice/rdrived.service\n");
    assert_true(rd_memory_limit_of_groups(root) == UINT64_MAX);
    put(root, "sys/fs/cgroup/system.slice/rdrived.service/memory.max", "max\n");
    assert_true(rd_memory_limit_of_groups(root) == UINT64_MAX);
    put(root, "proc/self/cgroup", "nonsense\n7\n8:x\n::\n\n");
    assert_true(rd_memory_limit_of_groups(root) == UINT64_MAX);
    rd_scratch_remove(root);
}

static void the_least_of_a_path_counts(void **state)
{
    (void)state;
    char *root = rd_scratch_create();
    put(root, "proc/self/cgroup", "0::/system.slice/rdrived.service\n");
    put(root, "sys/fs/cgroup/system.slice/rdrived.service/memory.max", "300000000\n");
    assert_int_equal(rd_memory_limit_of_groups(root), 300000000);
    put(root, "sys/fs/cgroup/system.slice/memory.max", "200000000\n");
    assert_int_equal(rd_memory_limit_of_groups(root), 200000000);
    put(root, "sys/fs/cgroup/system.slice/rdrived.service/memory.high", "100000000\n");
    assert_int_equal(rd_memory_limit_of_groups(root), 100000000);
    put(root, "sys/fs/cgroup/other.slice/memory.max", "1\n");
    assert_int_equal(rd_memory_limit_of_groups(root), 100000000);
    rd_scratch_remove(root);
}

/* Its own group is the topmost that it sees. */
static void in_a_container(void **state)
{
    (void)state;
    char *root = rd_scratch_create();
    put(root, "proc/self/cgroup", "0::/\n");
    put(root, "sys/fs/cgroup/memory.max", "67108864\n");
    assert_int_equal(rd_memory_limit_of_groups(root), 67108864);
    put(root, "proc/self/cgroup", "4:memory:/docker/0123\n1:name=systemd:/docker/0123\n0::/docker/0123\n");
    put(root, "sys/fs/cgroup/memory/memory.limit_in_bytes", "33554432\n");
    assert_int_equal(rd_memory_limit_of_groups(root), 33554432);
    rd_scratch_remove(root);
}

static void version_1(void **state)
{
    (void)state;
    char *root = rd_scratch_create();
    put(root, "proc/self/cgroup", "9:cpu,memory:/a/b\n8:memoryless:/c\n");
    put(root, "sys/fs/cgroup/memory/a/b/memory.limit_in_bytes", "9223372036854771712\n");
    put(root, "sys/fs/cgroup/memory/a/memory.limit_in_bytes", "268435456\n");
    put(root, "sys/fs/cgroup/memory/c/memory.limit_in_bytes", "1\n");
    assert_int_equal(rd_memory_limit_of_groups(root), 268435456);
    rd_scratch_remove(root);
}

static void a_machine_has_memory(void **state)
{
    (void)state;
    assert_in_range(rd_memory_limit(), 1 << 20, UINT64_C(1) << 48);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_is_said),      cmocka_unit_test(the_least_of_a_path_counts),
        cmocka_unit_test(in_a_container),       cmocka_unit_test(version_1),
        cmocka_unit_test(a_machine_has_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
