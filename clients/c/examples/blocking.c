/* SPDX-License-Identifier: MIT
 *
 * blocking.c - the blocking face: values, batches, conditions, and what a failure looks like.
 *
 *     cc blocking.c $(pkg-config --cflags --libs rdrive-client) -o blocking
 *     ./blocking 127.0.0.1:7401
 */
#include <stdio.h>
#include <stdlib.h>

#include <rdrive.h>

static struct rdrive_client *client;

static void check(enum rdrive_status status, const char *what)
{
    if (status == RDRIVE_OK)
        return;
    fprintf(stderr, "%s: %s: %s\n", what, rdrive_status_name(status), rdrive_last_error(client));
    rdrive_client_destroy(client);
    exit(1);
}

static void write_and_read(void)
{
    struct rdrive_written written;
    check(rdrive_write(client, rdrive_key_of_string("greeting"), "hello", 5, NULL, &written), "write");
    printf("stored at %llu\n", (unsigned long long)written.offset);

    struct rdrive_value value;
    check(rdrive_read(client, rdrive_key_of_string("greeting"), &value), "read");
    printf("greeting: %.*s\n", (int)value.len, (const char *)value.data);
    rdrive_value_free(&value);
}

/* Both at once or none. */
static void write_a_batch(void)
{
    const struct rdrive_entry entries[] = {
        {rdrive_key_of_string("red"), "#ff0000", 7},
        {rdrive_key_of_string("green"), "#00ff00", 7},
    };
    check(rdrive_batch_write(client, entries, 2, false, NULL, NULL), "batch write");
    const struct rdrive_key keys[] = {rdrive_key_of_string("red"), rdrive_key_of_string("blue")};
    struct rdrive_values values;
    check(rdrive_batch_read(client, keys, 2, &values), "batch read");
    for (size_t i = 0; i < values.count; i++)
        printf("%s: %.*s\n", (const char *)keys[i].data, (int)values.items[i].len,
               values.items[i].status == RDRIVE_OK ? (const char *)values.items[i].data : "");
    rdrive_values_free(&values);
}

/* Replaces the value only where nobody else has done so since it was read. */
static void change_what_was_read(void)
{
    struct rdrive_value value;
    check(rdrive_read(client, rdrive_key_of_string("greeting"), &value), "read");
    struct rdrive_write_options options = {
        .condition = {.kind = RDRIVE_IF_VERSION, .offset = value.offset, .crc32 = value.crc32}};
    rdrive_value_free(&value);
    check(rdrive_write(client, rdrive_key_of_string("greeting"), "hi", 2, &options, NULL), "change");
    enum rdrive_status status =
        rdrive_write(client, rdrive_key_of_string("greeting"), "too late", 8, &options, NULL);
    printf("a second time: %s\n", rdrive_status_name(status));
}

int main(int argc, char **argv)
{
    struct rdrive_options options = {.server = argc > 1 ? argv[1] : NULL};
    if (rdrive_client_create(&options, &client) != RDRIVE_OK) {
        fprintf(stderr, "%s is not HOST:PORT\n", argv[1]);
        return 2;
    }
    write_and_read();
    write_a_batch();
    change_what_was_read();
    rdrive_client_destroy(client);
    return 0;
}
