/*
 * Copyright (C) ngx-voice contributors
 */


#include "commands.h"
#include "interrupt.h"
#include "load.h"
#include "stamp.h"

#include <errno.h>
#include <inttypes.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>


#define VC_LOAD_POLL         (20 * VC_MS)

/* after the last join: messages about the others are still coming */
#define VC_LOAD_SETTLE       (500 * VC_MS)

/* after the last packet was sent: until none came for so long */
#define VC_LOAD_DRAIN_QUIET  (500 * VC_MS)
#define VC_LOAD_DRAIN_MAX    (5 * VC_SEC)

#define VC_LOAD_MEMBERS_MAX  200000
#define VC_LOAD_FDS          64       /* beside two for each participant */


typedef struct {
    vc_load_t        load;
    vc_worker_t     *workers;
    vc_loop_t       *loop;
    vc_interrupt_t   interrupt;
    bool             interrupted;
    uint64_t         phase_at;        /* when the phase began */
} vc_load_run_t;


static bool vc_load_check(vc_load_options_t *o);
static bool vc_load_descriptors(const vc_load_options_t *o);
static int vc_load_start(const vc_load_options_t *o,
    const vc_server_t *server);
static bool vc_load_threads(vc_load_run_t *run);
static void vc_load_conduct(vc_load_run_t *run);
static bool vc_load_next(vc_load_run_t *run, uint64_t now);
static void vc_load_interrupt(void *data);
static int vc_load_report(const vc_load_run_t *run);
static int vc_load_verdict(const vc_load_run_t *run,
    const vc_load_sum_t *all);
static void vc_load_json(const vc_load_options_t *o, const vc_load_sum_t *sum,
    double seconds);
static void vc_load_text(const vc_load_options_t *o, const vc_load_sum_t *sum,
    double seconds);


static const char  vc_load_notes[] =
    "Room i is channel CHANNEL + i; its participants are users USER + i * P "
    "and up.\nThe first T of each room talk, evenly spread over the packet "
    "interval.  Everybody\njoins before the first packet is sent; a second "
    "without packets ends the run.\n\n"
    "Statistics (--json: one object on one line):\n"
    "  participants      who joined\n"
    "  sent expected received lost   expected: each packet by each other "
    "one in\n"
    "                    its room; lost: expected and not received\n"
    "  duplicated reordered undecryptable\n"
    "  latency_ms        p50, p99, max from send to receive\n"
    "  seconds           of talking\n"
    "  handshake_bytes   JSON from Hello to Session Description, mean of a "
    "join\n"
    "  foreign           packets that came from outside of the room\n"
    "  reconnects        websockets lost and resumed\n"
    "  gap_ms            longest time between two packets of a stream at a "
    "receiver\n"
    "  nonces nonces_reused   with --nonces\n"
    "  modes             with --mode mix: the same for receivers of each "
    "mode\n\n"
    "Succeeds if all joined and stayed, and nothing was lost (see "
    "--allow-loss),\nduplicated, undecryptable or foreign.";


