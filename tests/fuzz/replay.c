/* SPDX-License-Identifier: MIT
 *
 * replay.c - runs a target over files and folders of files, without libFuzzer: `build/bin/fuzz-http [-v] FILE...`.
 * For corpora in every build and compiler, and for a look at a finding; -v names each file before it is run. */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "tests/fuzz/fuzz.h"

static unsigned file_count;
static bool verbose;

static bool run_file(const char *path)
{
    struct rd_buffer bytes;
    char chunk[65536];
    size_t len;
    if (verbose)
        fprintf(stderr, "%s\n", path);
    FILE *file = fopen(path, "rb");
    if (file == NULL) {
        perror(path);
        return false;
    }
    rd_buffer_init(&bytes, 0);
    while ((len = fread(chunk, 1, sizeof chunk, file)) != 0)
        rd_buffer_append(&bytes, chunk, len);
    bool good = !ferror(file) && !bytes.failed;
    fclose(file);
    if (good) {
        uint8_t *copy = fuzz_copy(rd_buffer_slice(&bytes));
        (void)LLVMFuzzerTestOneInput(copy, bytes.len);
        free(copy);
        file_count++;
    } else {
        fprintf(stderr, "%s: cannot be read\n", path);
    }
    rd_buffer_deinit(&bytes);
    return good;
}

static bool run_folder(const char *path)
{
    struct dirent **names;
    int count = scandir(path, &names, NULL, alphasort);
    bool good = count >= 0;
    if (!good)
        perror(path);
    for (int i = 0; i < count; i++) {
        char *inside = NULL;
        if (names[i]->d_name[0] != '.' && asprintf(&inside, "%s/%s", path, names[i]->d_name) > 0) {
            good = run_file(inside) && good;
            free(inside);
        }
        free(names[i]);
    }
    if (count >= 0)
        free(names);
    return good;
}

int main(int argc, char **argv)
{
    bool good = true;
    verbose = argc > 1 && strcmp(argv[1], "-v") == 0;
    for (int i = verbose ? 2 : 1; i < argc; i++) {
        struct stat found;
        bool is_folder = stat(argv[i], &found) == 0 && S_ISDIR(found.st_mode);
        good = (is_folder ? run_folder(argv[i]) : run_file(argv[i])) && good;
    }
    if (file_count == 0) {
        fprintf(stderr, "usage: %s [-v] FILE|FOLDER..., and there must be a file\n", argv[0]);
        return 2;
    }
    printf("%s: %u files\n", argv[0], file_count);
    return good ? 0 : 1;
}
