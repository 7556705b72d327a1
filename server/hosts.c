/* SPDX-License-Identifier: MIT */
#include "server/hosts.h"

#include <string.h>
#include <unistd.h>

/* ---- the list --------------------------------------------------------------------------------------------- */

static bool is_label_byte(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
}

/* Of the name at the beginning of the text: labels, a dot behind each but the last, which may have one. 0: none.
 */
static size_t name_len(const char *text)
{
    size_t len = 0;
    while (is_label_byte(text[len])) {
        while (is_label_byte(text[len]))
            len++;
        len += text[len] == '.';
    }
    return len;
}

static bool is_list(const char *list)
{
    if (list[0] == '\0' || strcmp(list, "*") == 0)
        return true;
    for (const char *at = list;; at++) {
        size_t len = name_len(at);
        at += len;
        if (len == 0 || len >= RD_HOSTS_NAME_SIZE || (*at != ',' && *at != '\0'))
            return false;
        if (*at == '\0')
            return true;
    }
}

bool rd_hosts_set_list(struct rd_hosts *hosts, const char *list)
{
    size_t len = strlen(list);
    if (len >= sizeof hosts->list || !is_list(list))
        return false;
    memcpy(hosts->list, list, len + 1);
    return true;
}

void rd_hosts_learn_own(struct rd_hosts *hosts)
{
    if (gethostname(hosts->own, sizeof hosts->own) != 0)
        hosts->own[0] = '\0';
    hosts->own[sizeof hosts->own - 1] = '\0';
}

/* ---- a header --------------------------------------------------------------------------------------------- */

/* Four numbers below 256, and perhaps a port. No top-level domain is a number, and to browsers a name that ends in
 * one is none. */
static bool is_ipv4(struct rd_slice host)
{
    unsigned number = 0;
    unsigned digits = 0;
    unsigned dots = 0;
    for (size_t i = 0; i < host.len && host.data[i] != ':'; i++) {
        unsigned digit = (unsigned)host.data[i] - '0';
        if (digit <= 9) {
            number = number * 10 + digit;
            if (++digits > 3 || number > 255)
                return false;
        } else {
            if (host.data[i] != '.' || digits == 0)
                return false;
            dots++;
            number = digits = 0;
        }
    }
    return dots == 3 && digits != 0;
}

/* Brackets hold an IPv6 address and nothing else; a name has none. */
static bool is_ipv6(struct rd_slice text)
{
    bool has_colon = false;
    if (text.len < 4 || text.data[0] != '[' || text.data[text.len - 1] != ']')
        return false;
    for (size_t i = 1; i < text.len - 1; i++) {
        uint8_t c = text.data[i];
        bool hex = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
        has_colon |= c == ':';
        if (!hex && c != ':' && c != '.')
            return false;
    }
    return has_colon;
}

static struct rd_slice without_port(struct rd_slice host)
{
    size_t at = host.len;
    while (at != 0 && host.data[at - 1] >= '0' && host.data[at - 1] <= '9')
        at--;
    return at != 0 && host.data[at - 1] == ':' ? rd_slice(host.data, at - 1) : host;
}

static struct rd_slice without_dot(struct rd_slice name)
{
    bool rooted = name.len > 1 && name.data[name.len - 1] == '.';
    return rooted ? rd_slice(name.data, name.len - 1) : name;
}

static bool is_localhost(struct rd_slice name)
{
    static const char below[] = ".localhost";
    size_t len = sizeof below - 1;
    if (name.len > len)
        return rd_slice_equal_ignoring_case(rd_slice(name.data + name.len - len, len), rd_slice_of_string(below));
    return rd_slice_equal_ignoring_case(name, rd_slice_of_string(below + 1));
}

static bool is_listed(const char *list, struct rd_slice name)
{
    if (strcmp(list, "*") == 0)
        return true;
    while (*list != '\0') {
        size_t len = strcspn(list, ",");
        if (rd_slice_equal_ignoring_case(without_dot(rd_slice(list, len)), name))
            return true;
        list += len + (list[len] == ',');
    }
    return false;
}

/* What nearly all requests to a loopback address say: every request pays for what comes before. */
static bool is_loopback(struct rd_slice host)
{
    static const char address[] = "127.0.0.1";
    const size_t len = sizeof address - 1;
    return host.len >= len && memcmp(host.data, address, len) == 0 && (host.len == len || host.data[len] == ':');
}

bool rd_hosts_have(const struct rd_hosts *hosts, struct rd_slice host)
{
    if (is_loopback(host) || is_ipv4(host))
        return true;
    struct rd_slice bare = without_port(host);
    if (bare.len == 0 || is_ipv6(bare))
        return true;
    struct rd_slice name = without_dot(bare);
    return is_localhost(name) || rd_slice_equal_ignoring_case(name, without_dot(rd_slice_of_string(hosts->own))) ||
           is_listed(hosts->list, name);
}
