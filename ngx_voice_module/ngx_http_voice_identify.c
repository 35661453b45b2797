/*
 * Copyright (C) ngx-voice contributors
 *
 * How a session of the gateway begins at a websocket: Identify (op 2), within
 * the limits of its user, and Resume (op 6).
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ngx_http_voice_dispatch.h"


/* ms, section 12.1 */
#define NGX_HTTP_VOICE_IDENTIFY_SHORT   5000
#define NGX_HTTP_VOICE_IDENTIFY_DAY     86400000

/*
 * The note of a session: what a resume doesn't say again.  intents: 32 bits,
 * shard and their number: 14 bits each.
 */
#define NGX_HTTP_VOICE_IDENTIFY_SHARDS  (1u << 14)


voice_identify_limit_t
ngx_http_voice_identify_limit(const ngx_http_voice_main_conf_t *vmcf)
{
    return (voice_identify_limit_t) {
        voice_rate_limit((uint32_t) vmcf->identify,
                         NGX_HTTP_VOICE_IDENTIFY_SHORT,
                         (uint32_t) vmcf->identify),
        voice_rate_limit((uint32_t) vmcf->identify_day,
                         NGX_HTTP_VOICE_IDENTIFY_DAY,
                         (uint32_t) vmcf->identify_day)
    };
}


void
ngx_http_voice_gateway_complete(ngx_http_voice_gateway_t *gw)
{
    (void) voice_gateway_session_note(gw->zone, &gw->session,
                                      (uint64_t) gw->nshards << 46
                                      | (uint64_t) gw->shard << 32
                                      | gw->intents);
}


static void
ngx_http_voice_identify_recall(ngx_http_voice_gateway_t *gw)
{
    uint64_t  note;

    note = gw->session.note;

    gw->intents = (uint32_t) note;
    gw->shard = (uint32_t) (note >> 32) & (NGX_HTTP_VOICE_IDENTIFY_SHARDS - 1);
    gw->nshards = (uint32_t) (note >> 46)
                  & (NGX_HTTP_VOICE_IDENTIFY_SHARDS - 1);
}


static ngx_int_t
ngx_http_voice_identify_token(ngx_http_voice_gateway_t *gw,
    const ngx_http_voice_main_conf_t *vmcf, const char *jwt,
    voice_user_token_t *token)
{
    const char  *why;

    if (voice_user_token_verify(&vmcf->keys, jwt, ngx_time(), token, &why)
        == VOICE_OK)
    {
        return NGX_OK;
    }

    ngx_log_error(NGX_LOG_INFO, gw->log, 0,
                  "voice gateway refused, token is not valid: %s", why);

    ngx_http_voice_gateway_close(gw, VOICE_GATEWAY_CLOSE_AUTH_FAILED,
                                 "token not valid");

    return NGX_DECLINED;
}


/* How often a user may identify. */

static ngx_int_t
ngx_http_voice_identify_rate(ngx_http_voice_gateway_t *gw,
    const ngx_http_voice_main_conf_t *vmcf, uint64_t user_id)
{
    voice_buf_t             *b;
    voice_rate_left_t        left;
    voice_identify_limit_t   limit;

    if (vmcf->identify == 0) {
        return NGX_OK;
    }

    limit = ngx_http_voice_identify_limit(vmcf);

    if (voice_identify_take(gw->zone, user_id, &limit, ngx_voice_now(), &left)
        == VOICE_OK)
    {
        return NGX_OK;
    }

    ngx_log_error(NGX_LOG_INFO, gw->log, 0,
                  "voice gateway of user %uL refused, it identifies too "
                  "often: %ui in 5 seconds and %ui a day are expected",
                  user_id, vmcf->identify, vmcf->identify_day);
    ngx_http_voice_gateway_count(gw, VOICE_M_GATEWAY_REFUSED_IDENTIFY);

    b = ngx_http_voice_render_buf();
    voice_gateway_put_invalid(b, false);
    ngx_http_voice_gateway_send_buf(gw, b);

    return NGX_DECLINED;
}


/* How many sessions it may have. */