int
vc_cmd_load(int argc, char **argv)
{
    int                code;
    vc_parse_t         rc;
    vc_server_t        server;
    vc_load_options_t  o;

    const vc_option_t  options[] = {
        VC_OPTION_URL(&o.conn),
        VC_OPTION_CA(&o.conn),
        VC_OPTION_INSECURE(&o.conn),
        VC_OPTION_KEY(&o.conn),
        { "guild", VC_OPT_ID, &o.conn.guild, "ID", "guild of all rooms", 0,
          0 },
        { "channel", VC_OPT_ID, &o.conn.channel, "ID", "channel of the first "
          "room", 0, 0 },
        { "user", VC_OPT_ID, &o.conn.user, "ID", "the first user, default "
          "1000000", 0, 0 },
        VC_OPTION_VERSION(&o.conn),
        { "mode", VC_OPT_TEXT, &o.conn.mode, "NAME", "encryption mode, or "
          "\"mix\": all that the server\noffers in each room; default: its "
          "first",
          0, 0 },
        { "rooms", VC_OPT_NUMBER, &o.rooms, "R", "default 1", 1, 100000 },
        { "participants", VC_OPT_NUMBER, &o.participants, "P", "of each room, "
          "default 4", 1, 10000 },
        { "talkers", VC_OPT_NUMBER, &o.talkers, "T", "of each room, default "
          "1", 0, 10000 },
        { "pps", VC_OPT_NUMBER, &o.pps, "N", "packets a second of a talker, "
          "default 50", 1, 1000 },
        { "frame", VC_OPT_NUMBER, &o.frame, "BYTES", "Opus packet, default "
          "80", VC_STAMP_PACKET_MIN, VC_STAMP_PACKET_MAX },
        { "seconds", VC_OPT_TIME, &o.milliseconds, "S", "how long they talk, "
          "default 10", 0.1, 86400 },
        { "threads", VC_OPT_NUMBER, &o.threads, "N", "default 1", 1, 64 },
        { "ramp", VC_OPT_NUMBER, &o.ramp, "N", "joins a second, default 200",
          1, 100000 },
        { "allow-loss", VC_OPT_REAL, &o.allow_loss, "PERCENT", "of expected "
          "packets, default 0", 0, 100 },
        { "nonces", VC_OPT_FLAG, &o.nonces, NULL, "keep all nonces that the "
          "server uses, 32 bytes of memory\neach, and look for any that it "
          "uses twice with a key", 0, 0 },
        { "json", VC_OPT_FLAG, &o.json, NULL, "statistics as one line of "
          "JSON", 0, 0 },
        { "verbose", VC_OPT_FLAG, &o.verbose, NULL, "say on standard error "
          "what happens", 0, 0 }
    };

    const vc_command_t  cmd = {
        VC_LOAD_NAME,
        "Fills rooms with participants who talk to each other, and counts "
        "every packet.",
        vc_load_notes, options, sizeof(options) / sizeof(options[0])
    };

    memset(&o, 0, sizeof(o));
    o.conn.version = VOICE_VERSION_SEQ;
    o.conn.user = 1000000;
    o.rooms = 1;
    o.participants = 4;
    o.talkers = 1;
    o.pps = 50;
    o.frame = 80;
    o.threads = 1;
    o.ramp = 200;
    o.milliseconds = 10000;

    rc = vc_options_parse(&cmd, argc, argv);
    if (rc != VC_PARSE_OK) {
        return rc == VC_PARSE_HELP ? VC_EXIT_OK : VC_EXIT_USAGE;
    }

    if (!vc_load_check(&o)) {
        return VC_EXIT_USAGE;
    }

    if (!vc_load_descriptors(&o)
        || !vc_connection_open(VC_LOAD_NAME, &o.conn, &server))
    {
        return VC_EXIT_FAILED;
    }

    code = vc_load_start(&o, &server);
    vc_server_close(&server);

    return code;
}


static bool
vc_load_check(vc_load_options_t *o)
{
    if (o->conn.url == NULL || o->conn.key == NULL || o->conn.guild == 0
        || o->conn.channel == 0)
    {
        vc_complain(VC_LOAD_NAME, "expected --url, --key, --guild and "
                    "--channel");
        return false;
    }

    if (o->talkers > o->participants) {
        vc_complain(VC_LOAD_NAME, "--talkers %u: expected at most the number "
                    "of --participants, %u", o->talkers, o->participants);
        return false;
    }

    if ((uint64_t) o->rooms * o->participants > VC_LOAD_MEMBERS_MAX) {
        vc_complain(VC_LOAD_NAME, "--rooms %u times --participants %u: "
                    "expected at most %d in all", o->rooms, o->participants,
                    VC_LOAD_MEMBERS_MAX);
        return false;
    }

    o->threads = o->threads < o->rooms ? o->threads : o->rooms;

    if (o->conn.mode != NULL && strcmp(o->conn.mode, "mix") == 0) {
        o->mode = VC_MODE_MIX;
        return true;
    }

    return vc_connection_mode(VC_LOAD_NAME, o->conn.mode, &o->mode);
}


