/*
 * Copyright (C) ngx-voice contributors
 */


#include "options.h"

#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>


#define VC_HELP_COLUMN   26


static void vc_options_help(const vc_command_t *cmd);
static bool vc_option_set(const vc_command_t *cmd, const vc_option_t *opt,
    const char *value);
static bool vc_option_real(const vc_option_t *opt, const char *value,
    double *out);


void
vc_complain(const char *name, const char *fmt, ...)
{
    va_list  args;

    fprintf(stderr, "voicectl %s: ", name);

    va_start(args, fmt);
    vfprintf(stderr, fmt, args);
    va_end(args);

    fputc('\n', stderr);
}


bool
vc_parse_id(const char *text, uint64_t *id)
{
    char                *end;
    unsigned long long   v;

    /* strtoull alone would take "-1" and " 7" */
    if (!isdigit((unsigned char) text[0])) {
        return false;
    }

    errno = 0;
    v = strtoull(text, &end, 10);

    if (errno != 0 || *end != '\0' || v == 0) {
        return false;
    }

    *id = v;
    return true;
}


bool
vc_parse_time(const char *text, uint64_t *ms)
{
    char    *end;
    size_t   i;
    double   v;

    static const struct {
        const char  *unit;
        double       ms;
    } units[] = {
        { "", 1000 }, { "ms", 1 }, { "s", 1000 }, { "m", 60000 },
        { "h", 3600000 }, { "d", 86400000 }
    };

    if (!isdigit((unsigned char) text[0])) {
        return false;
    }

    v = strtod(text, &end);

    for (i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
        if (strcmp(end, units[i].unit) == 0 && v * units[i].ms < 1e15) {
            *ms = (uint64_t) (v * units[i].ms + 0.5);
            return true;
        }
    }

    return false;
}


vc_parse_t
vc_options_parse(const vc_command_t *cmd, int argc, char **argv)
{
    int          i;
    size_t       k, len;
    const char  *name, *value;

    for (i = 0; i < argc; i++) {
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) {
            vc_options_help(cmd);
            return VC_PARSE_HELP;
        }

        if (strncmp(argv[i], "--", 2) != 0 || argv[i][2] == '\0') {
            vc_complain(cmd->name, "\"%s\": expected an option that begins "
                        "with --", argv[i]);
            return VC_PARSE_ERROR;
        }

        name = argv[i] + 2;
        value = strchr(name, '=');
        len = value != NULL ? (size_t) (value - name) : strlen(name);

        for (k = 0; k < cmd->n; k++) {
            if (strlen(cmd->options[k].name) == len
                && strncmp(cmd->options[k].name, name, len) == 0)
            {
                break;
            }
        }

        if (k == cmd->n) {
            vc_complain(cmd->name, "unknown option \"--%.*s\", see "
                        "\"voicectl %s --help\"", (int) len, name, cmd->name);
            return VC_PARSE_ERROR;
        }

        if (cmd->options[k].kind == VC_OPT_FLAG) {
            if (value != NULL) {
                vc_complain(cmd->name, "--%.*s takes no value, found \"%s\"",
                            (int) len, name, value + 1);
                return VC_PARSE_ERROR;
            }

        } else if (value != NULL) {
            value++;

        } else if (++i < argc) {
            value = argv[i];

        } else {
            vc_complain(cmd->name, "--%s needs a value: %s", name,
                        cmd->options[k].arg);
            return VC_PARSE_ERROR;
        }

        if (!vc_option_set(cmd, &cmd->options[k], value)) {
            return VC_PARSE_ERROR;
        }
    }

    return VC_PARSE_OK;
}


static bool
vc_option_set(const vc_command_t *cmd, const vc_option_t *opt,
    const char *value)
{
    double     real;
    uint64_t   u64;
    vc_ids_t  *ids;

    switch (opt->kind) {

    case VC_OPT_FLAG:
        *(bool *) opt->target = true;
        return true;

    case VC_OPT_TEXT:
        if (value[0] == '\0') {
            vc_complain(cmd->name, "--%s is empty: expected %s", opt->name,
                        opt->arg);
            return false;
        }

        *(const char **) opt->target = value;
        return true;

    case VC_OPT_ID:
    case VC_OPT_IDS:
        if (!vc_parse_id(value, &u64)) {
            vc_complain(cmd->name, "--%s \"%s\": expected an id, a number "
                        "from 1 to 18446744073709551615", opt->name, value);
            return false;
        }

        if (opt->kind == VC_OPT_ID) {
            *(uint64_t *) opt->target = u64;
            return true;
        }

        ids = opt->target;

        if (ids->n == VC_IDS_MAX) {
            vc_complain(cmd->name, "--%s %s: expected at most %d of them",
                        opt->name, value, VC_IDS_MAX);
            return false;
        }

        ids->id[ids->n++] = u64;
        return true;

    case VC_OPT_TIME:
        if (!vc_parse_time(value, &u64) || (double) u64 < opt->min * 1000
            || (double) u64 > opt->max * 1000)
        {
            vc_complain(cmd->name, "--%s \"%s\": expected a time from %.10g to "
                        "%.10g seconds, such as 90s, 1500ms, 5m or 2h",
                        opt->name, value, opt->min, opt->max);
            return false;
        }

        *(uint64_t *) opt->target = u64;
        return true;

    case VC_OPT_NUMBER:
    case VC_OPT_REAL:
        if (!vc_option_real(opt, value, &real)) {
            vc_complain(cmd->name, "--%s \"%s\": expected a%s number from %.9g "
                        "to %.9g", opt->name, value,
                        opt->kind == VC_OPT_NUMBER ? " whole" : "", opt->min,
                        opt->max);
            return false;
        }

        if (opt->kind == VC_OPT_NUMBER) {
            *(uint32_t *) opt->target = (uint32_t) real;

        } else {
            *(double *) opt->target = real;
        }

        return true;
    }

    return false;
}


static bool
vc_option_real(const vc_option_t *opt, const char *value, double *out)
{
    char    *end;
    double   v;

    if (!isdigit((unsigned char) value[0])) {
        return false;
    }

    v = strtod(value, &end);

    if (*end != '\0' || v < opt->min || v > opt->max) {
        return false;
    }

    if (opt->kind == VC_OPT_NUMBER && v != (double) (uint32_t) v) {
        return false;
    }

    *out = v;
    return true;
}


static void
vc_options_help(const vc_command_t *cmd)
{
    int                 width;
    size_t              i;
    const char         *line, *end;
    const vc_option_t  *opt;

    printf("Usage: voicectl %s [options]\n\n%s\n\nOptions:\n", cmd->name,
           cmd->summary);

    for (i = 0; i < cmd->n; i++) {
        opt = &cmd->options[i];

        width = printf("  --%s%s%s", opt->name, opt->arg != NULL ? " " : "",
                       opt->arg != NULL ? opt->arg : "");

        if (width >= VC_HELP_COLUMN) {
            width = 0;
            putchar('\n');
        }

        for (line = opt->help; line != NULL; line = end) {
            end = strchr(line, '\n');
            printf("%*s%.*s\n", VC_HELP_COLUMN - width, "",
                   end != NULL ? (int) (end - line) : (int) strlen(line),
                   line);
            end = end != NULL ? end + 1 : NULL;
            width = 0;
        }
    }

    printf("  --help%*sthis text\n", VC_HELP_COLUMN - 8, "");

    if (cmd->notes != NULL) {
        printf("\n%s\n", cmd->notes);
    }

    printf("\nExit code: 0 what was asked for happened, 1 it did not, "
           "2 bad command line.\n");
}
