/*
 * Copyright (C) ngx-voice contributors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ngx_http_voice_api.h"
#include "ngx_http_voice_peer.h"
#include "ngx_http_voice_replica.h"

#include "voice_peer.h"
#include "voice_peer_message.h"

#include <sodium.h>


/* Clocks of nodes may differ by that, seconds. */
#define NGX_HTTP_VOICE_PEER_SLACK    60

/* How often what each message of a node may bring is worth a line. */
#define NGX_HTTP_VOICE_PEER_LOG      10000


static void ngx_http_voice_peer_body_handler(ngx_http_request_t *r);


char *
ngx_http_voice_peer_key(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    char                        *rc;
    ngx_str_t                   *value;
    ngx_http_voice_main_conf_t  *vmcf = conf;

    rc = ngx_http_voice_key(cf, cmd, conf);

    if (rc != NGX_CONF_OK) {
        return rc;
    }

    if (vmcf->peer.keys.key[vmcf->peer.keys.n - 1].alg != VOICE_ALG_HS256) {
        value = cf->args->elts;
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"voice_peer_key\" \"%V\": a secret of at least "
                           "32 bytes is expected, found a PEM key",
                           &value[1]);
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


char *
ngx_http_voice_peer(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_voice_loc_conf_t  *vlcf = conf;

    ngx_http_core_loc_conf_t  *clcf;

    if (vlcf->peer) {
        return "is duplicate";
    }

    vlcf->peer = 1;

    clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);
    clcf->handler = ngx_http_voice_peer_handler;

    return NGX_CONF_OK;
}


ngx_int_t
ngx_http_voice_peer_check(ngx_conf_t *cf, ngx_http_core_loc_conf_t *clcf)
{
    if (!ngx_voice_cluster_configured(cf->cycle)) {
        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "\"voice_peer\" in location \"%V\" needs a "
                      "\"voice_cluster\" directive before \"http\"",
                      &clcf->name);
        return NGX_ERROR;
    }

    /* a guild is one message */

    if (clcf->client_max_body_size != 0
        && clcf->client_max_body_size < (off_t) VOICE_PEER_MESSAGE_MAX)
    {
        clcf->client_max_body_size = VOICE_PEER_MESSAGE_MAX;
    }

    return NGX_OK;
}


static void
ngx_http_voice_peer_mac(const uint8_t *key, size_t key_len, const char *when,
    const u_char *text, size_t len, uint8_t mac[crypto_auth_hmacsha256_BYTES])
{
    crypto_auth_hmacsha256_state  st;

    crypto_auth_hmacsha256_init(&st, key, key_len);
    crypto_auth_hmacsha256_update(&st, (const uint8_t *) when,
                                  ngx_strlen(when));
    crypto_auth_hmacsha256_update(&st, (const uint8_t *) "\n", 1);
    crypto_auth_hmacsha256_update(&st, text, len);
    crypto_auth_hmacsha256_final(&st, mac);

    sodium_memzero(&st, sizeof(st));
}


void
ngx_http_voice_peer_sign(const voice_token_keys_t *keys, time_t now,
    const u_char *text, size_t len, char mac[NGX_HTTP_VOICE_PEER_MAC])
{
    char      when[NGX_TIME_T_LEN + 1];
    u_char   *p;
    uint8_t   hash[crypto_auth_hmacsha256_BYTES];

    ngx_sprintf((u_char *) when, "%T%Z", now);

    ngx_http_voice_peer_mac(keys->key[0].data, keys->key[0].len, when, text,
                            len, hash);

    p = ngx_sprintf((u_char *) mac, "%s.", when);
    p = ngx_hex_dump(p, hash, sizeof(hash));
    *p = '\0';
}


/* What the header of a node says. */
typedef struct {
    char      when[NGX_TIME_T_LEN + 1];
    uint8_t   mac[crypto_auth_hmacsha256_BYTES];
} ngx_http_voice_peer_proof_t;


/* NULL: it may be a proof of now, or else what is wrong. */

