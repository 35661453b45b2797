/*
 * Copyright (C) ngx-voice contributors
 *
 * Command line options from a table, and the help text made of the same
 * table.  Options are "--name value" or "--name=value".
 */


#ifndef _VC_OPTIONS_H_INCLUDED_
#define _VC_OPTIONS_H_INCLUDED_


#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>


/* Exit codes of voicectl. */
#define VC_EXIT_OK       0     /* what was asked for happened */
#define VC_EXIT_FAILED   1     /* it did not */
#define VC_EXIT_USAGE    2     /* the command line makes no sense */

#define VC_IDS_MAX       200


typedef enum {
    VC_OPT_FLAG,       /* bool, set to true */
    VC_OPT_TEXT,       /* const char * */
    VC_OPT_ID,         /* uint64_t, 1 ... 2^64 - 1 */
    VC_OPT_IDS,        /* vc_ids_t, may be repeated */
    VC_OPT_NUMBER,     /* uint32_t between min and max */
    VC_OPT_REAL,       /* double between min and max */
    VC_OPT_TIME        /* uint64_t milliseconds: 1500ms, 60s, 5m, 2h, 60 */
} vc_opt_kind_t;


typedef struct {
    uint64_t   id[VC_IDS_MAX];
    size_t     n;
} vc_ids_t;


typedef struct {
    const char     *name;
    vc_opt_kind_t   kind;
    void           *target;
    const char     *arg;      /* how the value is called in the help */
    const char     *help;
    double          min;      /* NUMBER, REAL: as they are; TIME: seconds */
    double          max;
} vc_option_t;


typedef struct {
    const char         *name;       /* "call" */
    const char         *summary;
    const char         *notes;      /* below the options in the help */
    const vc_option_t  *options;
    size_t              n;
} vc_command_t;


typedef enum {
    VC_PARSE_OK,
    VC_PARSE_HELP,     /* --help was asked for and printed */
    VC_PARSE_ERROR     /* printed to stderr */
} vc_parse_t;


vc_parse_t vc_options_parse(const vc_command_t *cmd, int argc, char **argv);

/* "voicectl NAME: TEXT" and a newline to stderr */
void vc_complain(const char *name, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

/* Decimal 1 ... 2^64 - 1, nothing else around it. */
bool vc_parse_id(const char *text, uint64_t *id);

/* "1500ms", "60s", "5m", "2h"; without a unit seconds. */
bool vc_parse_time(const char *text, uint64_t *ms);


#endif /* _VC_OPTIONS_H_INCLUDED_ */
