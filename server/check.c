/* SPDX-License-Identifier: MIT */
#include "server/check.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "server/listener.h"
#include "server/tls.h"
#include "server/tokens.h"

/* The folder that a path lies in. */
static void parent_of(const char *path, char ret_parent[RD_CONFIG_PATH_SIZE])
{
    snprintf(ret_parent, RD_CONFIG_PATH_SIZE, "%s", path);
    size_t len = strlen(ret_parent);
    while (len > 1 && ret_parent[len - 1] == '/')
        len--;
    while (len > 0 && ret_parent[len - 1] != '/')
        len--;
    while (len > 1 && ret_parent[len - 1] == '/')
        len--;
    if (len == 0)
        ret_parent[len++] = '.';
    ret_parent[len] = '\0';
}

static enum rd_status check_folder(const char *path, const char *what, struct rd_error *ret_error)
{
    struct stat stat_now;
    if (stat(path, &stat_now) != 0)
        return rd_error_set(ret_error, RD_IO_ERROR, errno, "%s: %.150s", what, path);
    if (!S_ISDIR(stat_now.st_mode))
        return rd_error_set(ret_error, RD_IO_ERROR, ENOTDIR, "%s: %.150s", what, path);
    if (access(path, R_OK | W_OK | X_OK) != 0)
        return rd_error_set(ret_error, RD_IO_ERROR, errno, "%s: %.150s", what, path);
    return RD_OK;
}

/* A data folder that is missing is made at the start. */
static enum rd_status check_data_dir(const struct rd_config *config, struct rd_error *ret_error)
{
    char parent[RD_CONFIG_PATH_SIZE];
    if (access(config->data_dir, F_OK) == 0 || errno != ENOENT)
        return check_folder(config->data_dir, "data_dir", ret_error);
    parent_of(config->data_dir, parent);
    return check_folder(parent, "data_dir: it is to be made in", ret_error);
}

static enum rd_status check_place(const char *path, const char *what, struct rd_error *ret_error)
{
    char parent[RD_CONFIG_PATH_SIZE];
    if (path[0] == '\0')
        return RD_OK;
    parent_of(path, parent);
    return check_folder(parent, what, ret_error);
}

static enum rd_status check_unix(const struct rd_config *config, struct rd_error *ret_error)
{
    return check_place(config->unix_path, "unix: its folder", ret_error);
}

static enum rd_status check_port_file(const struct rd_config *config, struct rd_error *ret_error)
{
    return check_place(config->port_file, "port_file: its folder", ret_error);
}

static enum rd_status check_tokens(const struct rd_config *config, struct rd_error *ret_error)
{
    struct rd_tokens *tokens = NULL;
    if (config->tokens[0] == '\0')
        return RD_OK;
    enum rd_status status = rd_tokens_load(config->tokens, &tokens, ret_error);
    rd_tokens_unref(tokens);
    return status;
}

static enum rd_status check_tls(const struct rd_config *config, struct rd_error *ret_error)
{
    struct rd_tls *tls = NULL;
    enum rd_status status =
        config->tls_cert[0] == '\0' ? RD_OK : rd_tls_create(config->tls_cert, config->tls_key, &tls, ret_error);
    rd_tls_destroy(tls);
    return status;
}

enum rd_status rd_check_refuse_exposed(const char *address, struct rd_error *ret_error)
{
    return rd_error_set(
        ret_error, RD_FORBIDDEN, 0,
        "%.60s is reached from beyond this machine, and nobody is asked for a token: say who may do "
        "what (--tokens FILE), listen on 127.0.0.1, or take the risk (--insecure)",
        address);
}

/* A socket that the service manager hands over, in place of one of these, is seen by the start alone. */
static enum rd_status check_exposure(const struct rd_config *config, struct rd_error *ret_error)
{
    const struct rd_address *addresses[] = {&config->listen, &config->http, &config->redis};
    char text[sizeof addresses[0]->host + sizeof addresses[0]->port + 3];
    if (config->tokens[0] != '\0' || config->insecure)
        return RD_OK;
    for (size_t i = 0; i < sizeof addresses / sizeof addresses[0]; i++)
        if (rd_address_is_exposed(addresses[i])) {
            bool v6 = strchr(addresses[i]->host, ':') != NULL;
            snprintf(text, sizeof text, v6 ? "[%s]:%s" : "%s:%s", addresses[i]->host, addresses[i]->port);
            return rd_check_refuse_exposed(text, ret_error);
        }
    return RD_OK;
}

static enum rd_status (*const checks[])(const struct rd_config *config, struct rd_error *ret_error) = {
    check_data_dir, check_unix, check_port_file, check_tokens, check_tls, check_exposure,
};

enum rd_status rd_check_config(const struct rd_config *config, struct rd_error *ret_error)
{
    enum rd_status status = RD_OK;
    for (size_t i = 0; i < sizeof checks / sizeof checks[0] && status == RD_OK; i++)
        status = checks[i](config, ret_error);
    return status;
}