static const char *
ngx_http_voice_peer_proof(ngx_str_t *header, ngx_http_voice_peer_proof_t *proof)
{
    time_t    t;
    size_t    len;
    u_char   *dot;

    dot = (header != NULL)
          ? ngx_strlchr(header->data, header->data + header->len, '.') : NULL;

    if (dot == NULL || (size_t) (dot - header->data) >= sizeof(proof->when)
        || sodium_hex2bin(proof->mac, sizeof(proof->mac), (char *) dot + 1,
                          header->data + header->len - dot - 1, NULL, &len,
                          NULL)
           != 0
        || len != sizeof(proof->mac))
    {
        return "no proof in the header " NGX_HTTP_VOICE_PEER_HEADER;
    }

    ngx_memcpy(proof->when, header->data, dot - header->data);
    proof->when[dot - header->data] = '\0';

    t = ngx_atotm(header->data, dot - header->data);

    if (t == (time_t) NGX_ERROR
        || t > ngx_time() + NGX_HTTP_VOICE_PEER_SLACK
        || t < ngx_time() - NGX_HTTP_VOICE_PEER_SLACK)
    {
        return "its clock differs by more than a minute, or it was repeated";
    }

    return NULL;
}


/* NULL: it is from a node that has the key, or else what is wrong. */

static const char *
ngx_http_voice_peer_verify(const voice_token_keys_t *keys, ngx_str_t *header,
    ngx_str_t *body)
{
    size_t                        i;
    uint8_t                       hash[crypto_auth_hmacsha256_BYTES];
    const char                   *why;
    ngx_http_voice_peer_proof_t   proof;

    why = ngx_http_voice_peer_proof(header, &proof);

    if (why != NULL) {
        return why;
    }

    for (i = 0; i < keys->n; i++) {
        ngx_http_voice_peer_mac(keys->key[i].data, keys->key[i].len,
                                proof.when, body->data, body->len, hash);

        if (sodium_memcmp(hash, proof.mac, sizeof(proof.mac)) == 0) {
            return NULL;
        }
    }

    return "it has another key";
}


#if (NGX_HTTP_SSL)

/* That "ssl_verify_client" has verified, for the caller to free; or NULL. */

static X509 *
ngx_http_voice_peer_x509(ngx_http_request_t *r)
{
    X509  *cert;
    SSL   *ssl;

    if (r->connection->ssl == NULL) {
        return NULL;
    }

    ssl = r->connection->ssl->connection;
    cert = SSL_get_peer_certificate(ssl);

    if (cert != NULL && SSL_get_verify_result(ssl) != X509_V_OK) {
        X509_free(cert);
        return NULL;
    }

    return cert;
}

#endif


static const char *
ngx_http_voice_peer_certified(ngx_http_request_t *r)
{
#if (NGX_HTTP_SSL)
    X509  *cert;

    cert = ngx_http_voice_peer_x509(r);

    if (cert != NULL) {
        X509_free(cert);
        return NULL;
    }
#endif

    return "there is neither a \"voice_peer_key\" nor a client certificate "
           "that \"ssl_verify_client\" has verified";
}


/*
 * A certificate is of the node that it names: by a dNSName, or by its CN if
 * it has none (RFC 6125 6.4.4), without wildcards.  All who have the key can
 * be any node.
 */

static ngx_int_t
ngx_http_voice_peer_is_named(ngx_http_request_t *r, const char *name)
{
#if (NGX_HTTP_SSL)
    int    ok;
    X509  *cert;

    cert = ngx_http_voice_peer_x509(r);

    if (cert != NULL) {
        ok = X509_check_host(cert, name, ngx_strlen(name),
                             X509_CHECK_FLAG_NO_WILDCARDS, NULL);
        X509_free(cert);

        return ok == 1 ? NGX_OK : NGX_DECLINED;
    }
#endif

    (void) r;
    (void) name;

    return NGX_OK;
}


/* A message. */

typedef struct {
    ngx_http_request_t     *request;
    voice_zone_t           *zone;
    ngx_log_t              *log;
    voice_peer_message_t    message;
    voice_peer_parts_t      parts;
    uint32_t                peer;
    uint32_t                refused;
} ngx_http_voice_peer_ctx_t;