static bool
vc_load_descriptors(const vc_load_options_t *o)
{
    rlim_t         need, hard;
    struct rlimit  lim;

    need = (rlim_t) o->rooms * o->participants * 2 + VC_LOAD_FDS;

    if (getrlimit(RLIMIT_NOFILE, &lim) == 0 && lim.rlim_cur < need) {
        hard = lim.rlim_max;
        lim.rlim_cur = need;
        lim.rlim_max = hard > need ? hard : need;

        if (setrlimit(RLIMIT_NOFILE, &lim) == -1) {
            vc_complain(VC_LOAD_NAME, "%u participants need %ju file "
                        "descriptors, but the hard limit (ulimit -Hn) is %ju",
                        o->rooms * o->participants, (uintmax_t) need,
                        (uintmax_t) hard);
            return false;
        }
    }

    return true;
}


static int
vc_load_start(const vc_load_options_t *o, const vc_server_t *server)
{
    int            code;
    uint32_t       i;
    vc_load_run_t  run;

    memset(&run, 0, sizeof(run));
    run.load.options = o;
    run.load.server = server;
    run.load.run = randombytes_random();
    run.load.begin = vc_now();
    run.interrupt.watch.fd = -1;
    code = VC_EXIT_FAILED;

    if (!vc_keys_load(VC_LOAD_NAME, o->conn.key, &run.load.keys)) {
        return VC_EXIT_FAILED;
    }

    run.loop = vc_loop_create();
    run.workers = calloc(o->threads, sizeof(vc_worker_t));

    if (run.loop == NULL || run.workers == NULL
        || !vc_interrupt_start(&run.interrupt, run.loop, vc_load_interrupt,
                               &run)
        || !vc_load_threads(&run))
    {
        vc_complain(VC_LOAD_NAME, "start: %s", strerror(errno));

    } else {
        vc_load_conduct(&run);
    }

    atomic_store(&run.load.phase, VC_LOAD_LEAVE);

    for (i = 0; run.workers != NULL && i < o->threads; i++) {
        if (run.workers[i].running) {
            pthread_join(run.workers[i].thread, NULL);
            code = VC_EXIT_OK;
        }
    }

    if (code == VC_EXIT_OK) {
        code = vc_load_report(&run);
    }

    for (i = 0; run.workers != NULL && i < o->threads; i++) {
        vc_worker_free(&run.workers[i]);
    }

    free(run.workers);
    voice_token_keys_free(&run.load.keys);

    if (run.loop != NULL) {
        vc_interrupt_stop(&run.interrupt);
        vc_loop_free(run.loop);
    }

    return code;
}


static bool
vc_load_threads(vc_load_run_t *run)
{
    int           rc;
    uint32_t      i;
    vc_worker_t  *w;

    for (i = 0; i < run->load.options->threads; i++) {
        if (!vc_worker_init(&run->workers[i], &run->load, i)) {
            return false;
        }
    }

    run->load.begin = vc_now();

    for (i = 0; i < run->load.options->threads; i++) {
        w = &run->workers[i];

        rc = pthread_create(&w->thread, NULL, vc_worker_run, w);
        if (rc != 0) {
            errno = rc;
            return false;
        }

        w->running = true;
    }

    return true;
}


/* Takes all threads from phase to phase. */
static void
vc_load_conduct(vc_load_run_t *run)
{
    do {
        vc_loop_turn(run->loop, vc_now() + VC_LOAD_POLL);

        if (run->interrupted
            && (atomic_load(&run->load.phase) == VC_LOAD_JOIN
                || run->interrupt.count > 1))
        {
            return;
        }

    } while (vc_load_next(run, vc_now()));
}


/* False when it is time to leave. */
static bool
vc_load_next(vc_load_run_t *run, uint64_t now)
{
    uint32_t                  all, joined, failed;
    uint64_t                  last;
    vc_load_t                *load;
    const vc_load_options_t  *o;

    load = &run->load;
    o = load->options;

    switch ((vc_load_phase_t) atomic_load(&load->phase)) {

    case VC_LOAD_JOIN:
        all = o->rooms * o->participants;
        joined = atomic_load(&load->joined);
        failed = atomic_load(&load->failed);

        if (joined + failed < all) {
            return true;
        }

        if (o->verbose) {
            fprintf(stderr, "joined: %u of %u in %.2f s\n", joined, all,
                    (double) (now - load->begin) / 1e9);
        }

        if (joined == 0) {
            return false;
        }

        load->start_at = now + VC_LOAD_SETTLE;
        atomic_store(&load->phase, VC_LOAD_TALK);
        return true;

    case VC_LOAD_TALK:
        if (atomic_load(&load->talked) == o->threads || run->interrupted) {
            atomic_store(&load->phase, VC_LOAD_STOP);
            run->phase_at = now;
        }

        return true;

    case VC_LOAD_STOP:
        last = atomic_load(&load->last_packet);
        last = last > run->phase_at ? last : run->phase_at;

        return now - last < VC_LOAD_DRAIN_QUIET
               && now - run->phase_at < VC_LOAD_DRAIN_MAX;

    case VC_LOAD_LEAVE:
        break;
    }

    return false;
}


