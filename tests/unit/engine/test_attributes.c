/* SPDX-License-Identifier: MIT
 *
 * What a store's file has beside its bytes, over a compaction: permissions, ACLs, extended attributes.
 */
#include <errno.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "base/endian.h"
#include "tests/unit/engine/fixture.h"

#define ACL         "system.posix_acl_access"
#define ACL_DEFAULT "system.posix_acl_default"
#define SOMEBODY    54321u

/* The kernel's form: a version, and entries of a tag, permissions and an id. */
enum { ACL_OWNER = 1, ACL_USER = 2, ACL_GROUP = 4, ACL_MASK = 16, ACL_OTHERS = 32 };
#define ACL_LEN (4u + 5u * 8u)

static void put_acl_entry(uint8_t **at, unsigned tag, unsigned permissions, uint32_t id)
{
    rd_store_u16le(*at, (uint16_t)tag);
    rd_store_u16le(*at + 2, (uint16_t)permissions);
    rd_store_u32le(*at + 4, id);
    *at += 8;
}

/* Somebody may read and write, the file's group nothing: the permissions that a file shows for its group are the
 * mask's. */
static void make_acl(uint8_t acl[ACL_LEN])
{
    uint8_t *at = acl + 4;
    rd_store_u32le(acl, 2);
    put_acl_entry(&at, ACL_OWNER, 6, UINT32_MAX);
    put_acl_entry(&at, ACL_USER, 6, SOMEBODY);
    put_acl_entry(&at, ACL_GROUP, 0, UINT32_MAX);
    put_acl_entry(&at, ACL_MASK, 6, UINT32_MAX);
    put_acl_entry(&at, ACL_OTHERS, 0, UINT32_MAX);
}

/* False: not on this file system. */
static bool set_attribute(const char *path, const char *name, const void *value, size_t len)
{
    if (setxattr(path, name, value, len, 0) == 0)
        return true;
    if (errno != EOPNOTSUPP && errno != EPERM)
        fail_msg("%s: %s: %s", path, name, strerror(errno));
    print_message("    %s cannot be tried here: %s\n", name, strerror(errno));
    return false;
}

static void expect_attribute(const char *path, const char *name, const void *value, size_t len)
{
    uint8_t found[4096];
    ssize_t found_len = getxattr(path, name, found, sizeof found);
    if (found_len < 0)
        fail_msg("%s: %s", name, strerror(errno));
    assert_int_equal(found_len, len);
    assert_memory_equal(found, value, len);
}

static void expect_no_attribute(const char *path, const char *name)
{
    if (getxattr(path, name, NULL, 0) >= 0)
        fail_msg("%s is there", name);
}

static void expect_mode(const char *path, mode_t mode)
{
    struct stat found;
    assert_int_equal(stat(path, &found), 0);
    assert_int_equal(found.st_mode & 0777, mode);
}

/* With something to be compacted. */
static struct rd_store *open_at(const struct place *place, const struct rd_io *io)
{
    struct rd_store *store = store_open_with(
        place->path, (struct rd_store_options){.create = true, .durability = RD_DURABILITY_NONE, .io = io});
    put_text(store, "key", "old");
    put_text(store, "key", "new");
    return store;
}

static ino_t inode_of(const char *path)
{
    struct stat found;
    assert_int_equal(stat(path, &found), 0);
    return found.st_ino;
}

static void compact(const struct place *place, struct rd_store *store, enum rd_status expected)
{
    ino_t before = inode_of(place->path);
    mode_t mask = umask(0077);
    assert_int_equal(rd_store_compact(store, NULL, NULL), expected);
    umask(mask);
    assert_true((inode_of(place->path) != before) == (expected == RD_OK));
    expect_text(store, "key", "new");
    char *leftover = rd_path(place->folder, "store.rdr.compact");
    assert_int_equal(access(leftover, F_OK), -1);
    free(leftover);
}

/* ---- what stays --------------------------------------------------------------------------------------------- */

static void attributes_stay(void **state)
{
    (void)state;
    struct place place = place_create();
    struct rd_store *store = open_at(&place, NULL);
    char long_value[2000];
    memset(long_value, 'v', sizeof long_value);
    bool user = set_attribute(place.path, "user.note", "somebody's", 10) &&
                set_attribute(place.path, "user.empty", "", 0) &&
                set_attribute(place.path, "user.long", long_value, sizeof long_value);
    bool security = set_attribute(place.path, "security.rdrive-test", "label", 5);
    bool trusted = set_attribute(place.path, "trusted.rdrive-test", "the file system's", 17);
    for (int round = 0; round < 2; round++) {
        put_text(store, "key", "new");
        compact(&place, store, RD_OK);
        if (user) {
            expect_attribute(place.path, "user.note", "somebody's", 10);
            expect_attribute(place.path, "user.empty", "", 0);
            expect_attribute(place.path, "user.long", long_value, sizeof long_value);
        }
        if (security)
            expect_attribute(place.path, "security.rdrive-test", "label", 5);
        if (trusted) /* of a file below an overlay, a brick: of that file alone */
            expect_no_attribute(place.path, "trusted.rdrive-test");
    }
    rd_store_close(store);
    place_remove(&place);
}

static void an_acl_stays(void **state)
{
    (void)state;
    struct place place = place_create();
    struct rd_store *store = open_at(&place, NULL);
    uint8_t acl[ACL_LEN];
    make_acl(acl);
    assert_int_equal(chmod(place.path, 0600), 0);
    if (set_attribute(place.path, ACL, acl, sizeof acl)) {
        expect_mode(place.path, 0660);
        compact(&place, store, RD_OK);
        expect_attribute(place.path, ACL, acl, sizeof acl);
        expect_mode(place.path, 0660);
    }
    rd_store_close(store);
    place_remove(&place);
}

