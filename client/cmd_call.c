/*
 * Copyright (C) ngx-voice contributors
 */


#include "call.h"
#include "commands.h"
#include "stamp.h"

#include <errno.h>
#include <inttypes.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>


#define VC_CALL_MAX       (366.0 * 86400)


static bool vc_call_check(const vc_call_options_t *o);
static bool vc_call_check_gateway(const vc_call_options_t *o);
static int vc_call_run(const vc_call_options_t *o);
static bool vc_call_begin(vc_call_t *call, const vc_server_t *server,
    int mode);
static bool vc_call_join(vc_call_t *call, const vc_server_t *server,
    int mode);
static bool vc_call_prepare(vc_call_t *call);
static void vc_call_finish(vc_call_t *call);
static void vc_call_report(const vc_call_t *call);
static void vc_call_json(const vc_call_t *call, const vc_totals_t *total,
    const vc_client_stats_t *stats);
static void vc_call_summary(const vc_call_t *call, const vc_totals_t *total,
    const vc_client_stats_t *stats);


static const char  vc_call_notes[] =
    "With --url it connects to a voice server directly, with a voice token.  "
    "With\n--gateway it logs in as a bot does, with a user token, asks for the "
    "channel, and\ngoes where the gateway sends it: moves and other voice "
    "servers are followed, lost\nconnections resumed.  It ends with an error if "
    "the server disconnects it.\n\n"
    "Without --play, --tone or --stamp it listens.  Without --seconds it ends "
    "with\nthe file that it plays, or on Ctrl-C.  Each packet that it plays "
    "carries the time\nit was sent in Opus padding, which decoders skip; "
    "voicectl on the same machine\nmeasures latency by it.\n\n"
    "Statistics (--json: one object on one line):\n"
    "  sent received     RTP packets, silence frames included\n"
    "  lost duplicated reordered   by sequence numbers, of all speakers\n"
    "  late              arrived over 60 ms after their playout time\n"
    "  latency_ms        p50, p99, max of stamped packets, else null\n"
    "  handshake_bytes   JSON both ways from Hello to Session Description\n"
    "  mode ssrc         of this session\n"
    "  reconnects        websockets lost and resumed\n"
    "  silence_ms        longest gap in a speaker's stream, pauses that the\n"
    "                    speaker announced by a silence frame left out\n"
    "  moves servers rejoins gateway_resumes gateway_sessions   with "
    "--gateway:\n"
    "                    moves by others, voice servers told while in voice, "
    "times\n"
    "                    that it asked for its channel again, gateway "
    "connections\n"
    "                    lost and resumed, gateway sessions begun\n\n"
    "--record writes the first speaker to FILE and each other one to a file "
    "with the\nuser id before the ending: talk.wav, talk.502.wav.";


