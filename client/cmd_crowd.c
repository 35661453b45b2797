/*
 * Copyright (C) ngx-voice contributors
 *
 * Many clients of the main gateway at once: how soon they are told of what
 * happens, and whether each of them is told everything.
 */


#include "commands.h"
#include "crowd.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>


#define VC_CROWD_MAX       200000
#define VC_CROWD_FDS       64


static bool vc_crowd_check(const vc_crowd_options_t *o);
static bool vc_crowd_descriptors(const vc_crowd_options_t *o);
static int vc_crowd_report(const vc_crowd_t *crowd);
static void vc_crowd_json(const vc_crowd_t *crowd);
static void vc_crowd_text(const vc_crowd_t *crowd);


static const char  vc_crowd_notes[] =
    "Guild i is GUILD + i, its voice channel CHANNEL + i; client k is user "
    "USER + k and\na member of guild k modulo G.  All connect; then, with "
    "--joins, each asks for the\nchannel of its guild; then, with --changes, "
    "the first one of each guild is muted\nand unmuted by REST.\n\n"
    "Statistics (--json: one object on one line):\n"
    "  clients connected       those asked for, those who have their guild\n"
    "  joins answered          wishes to join, and voice servers named for "
    "them\n"
    "  join_ms                 from wish to voice server: p50, p99, max\n"
    "  told_expected told      of joins, once for each client of the guild\n"
    "  changes refused         requests of REST, and those not answered by "
    "200\n"
    "  seen_expected seen      of changes, once for each client of the guild\n"
    "  seen_ms                 from the start of the request to each client:\n"
    "                          p50, p99, max\n"
    "  resumes                 connections lost and resumed\n\n"
    "Succeeds if all is answered and everybody was told everything once.";


int
vc_cmd_crowd(int argc, char **argv)
{
    int                 code;
    vc_parse_t          rc;
    vc_crowd_t          crowd;
    vc_crowd_options_t  o;

    const vc_option_t  options[] = {
        { "gateway", VC_OPT_TEXT, &o.conn.url, "URL", "main gateway: "
          "wss://HOST[:PORT]/gateway, or ws://", 0, 0 },
        VC_OPTION_CA(&o.conn),
        VC_OPTION_INSECURE(&o.conn),
        VC_OPTION_KEY(&o.conn),
        { "guild", VC_OPT_ID, &o.conn.guild, "ID", "the first guild", 0, 0 },
        { "channel", VC_OPT_ID, &o.conn.channel, "ID", "its voice channel",
          0, 0 },
        { "user", VC_OPT_ID, &o.conn.user, "ID", "the first user, default "
          "1000000", 0, 0 },
        { "clients", VC_OPT_NUMBER, &o.clients, "C", "in all, default 100",
          1, VC_CROWD_MAX },
        { "guilds", VC_OPT_NUMBER, &o.guilds, "G", "default 1", 1,
          VC_CROWD_MAX },
        { "ramp", VC_OPT_NUMBER, &o.ramp, "N", "connections a second, default "
          "500", 1, 100000 },
        { "joins", VC_OPT_NUMBER, &o.joins, "N", "wishes to join a second, "
          "default: nobody joins", 1, 100000 },
        { "api", VC_OPT_TEXT, &o.api, "URL", "of REST, for --changes: "
          "https://HOST[:PORT]/api", 0, 0 },
        { "platform-key", VC_OPT_TEXT, &o.platform_key, "FILE", "signs "
          "--changes", 0, 0 },
        { "changes", VC_OPT_NUMBER, &o.changes, "N", "requests of REST a "
          "second", 1, 100000 },
        { "seconds", VC_OPT_TIME, &o.milliseconds, "S", "how long there are "
          "changes, or without\nthem, how long all stay idle; default 10",
          0.1, 86400 },
        { "json", VC_OPT_FLAG, &o.json, NULL, "statistics as one line of "
          "JSON", 0, 0 },
        { "verbose", VC_OPT_FLAG, &o.verbose, NULL, "say on standard error "
          "what happens", 0, 0 }
    };

    const vc_command_t  cmd = {
        VC_CROWD_NAME,
        "Connects many clients to the main gateway, and counts and times what "
        "they are\ntold.",
        vc_crowd_notes, options, sizeof(options) / sizeof(options[0])
    };

    memset(&o, 0, sizeof(o));
    o.conn.user = 1000000;
    o.clients = 100;
    o.guilds = 1;
    o.ramp = 500;
    o.milliseconds = 10000;

    rc = vc_options_parse(&cmd, argc, argv);
    if (rc != VC_PARSE_OK) {
        return rc == VC_PARSE_HELP ? VC_EXIT_OK : VC_EXIT_USAGE;
    }

    if (!vc_crowd_check(&o)) {
        return VC_EXIT_USAGE;
    }

    if (!vc_crowd_descriptors(&o)) {
        return VC_EXIT_FAILED;
    }

    memset(&crowd, 0, sizeof(crowd));
    crowd.options = &o;
    code = VC_EXIT_FAILED;

    if (vc_crowd_run(&crowd)) {
        code = vc_crowd_report(&crowd);
    }

    vc_crowd_free(&crowd);

    return code;
}