/* What a folder gives to new files was not given to the old one. */
static void what_the_folder_gives_is_not_taken(void **state)
{
    (void)state;
    struct place place = place_create();
    struct rd_store *store = open_at(&place, NULL);
    uint8_t acl[ACL_LEN];
    make_acl(acl);
    assert_int_equal(chmod(place.path, 0664), 0);
    if (set_attribute(place.folder, ACL_DEFAULT, acl, sizeof acl)) {
        compact(&place, store, RD_OK);
        expect_no_attribute(place.path, ACL);
        expect_mode(place.path, 0664);
    }
    rd_store_close(store);
    place_remove(&place);
}

/* ---- what cannot be set ------------------------------------------------------------------------------------- */

enum faulty { LISTS, GETS, SETS, REMOVES };

/* One call that does not do, on attributes whose names begin so. */
struct refusing {
    struct rd_io io;
    enum faulty call;
    const char *beginning; /* borrows */
    int number;            /* errno */
    unsigned count;        /* of calls that were refused */
};

static bool refuses(struct refusing *refusing, enum faulty call, const char *name)
{
    if (refusing->call != call || strncmp(name, refusing->beginning, strlen(refusing->beginning)) != 0)
        return false;
    refusing->count++;
    errno = refusing->number;
    return true;
}

static ssize_t list_refusing(void *self, int fd, char *to, size_t len)
{
    return refuses(self, LISTS, "") ? -1 : rd_io_system.flistxattr(NULL, fd, to, len);
}

static ssize_t get_refusing(void *self, int fd, const char *name, void *to, size_t len)
{
    return refuses(self, GETS, name) ? -1 : rd_io_system.fgetxattr(NULL, fd, name, to, len);
}

static int set_refusing(void *self, int fd, const char *name, const void *value, size_t len)
{
    return refuses(self, SETS, name) ? -1 : rd_io_system.fsetxattr(NULL, fd, name, value, len);
}

static int remove_refusing(void *self, int fd, const char *name)
{
    return refuses(self, REMOVES, name) ? -1 : rd_io_system.fremovexattr(NULL, fd, name);
}

struct refusal {
    enum faulty call;
    const char *beginning;
    int number;
    bool has_acl; /* the old file */
    enum rd_status status;
    mode_t mode; /* of what is there then */
};

static void try_refusal(const struct refusal *refusal)
{
    struct place place = place_create();
    uint8_t acl[ACL_LEN];
    make_acl(acl);
    struct refusing refusing = {
        .io = rd_io_system, .call = refusal->call, .beginning = refusal->beginning, .number = refusal->number};
    refusing.io.self = &refusing;
    refusing.io.flistxattr = list_refusing;
    refusing.io.fgetxattr = get_refusing;
    refusing.io.fsetxattr = set_refusing;
    refusing.io.fremovexattr = remove_refusing;
    struct rd_store *store = open_at(&place, &refusing.io);
    assert_int_equal(chmod(place.path, 0660), 0);
    bool tried = set_attribute(place.path, "user.note", "somebody's", 10) &&
                 (!refusal->has_acl || set_attribute(place.path, ACL, acl, sizeof acl));
    if (tried) {
        print_message("    %d of '%s': %s\n", (int)refusal->call, refusal->beginning, strerror(refusal->number));
        compact(&place, store, refusal->status);
        assert_true(refusing.count != 0);
        expect_mode(place.path, refusal->mode);
        bool keeps_acl = refusal->has_acl && refusal->mode == 0660;
        if (keeps_acl)
            expect_attribute(place.path, ACL, acl, sizeof acl);
        else
            expect_no_attribute(place.path, ACL);
    }
    rd_store_close(store);
    place_remove(&place);
}

/* Nobody comes to more than before: by an ACL that is not there the group would. */
static void what_cannot_be_set(void **state)
{
    (void)state;
    static const struct refusal refusals[] = {
        {LISTS, "", EOPNOTSUPP, true, RD_OK, 0660},         {LISTS, "", EIO, true, RD_IO_ERROR, 0660},
        {GETS, "user.", ENODATA, true, RD_OK, 0660},        {GETS, "user.", EIO, false, RD_IO_ERROR, 0660},
        {GETS, "system.", EOPNOTSUPP, false, RD_OK, 0660},  {GETS, "system.", EIO, true, RD_IO_ERROR, 0660},
        {SETS, "user.", EPERM, true, RD_OK, 0660},          {SETS, "user.", EOPNOTSUPP, false, RD_OK, 0660},
        {SETS, "user.", ENOSPC, true, RD_NO_SPACE, 0660},   {SETS, "user.", EDQUOT, false, RD_NO_SPACE, 0660},
        {SETS, "system.", EPERM, true, RD_OK, 0600},        {SETS, "system.", EOPNOTSUPP, true, RD_OK, 0600},
        {SETS, "system.", ENOSPC, true, RD_NO_SPACE, 0660}, {REMOVES, "system.", EPERM, false, RD_OK, 0600},
        {REMOVES, "system.", ENODATA, false, RD_OK, 0660},  {REMOVES, "system.", EIO, false, RD_IO_ERROR, 0660},
    };
    for (size_t i = 0; i < sizeof refusals / sizeof refusals[0]; i++)
        try_refusal(&refusals[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(attributes_stay),
        cmocka_unit_test(an_acl_stays),
        cmocka_unit_test(what_the_folder_gives_is_not_taken),
        cmocka_unit_test(what_cannot_be_set),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