int
vc_cmd_call(int argc, char **argv)
{
    vc_parse_t         rc;
    vc_call_options_t  o;

    const vc_option_t  options[] = {
        VC_OPTION_URL(&o.conn),
        { "gateway", VC_OPT_TEXT, &o.gateway, "URL", "main gateway, instead "
          "of --url: wss://HOST[:PORT]/gateway", 0, 0 },
        VC_OPTION_CA(&o.conn),
        VC_OPTION_INSECURE(&o.conn),
        { "token", VC_OPT_TEXT, &o.conn.token, "JWT", "voice token, the ids "
          "come from it; with --gateway\na user token", 0, 0 },
        VC_OPTION_KEY(&o.conn),
        { "user", VC_OPT_ID, &o.conn.user, "ID", "user", 0, 0 },
        { "guild", VC_OPT_ID, &o.conn.guild, "ID", "guild", 0, 0 },
        { "channel", VC_OPT_ID, &o.conn.channel, "ID", "voice channel", 0,
          0 },
        { "session", VC_OPT_TEXT, &o.conn.session, "TEXT", "session id, "
          "default: random", 0, 0 },
        VC_OPTION_VERSION(&o.conn),
        { "mode", VC_OPT_TEXT, &o.conn.mode, "NAME", "encryption mode, "
          "default: the server's first", 0, 0 },
        { "play", VC_OPT_TEXT, &o.play, "FILE", "Ogg Opus (sent as it is) or "
          "WAV (16-bit PCM, any rate)", 0, 0 },
        { "tone", VC_OPT_REAL, &o.tone, "HZ", "play a sine, 20 to 20000 Hz",
          20, 20000 },
        { "stamp", VC_OPT_FLAG, &o.stamp, NULL, "play silent packets of "
          "--frame bytes with a time stamp", 0, 0 },
        { "frame", VC_OPT_NUMBER, &o.frame, "BYTES", "size of these packets, "
          "default 80", VC_STAMP_PACKET_MIN, VC_STAMP_PACKET_MAX },
        { "no-stamp", VC_OPT_FLAG, &o.no_stamp, NULL, "send packets exactly "
          "as the file has them", 0, 0 },
        { "loop", VC_OPT_FLAG, &o.loop, NULL, "play the file again and again",
          0, 0 },
        { "record", VC_OPT_TEXT, &o.record, "FILE", ".wav: decoded; .opus: "
          "packets as received", 0, 0 },
        { "seconds", VC_OPT_TIME, &o.milliseconds, "N", "end so long after "
          "joining", 0.001, VC_CALL_MAX },
        { "json", VC_OPT_FLAG, &o.json, NULL, "statistics as one line of "
          "JSON", 0, 0 },
        { "verbose", VC_OPT_FLAG, &o.verbose, NULL, "say on standard error "
          "what happens", 0, 0 }
    };

    const vc_command_t  cmd = {
        VC_CALL_NAME,
        "Joins one voice channel, plays, records and measures.",
        vc_call_notes, options, sizeof(options) / sizeof(options[0])
    };

    memset(&o, 0, sizeof(o));
    o.conn.version = VOICE_VERSION_SEQ;
    o.frame = 80;

    rc = vc_options_parse(&cmd, argc, argv);
    if (rc != VC_PARSE_OK) {
        return rc == VC_PARSE_HELP ? VC_EXIT_OK : VC_EXIT_USAGE;
    }

    if (!vc_call_check(&o)) {
        return VC_EXIT_USAGE;
    }

    return vc_call_run(&o);
}


static bool
vc_call_check(const vc_call_options_t *o)
{
    if ((o->conn.url != NULL) == (o->gateway != NULL)) {
        vc_complain(VC_CALL_NAME, "expected either --url wss://HOST[:PORT] or "
                    "--gateway wss://HOST[:PORT]/PATH");
        return false;
    }

    if ((o->conn.token != NULL) == (o->conn.key != NULL)) {
        vc_complain(VC_CALL_NAME, "expected either --token JWT or --key FILE");
        return false;
    }

    if (o->conn.key != NULL
        && (o->conn.user == 0 || o->conn.guild == 0 || o->conn.channel == 0))
    {
        vc_complain(VC_CALL_NAME, "--key: expected --user, --guild and "
                    "--channel with it");
        return false;
    }

    if (o->gateway != NULL && !vc_call_check_gateway(o)) {
        return false;
    }

    if (o->conn.session != NULL
        && strlen(o->conn.session) > VOICE_SESSION_ID_MAX)
    {
        vc_complain(VC_CALL_NAME, "--session \"%s\": expected at most %d "
                    "characters", o->conn.session, VOICE_SESSION_ID_MAX);
        return false;
    }

    if ((o->play != NULL) + (o->tone != 0) + o->stamp > 1) {
        vc_complain(VC_CALL_NAME, "expected one of --play, --tone and "
                    "--stamp");
        return false;
    }

    if (o->record != NULL && !vc_sink_known(o->record)) {
        vc_complain(VC_CALL_NAME, "--record \"%s\": expected a name that ends "
                    "with .wav or .opus", o->record);
        return false;
    }

    return true;
}


static bool
vc_call_check_gateway(const vc_call_options_t *o)
{
    if (o->conn.guild == 0 || o->conn.channel == 0) {
        vc_complain(VC_CALL_NAME, "--gateway: expected --guild and --channel "
                    "with it");
        return false;
    }

    if (o->conn.session != NULL) {
        vc_complain(VC_CALL_NAME, "--session \"%s\": with --gateway the "
                    "session is the gateway's, expected none",
                    o->conn.session);
        return false;
    }

    return true;
}