static ngx_int_t
ngx_http_voice_identify_sessions(ngx_http_voice_gateway_t *gw,
    const ngx_http_voice_main_conf_t *vmcf, uint64_t user_id)
{
    if (vmcf->user_sessions == 0) {
        return NGX_OK;
    }

    if (voice_gateway_session_limit(gw->zone, user_id,
                                    (uint32_t) vmcf->user_sessions)
        != VOICE_OK)
    {
        ngx_http_voice_gateway_count(gw, VOICE_M_GATEWAY_REFUSED_SESSIONS);
        ngx_http_voice_gateway_close(gw, VOICE_GATEWAY_CLOSE_RATE,
                                     "too many sessions of this user");
        return NGX_DECLINED;
    }

    ngx_voice_wake(gw->zone, gw->log);

    return NGX_OK;
}


void
ngx_http_voice_gateway_identify(ngx_http_voice_gateway_t *gw,
    const voice_gateway_identify_t *id)
{
    uint8_t                      hash[VOICE_TOKEN_HASH_LEN];
    voice_buf_t                 *b;
    voice_err_t                  err;
    voice_user_token_t           token;
    ngx_http_voice_main_conf_t  *vmcf;

    vmcf = ngx_http_get_module_main_conf(gw->ws->request,
                                         ngx_http_voice_module);

    if (ngx_http_voice_identify_token(gw, vmcf, id->token, &token) != NGX_OK) {
        return;
    }

    if (id->nshards >= NGX_HTTP_VOICE_IDENTIFY_SHARDS
        || id->shard >= id->nshards)
    {
        ngx_http_voice_gateway_close(gw, VOICE_GATEWAY_CLOSE_SHARD,
                                     "shard: one of at most 16383 is expected");
        return;
    }

    if (ngx_http_voice_identify_rate(gw, vmcf, token.user_id) != NGX_OK
        || ngx_http_voice_identify_sessions(gw, vmcf, token.user_id) != NGX_OK)
    {
        return;
    }

    voice_token_hash(id->token, hash);

    err = voice_gateway_session_create(gw->zone, token.user_id, hash,
                                       ngx_voice_now(), &gw->session);
    if (err != VOICE_OK) {
        ngx_log_error(NGX_LOG_ERR, gw->log, 0,
                      "voice gateway of user %uL refused: all %ud gateway "
                      "sessions of the \"voice_zone\" are in use",
                      token.user_id, gw->zone->header->sessions);
        gw->session.id = 0;
        ngx_http_voice_gateway_count(gw, VOICE_M_GATEWAY_REFUSED_FULL);
        ngx_http_voice_gateway_close(gw, VOICE_GATEWAY_CLOSE_UNKNOWN,
                                     "server full");
        return;
    }

    gw->intents = id->intents;
    gw->shard = id->shard;
    gw->nshards = id->nshards;

    ngx_http_voice_gateway_count(gw, VOICE_M_GATEWAY_IDENTIFIED);
    ngx_http_voice_gateway_attach(gw, &token);
    voice_gateway_done(&gw->state, VOICE_GATEWAY_DO_IDENTIFY);

    ngx_http_voice_dispatch_log(gw->log);

    /* this worker's gateways were closed, for events are lost */

    if (gw->session.id == 0) {
        return;
    }

    b = ngx_http_voice_render_buf();

    if (ngx_http_voice_dispatch_subscribe(gw, token.guild_id, token.nguilds, 0)
        != NGX_OK
        || ngx_http_voice_render_ready(gw, b) != NGX_OK)
    {
        ngx_http_voice_gateway_close(gw, VOICE_GATEWAY_CLOSE_UNKNOWN,
                                     "out of memory");
        return;
    }

    ngx_log_error(NGX_LOG_INFO, gw->log, 0,
                  "voice gateway of user %uL, version %d, %ui guilds, shard "
                  "%uD of %uD%s", gw->user_id, gw->state.version, gw->nsubs,
                  gw->shard, gw->nshards,
                  gw->deflate != NULL ? ", compressed" : "");

    ngx_http_voice_gateway_beat(gw);

    if (ngx_http_voice_gateway_event(gw, VOICE_DISPATCH_READY,
                  VOICE_GATEWAY_SNAPSHOT(NGX_HTTP_VOICE_MARK_READY, 0), b)
        == NGX_OK)
    {
        gw->phase = NGX_HTTP_VOICE_GATEWAY_GUILDS;
        ngx_http_voice_dispatch_continue(gw);
    }
}