static void
vc_load_interrupt(void *data)
{
    vc_load_run_t  *run = data;

    run->interrupted = true;
}


static int
vc_load_report(const vc_load_run_t *run)
{
    double                    seconds;
    uint32_t                  i;
    uint64_t                  last, behind;
    vc_load_sum_t            *sum;
    const vc_worker_t        *w;
    const vc_load_options_t  *o;

    o = run->load.options;

    sum = calloc(VC_LOAD_MODES + 1, sizeof(vc_load_sum_t));
    if (sum == NULL) {
        vc_complain(VC_LOAD_NAME, "out of memory");
        return VC_EXIT_FAILED;
    }

    vc_load_sums(&run->load, run->workers, sum);

    last = run->load.start_at;
    behind = 0;

    for (i = 0; i < o->threads; i++) {
        w = &run->workers[i];
        last = w->finished_at > last ? w->finished_at : last;
        behind = w->behind > behind ? w->behind : behind;
    }

    /* a talker's last packet stands for one more interval */
    seconds = run->interrupted ? (double) (last - run->load.start_at) / 1e9
                               : (double) o->milliseconds / 1000;

    if (o->json) {
        vc_load_json(o, sum, seconds);

    } else {
        vc_load_text(o, sum, seconds);
    }

    if (behind > VC_SEC / o->pps) {
        fprintf(stderr, "warning: this load generator fell %.1f ms behind its "
                "schedule, so latency and loss may be its own\n",
                (double) behind / 1e6);
    }

    i = (uint32_t) vc_load_verdict(run, &sum[VC_LOAD_MODES]);
    free(sum);

    return (int) i;
}


static int
vc_load_verdict(const vc_load_run_t *run, const vc_load_sum_t *all)
{
    int                       code;
    uint32_t                  failed, dropped;
    uint64_t                  lost;
    const vc_load_options_t  *o;

    o = run->load.options;
    failed = atomic_load(&run->load.failed);
    dropped = atomic_load(&run->load.dropped);
    lost = all->expected - all->received;
    code = VC_EXIT_OK;

    if (run->interrupted) {
        vc_complain(VC_LOAD_NAME, "interrupted");
        code = VC_EXIT_FAILED;
    }

    if (failed != 0 || dropped != 0) {
        vc_complain(VC_LOAD_NAME, "%u of %u participants did not join, %u "
                    "were dropped later", failed, o->rooms * o->participants,
                    dropped);
        code = VC_EXIT_FAILED;
    }

    if ((double) lost > (double) all->expected * o->allow_loss / 100) {
        vc_complain(VC_LOAD_NAME, "%" PRIu64 " of %" PRIu64 " packets lost "
                    "(%.4f %%), expected at most %g %%", lost, all->expected,
                    100.0 * (double) lost / (double) all->expected,
                    o->allow_loss);
        code = VC_EXIT_FAILED;
    }

    if (all->duplicated != 0 || all->undecryptable != 0 || all->foreign != 0)
    {
        vc_complain(VC_LOAD_NAME, "%" PRIu64 " packets duplicated, %" PRIu64
                    " undecryptable, %" PRIu64 " from outside of the room; "
                    "expected none", all->duplicated, all->undecryptable,
                    all->foreign);
        code = VC_EXIT_FAILED;
    }

    if (all->nonces_reused != 0 || all->nonces_failed) {
        vc_complain(VC_LOAD_NAME, "%" PRIu64 " of %" PRIu64 " nonces were "
                    "used twice with a key, expected none%s",
                    all->nonces_reused, all->nonces,
                    all->nonces_failed ? "; there was no memory to keep all "
                                         "of them" : "");
        code = VC_EXIT_FAILED;
    }

    if (all->unsent != 0) {
        vc_complain(VC_LOAD_NAME, "%" PRIu64 " packets could not be sent: the "
                    "system took them not", all->unsent);
        code = VC_EXIT_FAILED;
    }

    return code;
}