/* The node must be one of the cluster, and have been started as it says. */

static const char *
ngx_http_voice_peer_known(const voice_peer_message_t *m)
{
    voice_id_t          id;
    voice_node_info_t   info;

    if (voice_cluster_node_named(ngx_voice_cluster(), m->from, &id, &info)
        != VOICE_OK)
    {
        return "it is no node of the cluster";
    }

    if (id == voice_cluster_self(ngx_voice_cluster())) {
        return "it is this node";
    }

    return ngx_strcmp(info.boot, m->boot) == 0
           ? NULL : "the cluster knows it by another boot id";
}


/* Whether it is time for a line again. */

static ngx_uint_t
ngx_http_voice_peer_tells(ngx_msec_t *next)
{
    if (*next != 0 && (ngx_msec_int_t) (*next - ngx_current_msec) > 0) {
        return 0;
    }

    *next = ngx_current_msec + NGX_HTTP_VOICE_PEER_LOG;

    return 1;
}


static void
ngx_http_voice_peer_refused(ngx_http_voice_peer_ctx_t *ctx, voice_err_t err)
{
    voice_metric_t      metric;
    static ngx_msec_t   next;

    metric = (err == VOICE_E_AUTH) ? VOICE_M_PEER_FOREIGN
             : (err == VOICE_E_NOMEM) ? VOICE_M_PEER_FULL
                                      : VOICE_M_PEER_INVALID;

    ctx->refused++;
    voice_metric_add(voice_zone_metrics(ctx->zone), metric, 1);

    if (err != VOICE_E_NOMEM || !ngx_http_voice_peer_tells(&next)) {
        return;
    }

    ngx_log_error(NGX_LOG_ERR, ctx->log, 0,
                  "voice states of node \"%s\" find no room: all %uD of the "
                  "zone are in use, see \"sessions\" of \"voice_zone\"",
                  ctx->message.from, ctx->zone->header->sessions);
}


static void
ngx_http_voice_peer_states(ngx_http_voice_peer_ctx_t *ctx)
{
    size_t               n;
    voice_err_t          err;
    const char          *why;
    voice_json_t         item;
    voice_state_info_t   info;

    ngx_memzero(&item, sizeof(voice_json_t));

    for (n = 0; n < VOICE_PEER_STATES_MAX; n++) {

        if (!voice_json_next(&ctx->parts.states, &item)) {
            break;
        }

        err = voice_peer_state_decode(&item, &info, &why);

        if (err == VOICE_OK) {
            err = voice_peer_state(ctx->zone, ctx->peer, &info);
        }

        if (err != VOICE_OK) {
            ngx_http_voice_peer_refused(ctx, err);
        }
    }
}


static void
ngx_http_voice_peer_orders(ngx_http_voice_peer_ctx_t *ctx)
{
    size_t               n;
    const char          *why;
    voice_json_t         item;
    voice_state_info_t   info;

    ngx_memzero(&item, sizeof(voice_json_t));

    for (n = 0; n < VOICE_PEER_STATES_MAX; n++) {

        if (!voice_json_next(&ctx->parts.orders, &item)) {
            break;
        }

        if (voice_peer_state_decode(&item, &info, &why) == VOICE_OK
            && voice_peer_order(ctx->zone, &info) == VOICE_OK)
        {
            ngx_log_error(NGX_LOG_INFO, ctx->log, 0,
                          "voice user %uL of guild %uL: ordered by node "
                          "\"%s\", channel %uL, flags %uD", info.user_id,
                          info.guild_id, ctx->message.from, info.channel_id,
                          info.flags);
        }
    }
}


/*
 * A part of all states; one that misses the first part, or comes once more
 * after the last one, changes nothing.
 */

