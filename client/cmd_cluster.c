/*
 * Copyright (C) ngx-voice contributors
 */


#include "cluster.h"
#include "commands.h"
#include "options.h"

#include <stdio.h>
#include <string.h>


#define VC_CLUSTER_CONF    "/etc/ngx-voice/agent.json"
#define VC_CLUSTER_ORDER   600000       /* ms */
#define VC_CLUSTER_ARGS    2


typedef struct {
    const char  *what;
    const char  *args;                  /* "", "NODE", "GUILD NODE" or
                                           "on|off|auto" */
    bool         zone;                  /* enough: no configuration needed */
    int        (*run)(const vc_cluster_t *cl);
} vc_cluster_command_t;


static const vc_cluster_command_t  vc_cluster_commands[] = {
    { "nodes", "", true, vc_cluster_nodes },
    { "guilds", "", true, vc_cluster_guilds },
    { "watch", "", true, vc_cluster_watch },
    { "orders", "", false, vc_cluster_orders },
    { "evict", "NODE", false, vc_cluster_order },
    { "drain", "NODE", false, vc_cluster_order },
    { "allow", "NODE", false, vc_cluster_allow },
    { "move", "GUILD NODE", false, vc_cluster_move },
    { "hold", "on|off|auto", false, vc_cluster_hold }
};

#define VC_CLUSTER_COMMANDS                                                   \
    (sizeof(vc_cluster_commands) / sizeof(vc_cluster_commands[0]))


/* The words before the first option. */

static bool
vc_cluster_args(vc_cluster_t *cl, const vc_cluster_command_t *cmd,
    const char *const *arg, size_t n)
{
    size_t  expected;

    expected = cmd->args[0] == '\0' ? 0 : strchr(cmd->args, ' ') ? 2 : 1;

    if (n != expected) {
        vc_complain("cluster", "expected \"cluster %s%s%s\"", cmd->what,
                    expected ? " " : "", cmd->args);
        return false;
    }

    if (expected == 2 && !vc_parse_id(arg[0], &cl->guild)) {
        vc_complain("cluster move", "\"%s\" is no guild id", arg[0]);
        return false;
    }

    if (strcmp(cmd->what, "hold") == 0) {
        cl->mode = arg[0];

        if (strcmp(cl->mode, "on") != 0 && strcmp(cl->mode, "off") != 0
            && strcmp(cl->mode, "auto") != 0)
        {
            vc_complain("cluster hold", "\"%s\" is not on, off or auto",
                        cl->mode);
            return false;
        }

    } else if (expected != 0) {
        cl->node = arg[expected - 1];

        if (!agent_name_valid(cl->node)) {
            vc_complain("cluster", "\"%s\" is no name of a node", cl->node);
            return false;
        }
    }

    return true;
}


static bool
vc_cluster_conf(vc_cluster_t *cl, const vc_cluster_command_t *cmd,
    const char *file, const char *zone)
{
    char  error[AGENT_ERROR_MAX];

    if (!cmd->zone || zone == NULL) {
        if (!agent_conf_read(&cl->conf, file, error)) {
            vc_complain("cluster", "%s", error);
            return false;
        }
    }

    if (zone != NULL) {
        snprintf(cl->conf.zone, sizeof(cl->conf.zone), "%s", zone);
    }

    return true;
}


static const vc_cluster_command_t *
vc_cluster_find(const char *what)
{
    size_t  i;

    for (i = 0; i < VC_CLUSTER_COMMANDS; i++) {
        if (strcmp(vc_cluster_commands[i].what, what) == 0) {
            return &vc_cluster_commands[i];
        }
    }

    vc_complain("cluster", "expected nodes, guilds, watch, orders, evict, "
                "drain, allow, move or hold, found \"%s\"", what);
    return NULL;
}


