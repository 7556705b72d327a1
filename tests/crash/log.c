/* SPDX-License-Identifier: MIT */
#include "tests/crash/log.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/crash/common.h"

void log_init(struct log *log, const struct image *base)
{
    *log = (struct log){.base = base};
    rd_buffer_init(&log->data, 0);
    for (size_t i = 0; i < base->count; i++)
        log_name(log, base->files[i].name);
    log->inode_count = log->name_count;
}

void log_init_from(struct log *log, const struct log *from, size_t count)
{
    *log = *from;
    log->events = allocate(count, sizeof *log->events);
    if (count != 0)
        memcpy(log->events, from->events, count * sizeof *log->events);
    log->count = count;
    log->capacity = count == 0 ? 1 : count;
    rd_buffer_init(&log->data, 0);
    rd_buffer_append_slice(&log->data, rd_buffer_slice(&from->data));
}

void log_deinit(struct log *log)
{
    free(log->events);
    rd_buffer_deinit(&log->data);
}

uint32_t log_name(struct log *log, const char *name)
{
    for (uint32_t i = 0; i < log->name_count; i++)
        if (strcmp(log->names[i], name) == 0)
            return i;
    if (log->name_count == NAMES_MAX || strlen(name) >= NAME_LEN)
        die("too many names in one folder, or a long one: %s", name);
    snprintf(log->names[log->name_count], NAME_LEN, "%s", name);
    return log->name_count++;
}

void log_add(struct log *log, struct event event)
{
    log->events = grow(log->events, log->count, &log->capacity, sizeof *log->events);
    log->events[log->count++] = event;
}

void log_add_write(struct log *log, uint32_t inode, uint64_t offset, struct rd_slice bytes)
{
    log_add(
        log,
        (struct event){
            .kind = EVENT_WRITE, .inode = inode, .offset = offset, .len = bytes.len, .data_at = log->data.len});
    rd_buffer_append_slice(&log->data, bytes);
    if (log->data.failed)
        die("no memory for the log");
}

void log_names_at(const struct log *log, size_t count, uint32_t ret_leads_to[NAMES_MAX])
{
    for (uint32_t i = 0; i < NAMES_MAX; i++)
        ret_leads_to[i] = i < log->base->count ? i : NO_INODE;
    for (size_t i = 0; i < count; i++) {
        const struct event *event = &log->events[i];
        if (event->kind == EVENT_CREATE)
            ret_leads_to[event->name] = event->inode;
        if (event->kind == EVENT_RENAME)
            ret_leads_to[event->to_name] = event->inode;
        if (event->kind == EVENT_RENAME || event->kind == EVENT_UNLINK)
            ret_leads_to[event->name] = NO_INODE;
    }
}

static const char *name_of_inode(const struct log *log, size_t index, uint32_t inode)
{
    uint32_t leads_to[NAMES_MAX];
    log_names_at(log, index, leads_to);
    for (uint32_t i = 0; i < log->name_count; i++)
        if (leads_to[i] == inode)
            return log->names[i];
    return "a file without a name";
}

void log_describe(const struct log *log, size_t index, char *ret_text, size_t text_len_max)
{
    static const char *const words[] = {
        [EVENT_CREATE] = "create", [EVENT_RENAME] = "rename",
        [EVENT_UNLINK] = "unlink", [EVENT_WRITE] = "write",
        [EVENT_RESIZE] = "resize", [EVENT_SYNC] = "sync",
        [EVENT_NOTE] = "note",     [EVENT_SYNC_FOLDER] = "sync the folder",
    };
    if (index >= log->count) {
        snprintf(ret_text, text_len_max, "the end");
        return;
    }
    const struct event *event = &log->events[index];
    const char *name = "";
    if (event->kind == EVENT_CREATE || event->kind == EVENT_RENAME || event->kind == EVENT_UNLINK)
        name = log->names[event->name];
    else if (event->kind != EVENT_NOTE && event->kind != EVENT_SYNC_FOLDER)
        name = name_of_inode(log, index, event->inode);
    snprintf(ret_text, text_len_max, "%s %s, offset %llu, %zu bytes", words[event->kind], name,
             (unsigned long long)event->offset, event->len);
}

const struct image_file *image_find(const struct image *image, const char *name)
{
    for (size_t i = 0; i < image->count; i++)
        if (strcmp(image->files[i].name, name) == 0)
            return &image->files[i];
    return NULL;
}

void image_deinit(struct image *image)
{
    for (size_t i = 0; i < image->count; i++)
        free(image->files[i].data);
    free(image->files);
    *image = (struct image){.count = 0};
}