static void
ngx_http_voice_peer_sync(ngx_http_voice_peer_ctx_t *ctx,
    voice_peer_answer_t *answer)
{
    unsigned              n;
    uint32_t              slot, peer;
    voice_peer_record_t   record;
    voice_peer_message_t  *m = &ctx->message;

    if (m->sync & VOICE_PEER_SYNC_FIRST) {
        voice_peer_sync_begin(ctx->zone, ctx->peer, m->seq);
    }

    slot = ctx->peer - 1;

    if (voice_peer_next(ctx->zone, &slot, &peer, &record) != VOICE_OK
        || peer != ctx->peer || record.target == 0 || record.target != m->seq)
    {
        answer->sync = true;
        return;
    }

    ngx_http_voice_peer_states(ctx);

    if (m->sync & VOICE_PEER_SYNC_LAST) {
        n = voice_peer_sync_done(ctx->zone, ctx->peer);
        answer->seq = m->seq;

        ngx_log_error(NGX_LOG_INFO, ctx->log, 0,
                      "voice states of node \"%s\" are in step: %ud were "
                      "over, %uD are refused", m->from, n, ctx->refused);
    }
}


static void
ngx_http_voice_peer_apply(ngx_http_voice_peer_ctx_t *ctx,
    voice_peer_answer_t *answer)
{
    uint32_t               count;
    uint64_t               digest;
    voice_peer_message_t  *m = &ctx->message;

    if (m->is_sync) {
        ngx_http_voice_peer_sync(ctx, answer);
        return;
    }

    answer->sync = (answer->seq == 0);

    /* a hello, or one that comes twice or too early */

    if (m->seq == 0 || m->prev != answer->seq || answer->sync) {
        return;
    }

    ngx_http_voice_peer_orders(ctx);
    ngx_http_voice_peer_states(ctx);

    voice_peer_advance(ctx->zone, ctx->peer, m->seq);
    answer->seq = m->seq;

    if (m->has_digest) {
        voice_peer_digest(ctx->zone, ctx->peer, &digest, &count);
        answer->sync = (digest != m->digest || count != m->count);

        if (answer->sync) {
            voice_metric_add(voice_zone_metrics(ctx->zone),
                             VOICE_M_PEER_DIFFERS, 1);
        }
    }
}


static void
ngx_http_voice_peer_reply(ngx_http_request_t *r, ngx_uint_t status,
    const char *text, size_t len)
{
    ngx_int_t     rc;
    ngx_buf_t    *b;
    ngx_chain_t   out;

    b = ngx_create_temp_buf(r->pool, len);

    if (b == NULL) {
        ngx_http_finalize_request(r, NGX_HTTP_INTERNAL_SERVER_ERROR);
        return;
    }

    b->last = ngx_cpymem(b->last, text, len);
    b->last_buf = (r == r->main);
    b->last_in_chain = 1;

    out.buf = b;
    out.next = NULL;

    r->headers_out.status = status;
    r->headers_out.content_length_n = len;
    ngx_str_set(&r->headers_out.content_type, "application/json");
    r->headers_out.content_type_len = r->headers_out.content_type.len;

    rc = ngx_http_send_header(r);

    if (rc == NGX_ERROR || rc > NGX_OK || r->header_only) {
        ngx_http_finalize_request(r, rc);
        return;
    }

    ngx_http_finalize_request(r, ngx_http_output_filter(r, &out));
}


static void
ngx_http_voice_peer_answer(ngx_http_voice_peer_ctx_t *ctx, ngx_uint_t status,
    const char *why)
{
    char          data[256];
    voice_buf_t   b;

    voice_buf_fixed(&b, data, sizeof(data));
    voice_buf_puts(&b, "{\"error\":");
    voice_buf_string(&b, why);
    voice_buf_puts(&b, "}");

    ngx_http_voice_peer_reply(ctx->request, status, b.data, b.len);
}


static void
ngx_http_voice_peer_refuse(ngx_http_voice_peer_ctx_t *ctx, ngx_uint_t status,
    const char *why)
{
    voice_metric_add(voice_zone_metrics(ctx->zone), VOICE_M_PEER_REFUSED, 1);

    ngx_log_error(NGX_LOG_INFO, ctx->log, 0,
                  "voice states of a node are refused: %s", why);

    ngx_http_voice_peer_answer(ctx, status, why);
}


/* Somebody's mistake, or somebody who has stolen a certificate. */

