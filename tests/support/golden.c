/* SPDX-License-Identifier: MIT */
#include "tests/support/golden.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/endian.h"
#include "base/text.h"

#define GOLDEN "tests/golden"

static void die(const char *what, const char *which)
{
    fprintf(stderr, "test support: %s: %s\n", what, which);
    abort();
}

char *rd_path(const char *folder, const char *name)
{
    char *path = NULL;
    if (asprintf(&path, "%s/%s", folder, name) < 0)
        die("no memory", name);
    return path;
}

char *rd_scratch_create(void)
{
    const char *parent = getenv("TMPDIR");
    char *folder = rd_path(parent == NULL ? "/tmp" : parent, "rdrive-test-XXXXXX");
    if (mkdtemp(folder) == NULL)
        die("cannot make a folder", folder);
    return folder;
}

void rd_scratch_remove(char *folder)
{
    DIR *dir = opendir(folder);
    if (dir == NULL)
        die("cannot list", folder);
    for (struct dirent *entry; (entry = readdir(dir)) != NULL;) {
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        char *path = rd_path(folder, entry->d_name);
        unlink(path);
        free(path);
    }
    closedir(dir);
    rmdir(folder);
    free(folder);
}

struct rd_buffer rd_file_read(const char *path)
{
    struct rd_buffer bytes;
    rd_buffer_init(&bytes, 0);
    FILE *file = fopen(path, "rb");
    if (file == NULL)
        die("cannot open", path);
    size_t got = 1;
    while (got != 0) {
        uint8_t *to = rd_buffer_reserve(&bytes, 65536);
        if (to == NULL)
            die("no memory", path);
        got = fread(to, 1, 65536, file);
        rd_buffer_commit(&bytes, got);
    }
    fclose(file);
    return bytes;
}

void rd_file_write(const char *path, struct rd_slice bytes)
{
    FILE *file = fopen(path, "wb");
    if (file == NULL)
        die("cannot make", path);
    if (bytes.len != 0 && fwrite(bytes.data, 1, bytes.len, file) != bytes.len)
        die("cannot write", path);
    fclose(file);
}

static int is_golden(const struct dirent *entry)
{
    const char *ending = strrchr(entry->d_name, '.');
    return ending != NULL && strcmp(ending, ".json") == 0;
}

char **rd_golden_names(void)
{
    struct dirent **found;
    int count = scandir(GOLDEN, &found, is_golden, alphasort);
    if (count <= 0)
        die("run from the top of the tree; nothing in", GOLDEN);
    char **names = calloc((size_t)count + 1, sizeof *names);
    for (int i = 0; names != NULL && i < count; i++) {
        names[i] = strndup(found[i]->d_name, strlen(found[i]->d_name) - strlen(".json"));
        free(found[i]);
    }
    free(found);
    return names;
}

void rd_golden_names_free(char **names)
{
    for (size_t i = 0; names[i] != NULL; i++)
        free(names[i]);
    free(names);
}

static char *golden_path(const char *name, const char *ending)
{
    char *path = NULL;
    if (asprintf(&path, GOLDEN "/%s%s", name, ending) < 0)
        die("no memory", name);
    return path;
}

json_t *rd_golden_load(const char *name)
{
    char *path = golden_path(name, ".json");
    json_error_t error;
    json_t *root = json_load_file(path, JSON_ALLOW_NUL, &error);
    if (root == NULL)
        die(error.text, path);
    free(path);
    return root;
}

struct rd_buffer rd_golden_file(const char *name)
{
    char *path = golden_path(name, ".bin");
    struct rd_buffer bytes = rd_file_read(path);
    free(path);
    return bytes;
}

struct rd_buffer rd_bytes_of_hex(const char *hex)
{
    struct rd_buffer bytes;
    rd_buffer_init(&bytes, 0);
    struct rd_slice text = rd_slice_of_string(hex);
    uint8_t *to = rd_buffer_reserve(&bytes, text.len / 2 + 1);
    if (to == NULL || !rd_text_hex_decode(text, to))
        die("not hexadecimal", hex);
    rd_buffer_commit(&bytes, text.len / 2);
    return bytes;
}

/* Source: Steele, Lea, Flood, "Fast splittable pseudorandom number generators", 2014; the golden files' own words.
 */
static uint64_t splitmix64(uint64_t *state)
{
    uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

int rd_golden_payload(const json_t *row, struct rd_buffer *ret_payload)
{
    const char *hex = json_string_value(json_object_get(row, "payload_hex"));
    if (hex != NULL) {
        *ret_payload = rd_bytes_of_hex(hex);
        return 1;
    }
    const json_t *generator = json_object_get(row, "splitmix64");
    if (generator == NULL)
        return 0;
    uint64_t state = (uint64_t)json_integer_value(json_object_get(generator, "seed"));
    size_t len = (size_t)json_integer_value(json_object_get(generator, "len"));
    rd_buffer_init(ret_payload, 0);
    while (ret_payload->len < len)
        rd_buffer_append_u64le(ret_payload, splitmix64(&state));
    ret_payload->len = len;
    return 1;
}