static void
ngx_http_voice_identify_invalid(ngx_http_voice_gateway_t *gw,
    const voice_user_token_t *token, voice_err_t err)
{
    voice_buf_t  *b;

    ngx_http_voice_gateway_count(gw, VOICE_M_GATEWAY_RESUME_FAILED);

    ngx_log_error(NGX_LOG_INFO, gw->log, 0,
                  "voice gateway of user %uL can't be resumed: %s",
                  token->user_id, voice_err_name(err));

    if (err == VOICE_E_RANGE) {
        ngx_http_voice_gateway_close(gw, VOICE_GATEWAY_CLOSE_SEQ,
                                     "seq: never reached by this session");
        return;
    }

    /* it is this worker that can't: another one may, section 11 */

    b = ngx_http_voice_render_buf();
    voice_gateway_put_invalid(b, err == VOICE_E_STATE);
    ngx_http_voice_gateway_send_buf(gw, b);
}


void
ngx_http_voice_gateway_resume(ngx_http_voice_gateway_t *gw,
    const voice_gateway_resume_t *rs)
{
    uint8_t                      hash[VOICE_TOKEN_HASH_LEN];
    voice_err_t                  err;
    voice_user_token_t           token;
    ngx_http_voice_main_conf_t  *vmcf;

    vmcf = ngx_http_get_module_main_conf(gw->ws->request,
                                         ngx_http_voice_module);

    if (ngx_http_voice_identify_token(gw, vmcf, rs->token, &token) != NGX_OK) {
        return;
    }

    if (gw->leaving) {
        ngx_http_voice_identify_invalid(gw, &token, VOICE_E_STATE);
        return;
    }

    gw->replay = ngx_alloc(VOICE_GATEWAY_DISPATCHES * sizeof(uint64_t),
                           gw->log);
    if (gw->replay == NULL) {
        ngx_http_voice_gateway_close(gw, VOICE_GATEWAY_CLOSE_UNKNOWN,
                                     "out of memory");
        return;
    }

    voice_token_hash(rs->token, hash);

    err = voice_gateway_session_resume(gw->zone, rs->session_id, hash, rs->seq,
                                       ngx_voice_now(), &gw->session,
                                       gw->replay, &gw->nreplay);

    ngx_voice_wake(gw->zone, gw->log);

    if (err == VOICE_OK && gw->session.note == 0) {
        /* it had not got all of its guilds */
        voice_gateway_session_destroy(gw->zone, &gw->session);
        ngx_voice_wake(gw->zone, gw->log);
        err = VOICE_E_EXPIRED;
    }

    if (err != VOICE_OK) {
        gw->session.id = 0;
        ngx_free(gw->replay);
        gw->replay = NULL;
        ngx_http_voice_identify_invalid(gw, &token, err);
        return;
    }

    ngx_http_voice_identify_recall(gw);

    ngx_http_voice_gateway_count(gw, VOICE_M_GATEWAY_RESUMED);
    ngx_http_voice_gateway_attach(gw, &token);
    voice_gateway_done(&gw->state, VOICE_GATEWAY_DO_RESUME);

    /* nobody has woken this worker if it had no gateways so far */
    ngx_http_voice_dispatch_log(gw->log);

    if (gw->session.id == 0) {
        return;
    }

    gw->phase = NGX_HTTP_VOICE_GATEWAY_REPLAY;
    gw->resuming = 1;
    gw->next_replay = 0;
    gw->replay_seq = gw->session.seq;

    ngx_log_error(NGX_LOG_INFO, gw->log, 0,
                  "voice gateway of user %uL resumes behind %uL, %uz missed",
                  gw->user_id, rs->seq, gw->nreplay);

    ngx_http_voice_gateway_beat(gw);

    if (ngx_http_voice_dispatch_subscribe(gw, token.guild_id, token.nguilds, 1)
        != NGX_OK)
    {
        ngx_http_voice_gateway_close(gw, VOICE_GATEWAY_CLOSE_UNKNOWN,
                                     "out of memory");
        return;
    }

    ngx_http_voice_dispatch_continue(gw);
}