static void
ngx_http_voice_peer_misnamed(ngx_http_voice_peer_ctx_t *ctx)
{
    static ngx_msec_t  next;

    voice_metric_add(voice_zone_metrics(ctx->zone), VOICE_M_PEER_NAME, 1);

    if (ngx_http_voice_peer_tells(&next)) {
        ngx_log_error(NGX_LOG_ERR, ctx->log, 0,
                      "voice states of node \"%s\" are refused: the client "
                      "certificate is not of that name, expected as a "
                      "dNSName, or as the CN if there is none",
                      ctx->message.from);
    }

    ngx_http_voice_peer_answer(ctx, NGX_HTTP_FORBIDDEN,
                               "its certificate is of another name");
}


static void
ngx_http_voice_peer_message(ngx_http_voice_peer_ctx_t *ctx)
{
    char                  data[256];
    voice_buf_t           b;
    voice_peer_answer_t   answer;

    ngx_memzero(&answer, sizeof(voice_peer_answer_t));

    if (voice_peer_meet(ctx->zone, ctx->message.from, ctx->message.boot,
                        ngx_voice_now(), &ctx->peer, &answer.seq)
        != VOICE_OK)
    {
        ngx_http_voice_peer_refuse(ctx, NGX_HTTP_SERVICE_UNAVAILABLE,
                                   "too many nodes");
        return;
    }

    ngx_http_voice_peer_apply(ctx, &answer);
    ngx_http_voice_replica_take(&ctx->message, &ctx->parts, &answer,
                                ctx->log);
    ngx_voice_wake(ctx->zone, ctx->log);

    answer.refused = ctx->refused;

    voice_buf_fixed(&b, data, sizeof(data));
    voice_peer_put_answer(&b, &answer);

    ngx_http_voice_peer_reply(ctx->request, NGX_HTTP_OK, b.data, b.len);
}


static void
ngx_http_voice_peer_body_handler(ngx_http_request_t *r)
{
    ngx_str_t                    text;
    const char                  *why;
    ngx_http_voice_peer_ctx_t    ctx;
    ngx_http_voice_main_conf_t  *vmcf;

    vmcf = ngx_http_get_module_main_conf(r, ngx_http_voice_module);

    ngx_memzero(&ctx, sizeof(ngx_http_voice_peer_ctx_t));

    ctx.request = r;
    ctx.zone = ngx_voice_zone((ngx_cycle_t *) ngx_cycle);
    ctx.log = r->connection->log;

    if (ngx_http_voice_api_collect(r, &text) != NGX_OK) {
        ngx_http_finalize_request(r, NGX_HTTP_INTERNAL_SERVER_ERROR);
        return;
    }

    /* without a key its certificate was looked at */

    why = (vmcf->peer.keys.n != 0)
          ? ngx_http_voice_peer_verify(&vmcf->peer.keys,
                 ngx_http_voice_api_header_in(r, NGX_HTTP_VOICE_PEER_HEADER),
                                       &text)
          : NULL;

    if (why != NULL) {
        ngx_http_voice_peer_refuse(&ctx, NGX_HTTP_FORBIDDEN, why);
        return;
    }

    if (voice_peer_message_decode((char *) text.data, text.len, &ctx.message,
                                  &ctx.parts, &why)
        != VOICE_OK)
    {
        ngx_http_voice_peer_refuse(&ctx, NGX_HTTP_BAD_REQUEST, why);
        return;
    }

    if (ngx_http_voice_peer_is_named(r, ctx.message.from) != NGX_OK) {
        ngx_http_voice_peer_misnamed(&ctx);
        return;
    }

    why = ngx_http_voice_peer_known(&ctx.message);

    if (why != NULL) {
        ngx_http_voice_peer_refuse(&ctx, NGX_HTTP_CONFLICT, why);
        return;
    }

    ngx_http_voice_peer_message(&ctx);
}


