/* SPDX-License-Identifier: MIT
 *
 * The names by which HTTP may ask for the server.
 */
#include "server/hosts.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

#include <cmocka.h>

static bool have(const struct rd_hosts *hosts, const char *host)
{
    return rd_hosts_have(hosts, rd_slice_of_string(host));
}

static void addresses_and_localhost_are_always_served(void **state)
{
    (void)state;
    static const char *const served[] = {
        "",
        "127.0.0.1",
        "127.0.0.1:7480",
        "127.0.0.1:",
        "0.0.0.0:1",
        "255.255.255.255",
        "[::1]",
        "[::1]:7480",
        "[fe80::1]:80",
        "[::FFFF:10.0.0.1]",
        "[2001:db8::]:",
        "localhost",
        "localhost.",
        "LocalHost:7480",
        "localhost.:7480",
        "my.app.localhost:1",
        "a.localhost.",
    };
    const struct rd_hosts hosts = {.list = ""};
    for (size_t i = 0; i < sizeof served / sizeof served[0]; i++)
        if (!have(&hosts, served[i]))
            fail_msg("not served: %s", served[i]);
}

static void other_names_are_not(void **state)
{
    (void)state;
    static const char *const refused[] = {
        "attacker.example",
        "attacker.example:7480",
        "localhost.attacker.example",
        "notlocalhost",
        ".localhost",
        "127.0.0.1.attacker.example",
        "127.0.0.1.",
        "256.0.0.1",
        "127.0.0",
        "127.0.0.1.5",
        "1.2.3.0004",
        "1..2.3",
        "127.0.0.1a",
        "a127.0.0.1",
        "0x7f.0.0.1",
        ".1.2.3.4",
        "[]",
        "[attacker.example]",
        "[::1].attacker.example",
        "[1.2.3.4]",
        "[::g]",
        "::1",
        "*",
        ",",
        ".",
        "localhost..",
        "localhost:80a",
        "localhos",
    };
    const struct rd_hosts hosts = {.list = "", .own = ""};
    for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++)
        if (have(&hosts, refused[i]))
            fail_msg("served: %s", refused[i]);
}

static void the_list_names_more(void **state)
{
    (void)state;
    struct rd_hosts hosts = {.list = ""};
    assert_true(rd_hosts_set_list(&hosts, "rdrive,Data.Example.org.,x_1-y"));
    assert_true(have(&hosts, "rdrive"));
    assert_true(have(&hosts, "RDRIVE:80"));
    assert_true(have(&hosts, "data.example.org"));
    assert_true(have(&hosts, "data.example.org.:7480"));
    assert_true(have(&hosts, "x_1-y"));
    assert_true(have(&hosts, "localhost"));
    assert_false(have(&hosts, "example.org"));
    assert_false(have(&hosts, "a.rdrive"));
    assert_false(have(&hosts, "rdrive,Data.Example.org"));
    assert_true(rd_hosts_set_list(&hosts, "*"));
    assert_true(have(&hosts, "anything.example:1"));
    assert_true(rd_hosts_set_list(&hosts, ""));
    assert_false(have(&hosts, "rdrive"));
}

static void what_is_no_list(void **state)
{
    (void)state;
    static const char *const bad[] = {",",   "a,", ",a",  "a,,b", "a b", "a, b", "a:80", "[::1]", "*.a",
                                      "a,*", "**", "a/b", ".a",   ".",   "a..",  "a..b", "a,.b"};
    char name[RD_HOSTS_NAME_SIZE + 1];
    char list[RD_HOSTS_LIST_SIZE + 1];
    struct rd_hosts hosts = {.list = "kept"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        if (rd_hosts_set_list(&hosts, bad[i]))
            fail_msg("taken: %s", bad[i]);
    memset(name, 'n', sizeof name);
    name[RD_HOSTS_NAME_SIZE] = '\0';
    assert_false(rd_hosts_set_list(&hosts, name));
    for (size_t i = 0; i < sizeof list; i++)
        list[i] = i % 2 == 0 ? 'n' : ',';
    list[RD_HOSTS_LIST_SIZE] = '\0';
    assert_false(rd_hosts_set_list(&hosts, list)); /* also since it ends in a comma */
    list[RD_HOSTS_LIST_SIZE - 1] = 'n';
    assert_false(rd_hosts_set_list(&hosts, list));
    assert_string_equal(hosts.list, "kept");
    list[RD_HOSTS_LIST_SIZE - 1] = '\0';
    list[RD_HOSTS_LIST_SIZE - 2] = 'n';
    assert_true(rd_hosts_set_list(&hosts, list));
    name[RD_HOSTS_NAME_SIZE - 1] = '\0';
    assert_true(rd_hosts_set_list(&hosts, name));
}

static void the_machines_own_name_is_served(void **state)
{
    (void)state;
    struct rd_hosts hosts = {.list = ""};
    char own[RD_HOSTS_NAME_SIZE];
    assert_int_equal(gethostname(own, sizeof own), 0);
    rd_hosts_learn_own(&hosts);
    assert_string_equal(hosts.own, own);
    snprintf(hosts.own, sizeof hosts.own, "The-Machine");
    assert_true(have(&hosts, "the-machine:7480"));
    assert_true(have(&hosts, "the-machine."));
    assert_false(have(&hosts, "the-machine.attacker.example"));
    hosts.own[0] = '\0';
    assert_false(have(&hosts, "the-machine"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(addresses_and_localhost_are_always_served),
        cmocka_unit_test(other_names_are_not),
        cmocka_unit_test(the_list_names_more),
        cmocka_unit_test(what_is_no_list),
        cmocka_unit_test(the_machines_own_name_is_served),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
