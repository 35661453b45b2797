/*
 * Copyright (C) ngx-voice contributors
 *
 * Messages of the server, encoded: op, then d, then seq, and no other key,
 * since old parsers know exactly these (section 2).
 */


#include "voice_opcode.h"
#include "voice_json.h"

#include <inttypes.h>


/* Ends d's message. */
static voice_err_t
encode_done(voice_json_out_t *out, uint16_t seq, size_t *len)
{
    if (seq != 0) {
        voice_json_printf(out, ",\"seq\":%u", seq);
    }

    voice_json_printf(out, "}");

    return voice_json_out_done(out, len);
}


static const char *
encode_bool(uint32_t mask)
{
    return mask ? "true" : "false";
}


voice_err_t
voice_hello_encode(char *buf, size_t size, int version,
    uint32_t heartbeat_interval, size_t *len)
{
    voice_json_out_t  out;

    voice_json_out_init(&out, buf, size);

    /* section 1.1: flat before version 3 */
    if (version < 3) {
        voice_json_printf(&out, "{\"heartbeat_interval\":%" PRIu32,
                          heartbeat_interval);

    } else {
        voice_json_printf(&out, "{\"op\":8,\"d\":{\"v\":%d,"
                          "\"heartbeat_interval\":%" PRIu32 "}",
                          version, heartbeat_interval);
    }

    return encode_done(&out, 0, len);
}


voice_err_t
voice_ready_encode(char *buf, size_t size, const voice_op_ready_t *ready,
    size_t *len)
{
    size_t            i;
    voice_json_out_t  out;

    voice_json_out_init(&out, buf, size);

    voice_json_printf(&out, "{\"op\":2,\"d\":{\"ssrc\":%" PRIu32 ",\"ip\":",
                      ready->ssrc);
    voice_json_put_string(&out, ready->ip);
    voice_json_printf(&out, ",\"port\":%u,\"modes\":[", ready->port);

    for (i = 0; i < ready->nmodes; i++) {
        voice_json_printf(&out, "%s\"%s\"", i ? "," : "",
                          voice_mode_name(ready->mode[i]));
    }

    voice_json_printf(&out, "],\"experiments\":[],\"streams\":[],"
                      "\"heartbeat_interval\":%" PRIu32 "}",
                      ready->heartbeat_interval);

    return encode_done(&out, 0, len);
}


voice_err_t
voice_session_description_encode(char *buf, size_t size, voice_mode_t mode,
    const uint8_t key[VOICE_KEY_LEN], size_t *len)
{
    size_t            i;
    voice_json_out_t  out;

    voice_json_out_init(&out, buf, size);

    voice_json_printf(&out, "{\"op\":4,\"d\":{\"mode\":\"%s\",\"secret_key\":[",
                      voice_mode_name(mode));

    for (i = 0; i < VOICE_KEY_LEN; i++) {
        voice_json_printf(&out, "%s%u", i ? "," : "", key[i]);
    }

    /* section 4.6: libraries fail without a dave_protocol_version */
    voice_json_printf(&out, "],\"audio_codec\":\"opus\","
                      "\"dave_protocol_version\":0}");

    return encode_done(&out, 0, len);
}


voice_err_t
voice_heartbeat_ack_encode(char *buf, size_t size, int version,
    const voice_op_heartbeat_t *hb, size_t *len)
{
    voice_json_out_t  out;

    voice_json_out_init(&out, buf, size);

    /* section 4.7: the form that came, whatever the version */
    voice_json_printf(&out, hb->object ? "{\"op\":%d,\"d\":{\"t\":%s}"
                                       : "{\"op\":%d,\"d\":%s",
                      version < 2 ? VOICE_OP_HEARTBEAT
                                  : VOICE_OP_HEARTBEAT_ACK,
                      hb->token);

    return encode_done(&out, 0, len);
}


