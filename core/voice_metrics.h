/*
 * Copyright (C) ngx-voice contributors
 *
 * Counters.  Each worker slot of the zone has a block of its own that one
 * process writes; a reader sums them.  A slot's block goes on counting for
 * the next worker that gets the slot, so sums only grow.
 */


#ifndef _VOICE_METRICS_H_INCLUDED_
#define _VOICE_METRICS_H_INCLUDED_


#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>


/*
 * X(id, family, label, value): Prometheus "voice_<family>_total{label=value}";
 * label NULL where a family has one member.
 *
 * Every datagram that arrives is counted in rx_packets and in exactly one of
 * accepted (routed), control and dropped.  Every packet due to a receiver is
 * counted in exactly one of tx_packets and skipped.
 */
#define VOICE_METRICS(X)                                                      \
    X(RX_PACKETS, "rx_packets", NULL, NULL)                                   \
    X(RX_BYTES, "rx_bytes", NULL, NULL)                                       \
    X(TX_PACKETS, "tx_packets", NULL, NULL)                                   \
    X(TX_BYTES, "tx_bytes", NULL, NULL)                                       \
    X(RX_ACCEPTED, "rx_accepted", NULL, NULL)                                 \
    X(CONTROL_DISCOVERY, "control", "kind", "discovery")                      \
    X(CONTROL_PING, "control", "kind", "ping")                                \
    X(CONTROL_KEEPALIVE, "control", "kind", "keepalive")                      \
    X(CONTROL_RTCP, "control", "kind", "rtcp")                                \
    X(CONTROL_IGNORED, "control", "kind", "ignored")                          \
    X(DROP_OVERSIZED, "dropped", "reason", "oversized")                       \
    X(DROP_MALFORMED, "dropped", "reason", "malformed")                       \
    X(DROP_UNSUPPORTED, "dropped", "reason", "unsupported")                   \
    X(DROP_UNKNOWN_SSRC, "dropped", "reason", "unknown_ssrc")                 \
    X(DROP_UNKNOWN_ADDRESS, "dropped", "reason", "unknown_address")           \
    X(DROP_STATE, "dropped", "reason", "state")                               \
    X(DROP_AUTH, "dropped", "reason", "auth")                                 \
    X(DROP_REPLAY, "dropped", "reason", "replay")                             \
    X(DROP_PAYLOAD_TYPE, "dropped", "reason", "payload_type")                 \
    X(DROP_MUTED, "dropped", "reason", "muted")                               \
    X(DROP_SUPPRESSED, "dropped", "reason", "suppressed")                     \
    X(DROP_SPEAKERS, "dropped", "reason", "speakers")                         \
    X(DROP_LIMITED, "dropped", "reason", "limited")                           \
    X(DROP_BUSY, "dropped", "reason", "busy")                                 \
    X(DROP_HELD, "dropped", "reason", "held")                                 \
    X(DUE, "due_packets", NULL, NULL)                                         \
    X(SKIP_UNANNOUNCED, "skipped", "reason", "unannounced")                   \
    X(SKIP_NONCE, "skipped", "reason", "nonce")                               \
    X(SKIP_SOCKET, "skipped", "reason", "socket")                             \
    X(SKIP_SEND, "skipped", "reason", "send")                                 \
    X(SKIP_QUEUE, "skipped", "reason", "queue")                               \
    X(SEALED_AEAD_AES256_GCM_RTPSIZE, "sealed", "mode",                       \
      "aead_aes256_gcm_rtpsize")                                              \
    X(SEALED_AEAD_XCHACHA20_POLY1305_RTPSIZE, "sealed", "mode",               \
      "aead_xchacha20_poly1305_rtpsize")                                      \
    X(SEALED_XSALSA20_POLY1305_LITE_RTPSIZE, "sealed", "mode",                \
      "xsalsa20_poly1305_lite_rtpsize")                                       \
    X(SEALED_XSALSA20_POLY1305_LITE, "sealed", "mode",                        \
      "xsalsa20_poly1305_lite")                                               \
    X(SEALED_XSALSA20_POLY1305_SUFFIX, "sealed", "mode",                      \
      "xsalsa20_poly1305_suffix")                                             \
    X(SEALED_XSALSA20_POLY1305, "sealed", "mode", "xsalsa20_poly1305")        \
    X(SEALED_AEAD_AES256_GCM, "sealed", "mode", "aead_aes256_gcm")            \
    X(SILENCE, "silence_packets", NULL, NULL)                                 \
    X(RTCP_REPORTS, "rtcp_reports", NULL, NULL)                               \
    X(ROAMED, "address_changes", NULL, NULL)                                  \
    X(FANOUT_BUILT, "fanout_built", NULL, NULL)                               \
    X(REKEYED, "rekeyed", NULL, NULL)                                         \
    X(WS_OPENED, "websockets_opened", NULL, NULL)                             \
    X(WS_CLOSED, "websockets_closed", NULL, NULL)                             \
    X(WS_MESSAGES_RX, "websocket_messages", "direction", "rx")                \
    X(WS_MESSAGES_TX, "websocket_messages", "direction", "tx")                \
    X(IDENTIFIED, "identifies", NULL, NULL)                                   \
    X(RESUMED, "resumes", "result", "ok")                                     \
    X(RESUME_FAILED, "resumes", "result", "failed")                           \
    X(REPLACED, "sessions_replaced", NULL, NULL)                              \
    X(EXPIRED, "sessions_expired", NULL, NULL)                                \
    X(OUTBOX_OVERFLOW, "outbox_overflows", NULL, NULL)                        \
    X(REFUSED_TOKEN, "refused", "reason", "token")                            \
    X(REFUSED_TOKEN_EXPIRED, "refused", "reason", "token_expired")            \
    X(REFUSED_GUILD, "refused", "reason", "guild")                            \
    X(REFUSED_USER, "refused", "reason", "user")                              \
    X(REFUSED_FULL, "refused", "reason", "full")                              \
    X(REFUSED_DRAINING, "refused", "reason", "draining")                      \
    X(REFUSED_PROTOCOL, "refused", "reason", "protocol")                      \
    X(REFUSED_MODE, "refused", "reason", "mode")                              \
    X(REFUSED_MESSAGE, "refused", "reason", "message")                        \
    X(REFUSED_RATE, "refused", "reason", "rate")                              \
    X(REFUSED_TIMEOUT, "refused", "reason", "timeout")                        \
    X(GATEWAY_OPENED, "gateway_websockets_opened", NULL, NULL)                \
    X(GATEWAY_CLOSED, "gateway_websockets_closed", NULL, NULL)                \
    X(GATEWAY_IDENTIFIED, "gateway_identifies", NULL, NULL)                   \
    X(GATEWAY_RESUMED, "gateway_resumes", "result", "ok")                     \
    X(GATEWAY_RESUME_FAILED, "gateway_resumes", "result", "failed")           \
    X(GATEWAY_EXPIRED, "gateway_sessions_expired", NULL, NULL)                \
    X(GATEWAY_COMMANDS, "gateway_commands", NULL, NULL)                       \
    X(GATEWAY_EVENTS, "gateway_events", NULL, NULL)                           \
    X(GATEWAY_REFUSED_TOKEN, "gateway_refused", "reason", "token")            \
    X(GATEWAY_REFUSED_VERSION, "gateway_refused", "reason", "version")        \
    X(GATEWAY_REFUSED_SHARD, "gateway_refused", "reason", "shard")            \
    X(GATEWAY_REFUSED_FULL, "gateway_refused", "reason", "full")              \
    X(GATEWAY_REFUSED_MESSAGE, "gateway_refused", "reason", "message")        \
    X(GATEWAY_REFUSED_PROTOCOL, "gateway_refused", "reason", "protocol")      \
    X(GATEWAY_REFUSED_RATE, "gateway_refused", "reason", "rate")              \
    X(GATEWAY_REFUSED_IDENTIFY, "gateway_refused", "reason", "identify")      \
    X(GATEWAY_REFUSED_SESSIONS, "gateway_refused", "reason", "sessions")      \
    X(GATEWAY_REFUSED_TIMEOUT, "gateway_refused", "reason", "timeout")        \
    X(GATEWAY_REFUSED_SLOW, "gateway_refused", "reason", "slow")              \
    X(API_200, "api_requests", "status", "200")                               \
    X(API_201, "api_requests", "status", "201")                               \
    X(API_204, "api_requests", "status", "204")                               \
    X(API_400, "api_requests", "status", "400")                               \
    X(API_401, "api_requests", "status", "401")                               \
    X(API_403, "api_requests", "status", "403")                               \
    X(API_404, "api_requests", "status", "404")                               \
    X(API_405, "api_requests", "status", "405")                               \
    X(API_413, "api_requests", "status", "413")                               \
    X(API_429, "api_requests", "status", "429")                               \
    X(API_500, "api_requests", "status", "500")                               \
    X(API_503, "api_requests", "status", "503")                               \
    X(API_OTHER, "api_requests", "status", "other")                           \
    X(PEER_INVALID, "peer_refused", "reason", "invalid")                      \
    X(PEER_FOREIGN, "peer_refused", "reason", "foreign_user")                 \
    X(PEER_FULL, "peer_refused", "reason", "zone_full")                       \
    X(PEER_NAME, "peer_refused", "reason", "name")                            \
    X(PEER_REFUSED, "peer_refused", "reason", "message")                      \
    X(PEER_DIFFERS, "peer_syncs", "reason", "difference")                     \
    X(REPAIRS, "zone_repairs", NULL, NULL)


typedef enum {
#define VOICE_METRIC_ID(id, family, label, value)  VOICE_M_##id,
    VOICE_METRICS(VOICE_METRIC_ID)
#undef VOICE_METRIC_ID
    VOICE_METRICS_COUNT
} voice_metric_t;


typedef struct {
    _Atomic uint64_t   value[VOICE_METRICS_COUNT];
} voice_metrics_t;


typedef struct {
    const char  *family;
    const char  *label;      /* NULL: none */
    const char  *value;
} voice_metric_desc_t;


/* index: voice_metric_t; members of a family are neighbours */
extern const voice_metric_desc_t  voice_metric_desc[VOICE_METRICS_COUNT];


/* One writer a block: a load and a store, no locked instruction. */
static inline void
voice_metric_add(voice_metrics_t *m, voice_metric_t i, uint64_t n)
{
    atomic_store_explicit(&m->value[i],
        atomic_load_explicit(&m->value[i], memory_order_relaxed) + n,
        memory_order_relaxed);
}


#endif /* _VOICE_METRICS_H_INCLUDED_ */