ngx_int_t
ngx_http_voice_peer_handler(ngx_http_request_t *r)
{
    ngx_int_t                     rc;
    const char                   *why;
    ngx_http_voice_peer_ctx_t     ctx;
    ngx_http_voice_main_conf_t   *vmcf;
    ngx_http_voice_peer_proof_t   proof;

    if (r->method != NGX_HTTP_POST) {
        return NGX_HTTP_NOT_ALLOWED;
    }

    if (ngx_voice_cluster() == NULL) {
        ngx_log_error(NGX_LOG_ERR, r->connection->log, 0,
                      "voice states of a node are refused: this worker has "
                      "no cluster zone");
        return NGX_HTTP_SERVICE_UNAVAILABLE;
    }

    vmcf = ngx_http_get_module_main_conf(r, ngx_http_voice_module);

    /* a body may be large: not from just anybody */

    why = (vmcf->peer.keys.n != 0)
          ? ngx_http_voice_peer_proof(
                 ngx_http_voice_api_header_in(r, NGX_HTTP_VOICE_PEER_HEADER),
                                      &proof)
          : ngx_http_voice_peer_certified(r);

    if (why != NULL) {
        rc = ngx_http_discard_request_body(r);

        if (rc != NGX_OK) {
            return rc;
        }

        ngx_memzero(&ctx, sizeof(ngx_http_voice_peer_ctx_t));

        ctx.request = r;
        ctx.zone = ngx_voice_zone((ngx_cycle_t *) ngx_cycle);
        ctx.log = r->connection->log;

        r->main->count++;
        ngx_http_voice_peer_refuse(&ctx, NGX_HTTP_FORBIDDEN, why);

        return NGX_DONE;
    }

    rc = ngx_http_read_client_request_body(r,
                                           ngx_http_voice_peer_body_handler);

    return rc >= NGX_HTTP_SPECIAL_RESPONSE ? rc : NGX_DONE;
}


/* How we go to others. */

static ngx_int_t
ngx_http_voice_peer_ssl(ngx_conf_t *cf, ngx_http_voice_peer_conf_t *vpcf)
{
#if (NGX_HTTP_SSL)
    ngx_pool_cleanup_t  *cln;

    if (vpcf->ssl != NULL) {
        return NGX_OK;
    }

    vpcf->ssl = ngx_pcalloc(cf->pool, sizeof(ngx_ssl_t));
    if (vpcf->ssl == NULL) {
        return NGX_ERROR;
    }

    vpcf->ssl->log = cf->log;

    if (ngx_ssl_create(vpcf->ssl, NGX_SSL_TLSv1_2|NGX_SSL_TLSv1_3, NULL)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    cln = ngx_pool_cleanup_add(cf->pool, 0);
    if (cln == NULL) {
        return NGX_ERROR;
    }

    cln->handler = ngx_ssl_cleanup_ctx;
    cln->data = vpcf->ssl;

    return NGX_OK;
#else
    ngx_conf_log_error(NGX_LOG_EMERG, cf, 0, "this nginx has no SSL");
    return NGX_ERROR;
#endif
}


char *
ngx_http_voice_peer_certificate(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf)
{
    ngx_str_t                   *value;
    ngx_http_voice_main_conf_t  *vmcf = conf;

    value = cf->args->elts;

    if (ngx_http_voice_peer_ssl(cf, &vmcf->peer) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

#if (NGX_HTTP_SSL)
    if (ngx_ssl_certificate(cf, vmcf->peer.ssl, &value[1], &value[2], NULL)
        != NGX_OK)
    {
        return NGX_CONF_ERROR;
    }
#else
    (void) value;
#endif

    return NGX_CONF_OK;
}


char *
ngx_http_voice_peer_trusted(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_str_t                   *value;
    ngx_http_voice_main_conf_t  *vmcf = conf;

    value = cf->args->elts;

    if (ngx_http_voice_peer_ssl(cf, &vmcf->peer) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

#if (NGX_HTTP_SSL)
    if (ngx_ssl_trusted_certificate(cf, vmcf->peer.ssl, &value[1], 4)
        != NGX_OK)
    {
        return NGX_CONF_ERROR;
    }
#else
    (void) value;
#endif

    vmcf->peer.trusted = 1;

    return NGX_CONF_OK;
}
