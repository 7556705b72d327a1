/* SPDX-License-Identifier: MIT */
#include "protocol/guards.h"

#include <stdlib.h>

#define CAPACITY_MIN 4u

struct rd_guards *rd_guards_create(struct rd_slice store)
{
    struct rd_guards *guards = store.len <= sizeof guards->store ? calloc(1, sizeof *guards) : NULL;
    if (guards == NULL)
        return NULL;
    guards->refs = 1;
    guards->store_len = store.len;
    if (store.len != 0)
        memcpy(guards->store, store.data, store.len);
    return guards;
}

struct rd_guards *rd_guards_ref(struct rd_guards *guards)
{
    guards->refs++;
    return guards;
}

void rd_guards_unref(struct rd_guards *guards)
{
    if (guards == NULL || --guards->refs != 0)
        return;
    for (size_t i = 0; i < guards->count; i++)
        free((void *)(uintptr_t)guards->list[i].key.data);
    free(guards->list);
    free(guards);
}

bool rd_guards_add(struct rd_guards *guards, struct rd_slice key)
{
    if (guards->count == guards->capacity) {
        size_t capacity = guards->capacity == 0 ? CAPACITY_MIN : guards->capacity * 2;
        struct rd_guard *list = realloc(guards->list, capacity * sizeof *list);
        if (list == NULL)
            return false;
        guards->list = list;
        guards->capacity = capacity;
    }
    uint8_t *copy = malloc(key.len + 1); /* an empty key is not NULL */
    if (copy == NULL)
        return false;
    if (key.len != 0)
        memcpy(copy, key.data, key.len);
    guards->list[guards->count++] = (struct rd_guard){.key = rd_slice(copy, key.len)};
    guards->len += key.len;
    return true;
}

bool rd_guards_hold_without_keys(const struct rd_guards *guards)
{
    for (size_t i = 0; guards != NULL && i < guards->count; i++)
        if (!guards->list[i].known || guards->list[i].condition.kind != RD_MESSAGE_IF_ABSENT)
            return false;
    return true;
}