static int
vc_call_run(const vc_call_options_t *o)
{
    int               mode;
    vc_call_t        *call;
    vc_server_t       server;
    vc_connection_t   conn;

    call = calloc(1, sizeof(vc_call_t));
    if (call == NULL) {
        vc_complain(VC_CALL_NAME, "out of memory");
        return VC_EXIT_FAILED;
    }

    if (!vc_connection_mode(VC_CALL_NAME, o->conn.mode, &mode)) {
        free(call);
        return VC_EXIT_USAGE;
    }

    call->options = o;
    call->failed = true;

    conn = o->conn;
    conn.url = o->gateway != NULL ? o->gateway : o->conn.url;

    if (!vc_connection_open(VC_CALL_NAME, &conn, &server)) {
        free(call);
        return VC_EXIT_FAILED;
    }

    if (vc_call_prepare(call) && vc_call_begin(call, &server, mode)) {
        call->failed = false;

        while (!call->ended) {
            vc_loop_turn(call->loop, vc_now() + VC_SEC);
        }

        if (call->joined) {
            vc_call_report(call);
        }
    }

    vc_call_finish(call);
    vc_server_close(&server);

    mode = call->failed ? VC_EXIT_FAILED : VC_EXIT_OK;
    free(call);

    return mode;
}


static bool
vc_call_begin(vc_call_t *call, const vc_server_t *server, int mode)
{
    vc_client_conf_t          conf;
    const vc_call_options_t  *o;

    o = call->options;

    if (o->gateway != NULL) {
        return vc_call_join(call, server, mode);
    }

    if (!vc_connection_session(VC_CALL_NAME, &o->conn, server, &conf)) {
        return false;
    }

    conf.mode = mode;
    conf.reports = true;

    call->client = &call->direct;
    vc_client_start(&call->direct, call->loop, &conf, &vc_call_handlers,
                    call);
    return true;
}


static bool
vc_call_join(vc_call_t *call, const vc_server_t *server, int mode)
{
    vc_join_conf_t            conf;
    const vc_call_options_t  *o;

    o = call->options;

    memset(&conf, 0, sizeof(conf));
    conf.gateway.server = server;
    conf.gateway.token = o->conn.token;
    conf.gateway.ca = o->conn.ca;
    conf.gateway.insecure = o->conn.insecure;
    conf.gateway.intents = VC_GATEWAY_INTENTS;

    if (o->conn.key != NULL) {
        if (!vc_connection_user(VC_CALL_NAME, &o->conn, o->milliseconds / 1000
                                                        + VC_USER_TOKEN_TTL,
                                call->token, sizeof(call->token)))
        {
            return false;
        }

        conf.gateway.token = call->token;
    }

    conf.voice.guild_id = o->conn.guild;
    conf.voice.channel_id = o->conn.channel;
    conf.voice.version = (int) o->conn.version;
    conf.voice.mode = mode;
    conf.voice.reports = true;

    call->client = &call->join.voice;
    vc_join_start(&call->join, call->loop, &conf, &vc_call_handlers, call);

    return true;
}


static bool
vc_call_prepare(vc_call_t *call)
{
    char                      error[VC_ERROR_MAX];
    const vc_call_options_t  *o;

    o = call->options;

    call->run = randombytes_random();
    call->speakers.record = o->record;
    call->interrupt.watch.fd = -1;
    call->frame_timer.handler = vc_call_frame;
    call->frame_timer.data = call;
    call->stop_timer.handler = vc_call_stop;
    call->stop_timer.data = call;

    if (o->play != NULL || o->tone != 0) {
        call->source = o->play != NULL ? vc_source_open(o->play, error)
                                       : vc_source_tone(o->tone, error);
        if (call->source == NULL) {
            vc_complain(VC_CALL_NAME, "--%s %s",
                        o->play != NULL ? "play" : "tone", error);
            return false;
        }
    }

    call->loop = vc_loop_create();

    if (call->loop == NULL
        || !vc_interrupt_start(&call->interrupt, call->loop,
                               vc_call_interrupt, call))
    {
        vc_complain(VC_CALL_NAME, "event loop: %s", strerror(errno));
        return false;
    }

    return true;
}


static void
vc_call_finish(vc_call_t *call)
{
    bool  nothing;

    nothing = call->options->record != NULL && call->joined
              && call->speakers.recordings == 0;

    vc_speakers_close(&call->speakers);

    if (call->speakers.failed) {
        vc_complain(VC_CALL_NAME, "--record %s", call->speakers.error);
        call->failed = true;

    } else if (nothing) {
        vc_complain(VC_CALL_NAME, "--record \"%s\": nobody was heard, so "
                    "there is no such file", call->options->record);
        call->failed = true;
    }

    vc_source_close(call->source);

    if (call->loop != NULL) {
        vc_client_free(&call->direct);
        vc_join_free(&call->join);
        vc_timer_clear(call->loop, &call->frame_timer);
        vc_timer_clear(call->loop, &call->stop_timer);
        vc_interrupt_stop(&call->interrupt);
        vc_loop_free(call->loop);
    }
}