static void
vc_load_json_members(const vc_load_sum_t *sum)
{
    char  latency[128];

    vc_histogram_json(&sum->latency, latency, sizeof(latency));

    printf("\"participants\":%" PRIu64 ",\"sent\":%" PRIu64 ",\"expected\":%"
           PRIu64 ",\"received\":%" PRIu64 ",\"lost\":%" PRIu64
           ",\"duplicated\":%" PRIu64 ",\"reordered\":%" PRIu64
           ",\"undecryptable\":%" PRIu64 ",\"latency_ms\":%s",
           sum->participants, sum->sent, sum->expected, sum->received,
           sum->expected - sum->received, sum->duplicated, sum->reordered,
           sum->undecryptable, latency);
}


static void
vc_load_json(const vc_load_options_t *o, const vc_load_sum_t *sum,
    double seconds)
{
    int                   i;
    const char           *comma;
    const vc_load_sum_t  *all;

    all = &sum[VC_LOAD_MODES];

    putchar('{');
    vc_load_json_members(all);

    printf(",\"seconds\":%.3f,\"handshake_bytes\":%" PRIu64 ",\"foreign\":%"
           PRIu64 ",\"reconnects\":%" PRIu64, seconds,
           all->participants != 0 ? all->handshake_bytes / all->participants
                                  : 0,
           all->foreign, all->reconnects);
    printf(",\"gap_ms\":%.3f", (double) all->gap / 1e6);

    if (o->nonces) {
        printf(",\"nonces\":%" PRIu64 ",\"nonces_reused\":%" PRIu64,
               all->nonces, all->nonces_reused);
    }

    if (o->mode == VC_MODE_MIX) {
        printf(",\"modes\":{");
        comma = "";

        for (i = 0; i < VC_LOAD_MODES; i++) {
            if (sum[i].participants != 0) {
                printf("%s\"%s\":{", comma,
                       voice_mode_name((voice_mode_t) i));
                vc_load_json_members(&sum[i]);
                putchar('}');
                comma = ",";
            }
        }

        putchar('}');
    }

    printf("}\n");
}


static void
vc_load_text(const vc_load_options_t *o, const vc_load_sum_t *sum,
    double seconds)
{
    int                    i;
    char                   latency[128];
    const vc_load_sum_t   *s;
    const vc_histogram_t  *h;

    s = &sum[VC_LOAD_MODES];

    printf("participants  %" PRIu64 " of %u in %u rooms, %.1f s of talk\n",
           s->participants, o->rooms * o->participants, o->rooms, seconds);
    printf("sent          %" PRIu64 " packets, to be received %" PRIu64
           " times\n", s->sent, s->expected);
    printf("received      %" PRIu64 ", lost %" PRIu64 ", duplicated %" PRIu64
           ", reordered %" PRIu64 ", undecryptable %" PRIu64 ", foreign %"
           PRIu64 "\n", s->received, s->expected - s->received, s->duplicated,
           s->reordered, s->undecryptable, s->foreign);

    if (o->nonces) {
        printf("nonces        %" PRIu64 ", used twice %" PRIu64 "\n",
               s->nonces, s->nonces_reused);
    }

    for (i = VC_LOAD_MODES; i >= 0; i--) {
        h = &sum[i].latency;

        if (h->total != 0 && (i == VC_LOAD_MODES || o->mode == VC_MODE_MIX)) {
            vc_histogram_text(h, latency, sizeof(latency));
            printf("latency       %s%s%s\n", latency,
                   i == VC_LOAD_MODES ? "" : " ",
                   i == VC_LOAD_MODES ? ""
                                      : voice_mode_name((voice_mode_t) i));
        }
    }
}