static bool
vc_crowd_check(const vc_crowd_options_t *o)
{
    if (o->conn.url == NULL || o->conn.key == NULL || o->conn.guild == 0
        || o->conn.channel == 0)
    {
        vc_complain(VC_CROWD_NAME, "expected --gateway, --key, --guild and "
                    "--channel");
        return false;
    }

    if (o->guilds > o->clients) {
        vc_complain(VC_CROWD_NAME, "--guilds %u: expected at most the number "
                    "of --clients, %u", o->guilds, o->clients);
        return false;
    }

    if (o->changes != 0 && (o->api == NULL || o->platform_key == NULL)) {
        vc_complain(VC_CROWD_NAME, "--changes: expected --api and "
                    "--platform-key with it");
        return false;
    }

    return true;
}


static bool
vc_crowd_descriptors(const vc_crowd_options_t *o)
{
    rlim_t         need;
    struct rlimit  lim;

    need = (rlim_t) o->clients + VC_CROWD_FDS;

    if (getrlimit(RLIMIT_NOFILE, &lim) != 0 || lim.rlim_cur >= need) {
        return true;
    }

    lim.rlim_cur = need < lim.rlim_max ? need : lim.rlim_max;

    if (lim.rlim_cur < need || setrlimit(RLIMIT_NOFILE, &lim) == -1) {
        vc_complain(VC_CROWD_NAME, "%u clients need %ju file descriptors, but "
                    "the hard limit (ulimit -Hn) is %ju", o->clients,
                    (uintmax_t) need, (uintmax_t) lim.rlim_max);
        return false;
    }

    return true;
}


static int
vc_crowd_report(const vc_crowd_t *crowd)
{
    int                         code;
    const vc_crowd_options_t   *o;

    o = crowd->options;
    code = VC_EXIT_OK;

    if (o->json) {
        vc_crowd_json(crowd);

    } else {
        vc_crowd_text(crowd);
    }

    if (crowd->connected != o->clients || crowd->failed != 0) {
        vc_complain(VC_CROWD_NAME, "%u of %u clients connected, %u failed",
                    crowd->connected, o->clients, crowd->failed);
        code = VC_EXIT_FAILED;
    }

    if (crowd->answered != crowd->asked || crowd->told != crowd->told_expected)
    {
        vc_complain(VC_CROWD_NAME, "%u of %u joins answered, told %" PRIu64
                    " times, expected %" PRIu64, crowd->answered, crowd->asked,
                    crowd->told, crowd->told_expected);
        code = VC_EXIT_FAILED;
    }

    if (crowd->refused != 0 || crowd->wrong != 0
        || crowd->seen != crowd->seen_expected)
    {
        vc_complain(VC_CROWD_NAME, "%u of %u changes refused; seen %" PRIu64
                    " times, %" PRIu64 " of them not as asked for, expected %"
                    PRIu64, crowd->refused, crowd->changes,
                    crowd->seen, crowd->wrong, crowd->seen_expected);
        code = VC_EXIT_FAILED;
    }

    return code;
}


static void
vc_crowd_json(const vc_crowd_t *crowd)
{
    char  join[128], seen[128];

    vc_histogram_json(&crowd->join, join, sizeof(join));
    vc_histogram_json(&crowd->change, seen, sizeof(seen));

    printf("{\"clients\":%u,\"connected\":%u,\"joins\":%u,\"answered\":%u,"
           "\"join_ms\":%s,\"told_expected\":%" PRIu64 ",\"told\":%" PRIu64
           ",\"changes\":%u,\"refused\":%u,\"seen_expected\":%" PRIu64
           ",\"seen\":%" PRIu64 ",\"seen_ms\":%s,\"resumes\":%" PRIu64 "}\n",
           crowd->options->clients, crowd->connected, crowd->asked,
           crowd->answered, join, crowd->told_expected, crowd->told,
           crowd->changes, crowd->refused, crowd->seen_expected, crowd->seen,
           seen, vc_crowd_resumes(crowd));
}


static void
vc_crowd_text(const vc_crowd_t *crowd)
{
    char  latency[128];

    printf("clients     %u of %u connected, %" PRIu64 " resumes\n",
           crowd->connected, crowd->options->clients,
           vc_crowd_resumes(crowd));

    if (crowd->asked != 0) {
        vc_histogram_text(&crowd->join, latency, sizeof(latency));
        printf("joins       %u of %u answered, told %" PRIu64 " of %" PRIu64
               " times\n", crowd->answered, crowd->asked, crowd->told,
               crowd->told_expected);
        printf("  after     %s\n", latency);
    }

    if (crowd->changes != 0) {
        vc_histogram_text(&crowd->change, latency, sizeof(latency));
        printf("changes     %u, %u refused, seen %" PRIu64 " of %" PRIu64
               " times\n", crowd->changes, crowd->refused, crowd->seen,
               crowd->seen_expected);
        printf("  after     %s\n", latency);
    }
}