voice_err_t
voice_resumed_encode(char *buf, size_t size, size_t *len)
{
    voice_json_out_t  out;

    voice_json_out_init(&out, buf, size);
    voice_json_printf(&out, "{\"op\":9,\"d\":null");

    return encode_done(&out, 0, len);
}


voice_err_t
voice_backend_version_encode(char *buf, size_t size, size_t *len)
{
    voice_json_out_t  out;

    voice_json_out_init(&out, buf, size);
    voice_json_printf(&out, "{\"op\":16,\"d\":{\"voice\":\"ngx-voice\","
                      "\"rtc_worker\":\"ngx-voice\"}");

    return encode_done(&out, 0, len);
}


voice_err_t
voice_speaking_encode(char *buf, size_t size, int version, uint16_t seq,
    uint64_t user_id, uint32_t ssrc, uint32_t speaking, size_t *len)
{
    voice_json_out_t  out;

    voice_json_out_init(&out, buf, size);

    voice_json_printf(&out, "{\"op\":5,\"d\":{\"user_id\":\"%" PRIu64 "\","
                      "\"ssrc\":%" PRIu32 ",\"speaking\":", user_id, ssrc);

    if (version < VOICE_VERSION_MASK) {
        voice_json_printf(&out, "%s}", encode_bool(speaking));

    } else {
        voice_json_printf(&out, "%" PRIu32 "}", speaking);
    }

    return encode_done(&out, seq, len);
}


voice_err_t
voice_clients_connect_encode(char *buf, size_t size, uint16_t seq,
    const uint64_t *user_id, size_t n, size_t *len)
{
    size_t            i;
    voice_json_out_t  out;

    voice_json_out_init(&out, buf, size);
    voice_json_printf(&out, "{\"op\":11,\"d\":{\"user_ids\":[");

    for (i = 0; i < n; i++) {
        voice_json_printf(&out, "%s\"%" PRIu64 "\"", i ? "," : "",
                          user_id[i]);
    }

    voice_json_printf(&out, "]}");

    return encode_done(&out, seq, len);
}


voice_err_t
voice_client_connect_encode(char *buf, size_t size, uint64_t user_id,
    uint32_t audio_ssrc, size_t *len)
{
    voice_json_out_t  out;

    voice_json_out_init(&out, buf, size);

    /* section 5.2: a parser of that age requires all three */
    voice_json_printf(&out, "{\"op\":12,\"d\":{\"audio_ssrc\":%" PRIu32 ","
                      "\"user_id\":\"%" PRIu64 "\",\"video_ssrc\":0}",
                      audio_ssrc, user_id);

    return encode_done(&out, 0, len);
}


voice_err_t
voice_client_disconnect_encode(char *buf, size_t size, uint16_t seq,
    uint64_t user_id, size_t *len)
{
    voice_json_out_t  out;

    voice_json_out_init(&out, buf, size);
    voice_json_printf(&out, "{\"op\":13,\"d\":{\"user_id\":\"%" PRIu64 "\"}",
                      user_id);

    return encode_done(&out, seq, len);
}


voice_err_t
voice_client_flags_encode(char *buf, size_t size, uint16_t seq,
    uint64_t user_id, size_t *len)
{
    voice_json_out_t  out;

    voice_json_out_init(&out, buf, size);
    voice_json_printf(&out, "{\"op\":18,\"d\":{\"user_id\":\"%" PRIu64 "\","
                      "\"flags\":null}", user_id);

    return encode_done(&out, seq, len);
}


voice_err_t
voice_client_platform_encode(char *buf, size_t size, uint16_t seq,
    uint64_t user_id, size_t *len)
{
    voice_json_out_t  out;

    voice_json_out_init(&out, buf, size);
    voice_json_printf(&out, "{\"op\":20,\"d\":{\"user_id\":\"%" PRIu64 "\","
                      "\"platform\":null}", user_id);

    return encode_done(&out, seq, len);
}