static void
vc_call_report(const vc_call_t *call)
{
    vc_totals_t        total;
    vc_client_stats_t  stats;

    vc_speakers_total(&call->speakers, call->stopped_at, &total);

    stats = call->direct.stats;

    if (call->options->gateway != NULL) {
        vc_join_totals(&call->join, &stats);
    }

    if (call->options->json) {
        vc_call_json(call, &total, &stats);

    } else {
        vc_call_summary(call, &total, &stats);
    }
}


static void
vc_call_json(const vc_call_t *call, const vc_totals_t *total,
    const vc_client_stats_t *stats)
{
    char              latency[128];
    const vc_join_t  *join;

    vc_histogram_json(&call->speakers.latency, latency, sizeof(latency));

    printf("{\"sent\":%" PRIu64 ",\"received\":%" PRIu64 ",\"lost\":%" PRIu64
           ",\"duplicated\":%" PRIu64 ",\"reordered\":%" PRIu64 ",\"late\":%"
           PRIu64 ",\"latency_ms\":%s,\"handshake_bytes\":%" PRIu64
           ",\"mode\":\"%s\",\"ssrc\":%u,\"reconnects\":%" PRIu64
           ",\"silence_ms\":%" PRIu64 ",\"undecryptable\":%" PRIu64,
           stats->sent, total->received, total->lost, total->duplicated,
           total->reordered, total->late, latency, stats->handshake_bytes,
           voice_mode_name(call->mode), call->ssrc, stats->reconnects,
           total->gap / VC_MS, stats->undecryptable);

    if (call->options->gateway != NULL) {
        join = &call->join;

        printf(",\"moves\":%" PRIu64 ",\"servers\":%" PRIu64 ",\"rejoins\":%"
               PRIu64 ",\"gateway_resumes\":%" PRIu64 ",\"gateway_sessions\":%"
               PRIu64, join->stats.moves, join->stats.servers,
               join->stats.rejoins, join->gateway.resumes,
               join->gateway.sessions);
    }

    printf("}\n");
}


static void
vc_call_summary(const vc_call_t *call, const vc_totals_t *total,
    const vc_client_stats_t *stats)
{
    char                   latency[128];
    size_t                 i;
    const vc_join_t       *join;
    const vc_speaker_t    *sp;
    const vc_histogram_t  *h;

    h = &call->speakers.latency;

    printf("mode        %s, ssrc %u\n", voice_mode_name(call->mode),
           call->ssrc);
    printf("sent        %" PRIu64 " packets\n", stats->sent);
    printf("received    %" PRIu64 ", lost %" PRIu64 ", duplicated %" PRIu64
           ", reordered %" PRIu64 ", late %" PRIu64 ", undecryptable %" PRIu64
           "\n", total->received, total->lost, total->duplicated,
           total->reordered, total->late, stats->undecryptable);

    if (h->total != 0) {
        vc_histogram_text(h, latency, sizeof(latency));
        printf("latency     %s\n", latency);
    }

    printf("longest gap %.1f ms\n", (double) total->gap / 1e6);
    printf("handshake   %" PRIu64 " bytes, reconnects %" PRIu64 "\n",
           stats->handshake_bytes, stats->reconnects);

    if (call->options->gateway != NULL) {
        join = &call->join;

        printf("gateway     %" PRIu64 " sessions, %" PRIu64 " resumes; moved %"
               PRIu64 " times, %" PRIu64 " other voice servers, asked again %"
               PRIu64 " times\n", join->gateway.sessions,
               join->gateway.resumes, join->stats.moves, join->stats.servers,
               join->stats.rejoins);
    }

    for (i = 0; i < call->speakers.n; i++) {
        sp = call->speakers.list[i];

        printf("speaker     user %" PRIu64 " ssrc %u: received %" PRIu64
               ", lost %" PRIu64 ", jitter %.2f ms\n", sp->user, sp->ssrc,
               sp->stream.received, vc_stream_lost(&sp->stream),
               (sp->rtpstat.jitter_q4 >> 4) * 1000.0 / VC_RTP_CLOCK);
    }
}