int
vc_cmd_cluster(int argc, char **argv)
{
    size_t                       n;
    uint64_t                     none = UINT64_MAX;
    const char                  *file, *zone, *arg[VC_CLUSTER_ARGS];
    vc_parse_t                   rc;
    vc_cluster_t                 cl;
    const vc_cluster_command_t  *cmd;

    const vc_option_t  options[] = {
        { "config", VC_OPT_TEXT, &file, "FILE", "the agent's, default "
          VC_CLUSTER_CONF, 0, 0 },
        { "zone", VC_OPT_TEXT, &zone, "FILE", "the cluster zone, default the "
          "agent's", 0, 0 },
        { "for", VC_OPT_TIME, &cl.length, "TIME", "evict, drain, hold: until "
          "the order ends, default 10m but for drain", 1, 604800 },
        { "after", VC_OPT_TIME, &cl.after, "TIME", "drain: until guilds move "
          "away, default 30m", 0, 86400 },
        { "why", VC_OPT_TEXT, &cl.why, "TEXT", "evict, drain, hold: the "
          "reason, for others to read", 0, 0 },
        { "wait", VC_OPT_FLAG, &cl.wait, NULL, "drain: until nobody is left",
          0, 0 },
        { "count", VC_OPT_NUMBER, &cl.count, "N", "watch: end after so many "
          "changes", 1, 1e9 },
        { "json", VC_OPT_FLAG, &cl.json, NULL, "JSON, on one line", 0, 0 }
    };

    const vc_command_t  command = {
        "cluster nodes|guilds|watch|orders|evict|drain|allow|move|hold",
        "Shows what the nodes of a region know of each other, and gives them "
        "orders.",
        "nodes, guilds and watch read the cluster zone of this machine; the "
        "others ask\netcd, as the agent does.\n\n"
        "  evict NODE       all guilds leave it now: it is under attack\n"
        "  drain NODE       once it is its turn it gets no new guilds; later "
        "those it has\n                   leave, small ones first\n"
        "  allow NODE       takes either back\n"
        "  move GUILD NODE  one guild, while people talk\n"
        "  hold off         nodes that vanished together are dead: their "
        "guilds move now\n"
        "  hold on          nodes that vanish are not taken for dead, "
        "however few they are\n"
        "  hold auto        takes either back\n",
        options, sizeof(options) / sizeof(options[0])
    };

    memset(&cl, 0, sizeof(cl));
    cl.length = none;
    cl.after = 1800000;
    cl.why = "";
    file = VC_CLUSTER_CONF;
    zone = NULL;

    if (argc > 0 && argv[0][0] == '-') {
        rc = vc_options_parse(&command, argc, argv);
        return rc == VC_PARSE_HELP ? VC_EXIT_OK : VC_EXIT_USAGE;
    }

    cmd = vc_cluster_find(argc > 0 ? argv[0] : "");

    if (cmd == NULL) {
        return VC_EXIT_USAGE;
    }

    cl.what = cmd->what;
    argc--;
    argv++;

    for (n = 0; argc > 0 && argv[0][0] != '-'; argc--, argv++) {
        if (n < VC_CLUSTER_ARGS) {
            arg[n] = argv[0];
        }

        n++;
    }

    rc = vc_options_parse(&command, argc, argv);

    if (rc != VC_PARSE_OK) {
        return rc == VC_PARSE_HELP ? VC_EXIT_OK : VC_EXIT_USAGE;
    }

    if (!vc_cluster_args(&cl, cmd, arg, n)) {
        return VC_EXIT_USAGE;
    }

    if (cl.wait && strcmp(cl.what, "drain") != 0) {
        vc_complain("cluster", "--wait is for drain");
        return VC_EXIT_USAGE;
    }

    if (cl.length == none) {
        cl.length = strcmp(cl.what, "drain") == 0 ? 0 : VC_CLUSTER_ORDER;
    }

    if (!vc_cluster_conf(&cl, cmd, file, zone)) {
        return VC_EXIT_FAILED;
    }

    return cmd->run(&cl);
}
