/*
 * Copyright (C) ngx-voice contributors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ngx_http_voice_admit.h"
#include "ngx_http_voice_cluster.h"
#include "ngx_http_voice_dispatch.h"

#include "voice_drain.h"

#include <arpa/inet.h>


/* permission bits of a voice token */
#define NGX_HTTP_VOICE_PERM_PRIORITY_SPEAKER   (1ull << 8)
#define NGX_HTTP_VOICE_PERM_SPEAK              (1ull << 21)

#define NGX_HTTP_VOICE_GUEST                   "guest:"
#define NGX_HTTP_VOICE_GUEST_NAME_MAX          64


static const ngx_http_voice_refusal_t  ngx_http_voice_refuse_token = {
    VOICE_CLOSE_AUTH_FAILED, "token not valid", VOICE_M_REFUSED_TOKEN
};

static const ngx_http_voice_refusal_t  ngx_http_voice_refuse_expired = {
    VOICE_CLOSE_AUTH_FAILED, "token expired", VOICE_M_REFUSED_TOKEN_EXPIRED
};

static const ngx_http_voice_refusal_t  ngx_http_voice_refuse_guild = {
    VOICE_CLOSE_AUTH_FAILED, "token of another server_id",
    VOICE_M_REFUSED_GUILD
};

static const ngx_http_voice_refusal_t  ngx_http_voice_refuse_channel = {
    VOICE_CLOSE_AUTH_FAILED, "token of another channel_id",
    VOICE_M_REFUSED_GUILD
};

static const ngx_http_voice_refusal_t  ngx_http_voice_refuse_user = {
    VOICE_CLOSE_AUTH_FAILED, "token of another user_id",
    VOICE_M_REFUSED_USER
};

static const ngx_http_voice_refusal_t  ngx_http_voice_refuse_session = {
    VOICE_CLOSE_AUTH_FAILED, "token of another session_id",
    VOICE_M_REFUSED_USER
};

static const ngx_http_voice_refusal_t  ngx_http_voice_refuse_node = {
    VOICE_CLOSE_SERVER_NOT_FOUND, "token for another voice server",
    VOICE_M_REFUSED_GUILD
};

static const ngx_http_voice_refusal_t  ngx_http_voice_refuse_boot = {
    VOICE_CLOSE_SESSION_INVALID, "token of before a restart",
    VOICE_M_REFUSED_TOKEN
};

static const ngx_http_voice_refusal_t  ngx_http_voice_refuse_unplaced = {
    VOICE_CLOSE_AUTH_FAILED, "token names no voice server",
    VOICE_M_REFUSED_TOKEN
};

static const ngx_http_voice_refusal_t  ngx_http_voice_refuse_moved = {
    VOICE_CLOSE_SESSION_INVALID, "token of before the guild was moved",
    VOICE_M_REFUSED_GUILD
};

const ngx_http_voice_refusal_t  ngx_http_voice_refuse_late = {
    VOICE_CLOSE_SESSION_INVALID, "the user's node has not said that it is in "
    "this channel", VOICE_M_REFUSED_USER
};

static const ngx_http_voice_refusal_t  ngx_http_voice_refuse_left = {
    VOICE_CLOSE_DISCONNECTED, "not in this channel any more",
    VOICE_M_REFUSED_USER
};

static const ngx_http_voice_refusal_t  ngx_http_voice_refuse_draining = {
    VOICE_CLOSE_DISCONNECTED, "draining, no new calls",
    VOICE_M_REFUSED_DRAINING
};

static const ngx_http_voice_refusal_t  ngx_http_voice_refuse_protocol = {
    VOICE_CLOSE_UNKNOWN_PROTOCOL, "protocol: udp is expected",
    VOICE_M_REFUSED_PROTOCOL
};

static const ngx_http_voice_refusal_t  ngx_http_voice_refuse_mode = {
    VOICE_CLOSE_UNKNOWN_MODE, "mode: one of Ready is expected",
    VOICE_M_REFUSED_MODE
};


static ngx_uint_t
ngx_http_voice_admit_is_guest(ngx_http_voice_signal_t *sg, const char *token)
{
    return sg->conf->guests
           && ngx_strncmp(token, NGX_HTTP_VOICE_GUEST,
                          sizeof(NGX_HTTP_VOICE_GUEST) - 1)
              == 0;
}


/* A guest is who it says it is. */

static const ngx_http_voice_refusal_t *
ngx_http_voice_admit_guest(const voice_op_identify_t *id,
    voice_token_t *token)
{
    size_t  len;

    len = ngx_strlen(id->token) - (sizeof(NGX_HTTP_VOICE_GUEST) - 1);

    if (len == 0 || len > NGX_HTTP_VOICE_GUEST_NAME_MAX
        || id->guild_id == VOICE_PROBE_GUILD)
    {
        return &ngx_http_voice_refuse_token;
    }

    ngx_memzero(token, sizeof(voice_token_t));

    token->user_id = id->user_id;
    token->guild_id = id->guild_id;
    token->channel_id = (id->channel_id != 0) ? id->channel_id : id->guild_id;

    (void) ngx_cpystrn((u_char *) token->session_id,
                       (u_char *) id->session_id, sizeof(token->session_id));

    return NULL;
}


static voice_err_t
ngx_http_voice_admit_verify(ngx_http_voice_signal_t *sg, const char *jwt,
    voice_token_t *token)
{
    const char                  *why;
    voice_err_t                  err;
    ngx_http_voice_main_conf_t  *vmcf;

    vmcf = ngx_http_get_module_main_conf(sg->ws->request,
                                         ngx_http_voice_module);

    err = voice_token_verify(&vmcf->keys, jwt, ngx_time(), token, &why);

    if (err != VOICE_OK && err != VOICE_E_EXPIRED) {
        ngx_log_error(NGX_LOG_INFO, sg->log, 0,
                      "voice token is not valid: %s", why);
    }

    return err;
}


/*
 * A token of our own guild service, as its boot id says, admits as long as
 * the voice state is there that it was made for.  Whoever was moved is told
 * of the new server by the gateway; whoever was disconnected must not come
 * back by itself: 4014 is the code that makes no library rejoin.
 */

static const ngx_http_voice_refusal_t *
ngx_http_voice_admit_state(ngx_http_voice_signal_t *sg,
    const voice_token_t *token)
{
    char                boot[NGX_VOICE_BOOT_LEN + 1];
    voice_err_t         err;
    voice_state_info_t  info;

    if (token->boot[0] == '\0') {
        return NULL;
    }

    ngx_voice_boot(sg->zone, boot);

    if (ngx_strcmp(token->boot, boot) != 0) {
        return &ngx_http_voice_refuse_boot;
    }

    err = voice_state_admit(sg->zone, token->guild_id, token->user_id,
                            token->channel_id, token->session_id, &info);

    return err == VOICE_OK ? NULL : &ngx_http_voice_refuse_left;
}


/*
 * In a cluster: only what was meant for this server since it was started, and
 * of the guild's last move.  The voice state comes from the node that has the
 * user's gateway socket; it may be on its way yet.
 */

static const ngx_http_voice_refusal_t *
ngx_http_voice_admit_cluster(ngx_http_voice_signal_t *sg,
    const voice_token_t *token)
{
    voice_state_info_t  info;

    if (token->node[0] == '\0' || token->boot[0] == '\0' || token->rev == 0) {
        return &ngx_http_voice_refuse_unplaced;
    }

    switch (ngx_http_voice_cluster_admit(sg->zone, token)) {

    case NGX_OK:
        break;

    case NGX_DECLINED:
        return &ngx_http_voice_refuse_node;

    case NGX_ABORT:
        return &ngx_http_voice_refuse_boot;

    default:
        return &ngx_http_voice_refuse_moved;
    }

    if (token->gateway[0] == '\0'
        || voice_state_admit(sg->zone, token->guild_id, token->user_id,
                             token->channel_id, token->session_id, &info)
           == VOICE_OK)
    {
        return NULL;
    }

    return &ngx_http_voice_refuse_late;
}


/*
 * Who is in a call may identify anew: with the token that began its session,
 * or as long as its voice state is here.
 */

static ngx_uint_t
ngx_http_voice_admit_drains(ngx_http_voice_signal_t *sg,
    const voice_token_t *token, const uint8_t *hash)
{
    return voice_drain_get(sg->zone, NULL) && token->boot[0] == '\0'
           && !voice_session_token_known(sg->zone, token->guild_id,
                                         token->user_id, hash);
}


static const ngx_http_voice_refusal_t *
ngx_http_voice_admit_token(ngx_http_voice_signal_t *sg,
    const voice_op_identify_t *id, const uint8_t *hash, voice_token_t *token)
{
    voice_err_t  err;

    if (ngx_http_voice_admit_is_guest(sg, id->token)) {
        return ngx_http_voice_admit_guest(id, token);
    }

    err = ngx_http_voice_admit_verify(sg, id->token, token);

    if (err != VOICE_OK && err != VOICE_E_EXPIRED) {
        return &ngx_http_voice_refuse_token;
    }

    if (token->guild_id != id->guild_id) {
        return &ngx_http_voice_refuse_guild;
    }

    if (token->user_id != id->user_id) {
        return &ngx_http_voice_refuse_user;
    }

    if (ngx_strcmp(token->session_id, id->session_id) != 0) {
        return &ngx_http_voice_refuse_session;
    }

    if (id->channel_id != 0 && id->channel_id != token->channel_id) {
        return &ngx_http_voice_refuse_channel;
    }

    if (ngx_voice_cluster() == NULL && token->node[0] != '\0'
        && ngx_strcmp(token->node, sg->zone->header->node) != 0)
    {
        return &ngx_http_voice_refuse_node;
    }

    /* libraries identify again with the token they had */

    if (err == VOICE_E_EXPIRED
        && !voice_session_token_known(sg->zone, token->guild_id,
                                      token->user_id, hash))
    {
        return &ngx_http_voice_refuse_expired;
    }

    return ngx_voice_cluster() != NULL
           ? ngx_http_voice_admit_cluster(sg, token)
           : ngx_http_voice_admit_state(sg, token);
}


const ngx_http_voice_refusal_t *
ngx_http_voice_admit(ngx_http_voice_signal_t *sg,
    const voice_op_identify_t *id, const uint8_t *hash, voice_token_t *token)
{
    const ngx_http_voice_refusal_t  *refusal;

    refusal = ngx_http_voice_admit_token(sg, id, hash, token);

    if (refusal == NULL && ngx_http_voice_admit_drains(sg, token, hash)) {
        return &ngx_http_voice_refuse_draining;
    }

    return refusal;
}


void
ngx_http_voice_admit_known(ngx_http_voice_signal_t *sg,
    const voice_token_t *token)
{
    sg->user_id = token->user_id;
    sg->guild_id = token->guild_id;
    sg->channel_id = token->channel_id;

    (void) ngx_cpystrn((u_char *) sg->session_id,
                       (u_char *) token->session_id, sizeof(sg->session_id));

    sg->priority = (!token->has_permissions
                    || (token->permissions
                        & NGX_HTTP_VOICE_PERM_PRIORITY_SPEAKER));
}


void
ngx_http_voice_admit_conf(ngx_http_voice_signal_t *sg,
    const voice_token_t *token, ngx_uint_t video, voice_session_conf_t *conf)
{
    ngx_http_voice_admit_known(sg, token);

    conf->user_id = token->user_id;
    conf->guild_id = token->guild_id;
    conf->channel_id = token->channel_id;
    conf->permissions = token->has_permissions ? token->permissions
                                               : UINT64_MAX;
    conf->session_id = sg->session_id;
    conf->version = sg->state.version;
    conf->admitted = (ngx_voice_cluster() != NULL)
                     ? token->gateway[0] != '\0' : token->boot[0] != '\0';

    if (token->mute) {
        conf->flags |= VOICE_SESSION_MUTE;
    }

    if (token->deaf) {
        conf->flags |= VOICE_SESSION_DEAF;
    }

    if (token->suppress
        || (token->has_permissions
            && !(token->permissions & NGX_HTTP_VOICE_PERM_SPEAK)))
    {
        conf->flags |= VOICE_SESSION_SUPPRESS;
    }

    if (video) {
        conf->flags |= VOICE_SESSION_VIDEO;
    }
}


ngx_int_t
ngx_http_voice_admit_resume(ngx_http_voice_signal_t *sg,
    const voice_op_resume_t *r, voice_token_t *token)
{
    voice_err_t  err;

    /* a guest's token doesn't say which user it is, nor does Resume */

    err = ngx_http_voice_admit_verify(sg, r->token, token);

    if ((err != VOICE_OK && err != VOICE_E_EXPIRED)
        || token->guild_id != r->guild_id
        || ngx_strcmp(token->session_id, r->session_id) != 0)
    {
        return NGX_DECLINED;
    }

    return NGX_OK;
}


/* What a client calls itself or its mode, fit for a log. */

static void
ngx_http_voice_admit_printable(const char *s, char *dst, size_t size)
{
    size_t  i;

    for (i = 0; i < size - 1 && s[i] != '\0'; i++) {
        dst[i] = (s[i] >= 0x20 && s[i] <= 0x7e && s[i] != '"') ? s[i] : '?';
    }

    dst[i] = '\0';
}


const ngx_http_voice_refusal_t *
ngx_http_voice_admit_mode(ngx_http_voice_signal_t *sg,
    const voice_op_select_t *sel, voice_mode_t *mode)
{
    char        name[VOICE_MODE_NAME_MAX];
    ngx_uint_t  i;

    if (ngx_strcmp(sel->protocol, "udp") != 0) {
        ngx_http_voice_admit_printable(sel->protocol, name, sizeof(name));
        ngx_log_error(NGX_LOG_INFO, sg->log, 0,
                      "voice user %uL wants protocol \"%s\"", sg->user_id,
                      name);
        return &ngx_http_voice_refuse_protocol;
    }

    if (voice_mode_parse(sel->mode, ngx_strlen(sel->mode), mode) == VOICE_OK) {
        for (i = 0; i < sg->conf->nmodes; i++) {
            if (sg->conf->mode[i] == *mode) {
                return NULL;
            }
        }
    }

    ngx_http_voice_admit_printable(sel->mode, name, sizeof(name));
    ngx_log_error(NGX_LOG_INFO, sg->log, 0,
                  "voice user %uL wants mode \"%s\"", sg->user_id, name);

    return &ngx_http_voice_refuse_mode;
}


static uint8_t
ngx_http_voice_admit_family(struct sockaddr *sa)
{
#if (NGX_HAVE_INET6)
    if (sa->sa_family == AF_INET6
        && !IN6_IS_ADDR_V4MAPPED(&((struct sockaddr_in6 *) sa)->sin6_addr))
    {
        return VOICE_ADDR_V6;
    }
#else
    (void) sa;
#endif

    return VOICE_ADDR_V4;
}


/* The address that the client reached us by. */

static ngx_int_t
ngx_http_voice_admit_local(ngx_connection_t *c, char *ip, size_t size)
{
    struct sockaddr       *sa;
#if (NGX_HAVE_INET6)
    struct in6_addr       *in6;
#endif

    if (ngx_connection_local_sockaddr(c, NULL, 0) != NGX_OK) {
        return NGX_ERROR;
    }

    sa = c->local_sockaddr;

    switch (sa->sa_family) {

    case AF_INET:
        return inet_ntop(AF_INET, &((struct sockaddr_in *) sa)->sin_addr, ip,
                         size)
               != NULL ? NGX_OK : NGX_ERROR;

#if (NGX_HAVE_INET6)
    case AF_INET6:
        in6 = &((struct sockaddr_in6 *) sa)->sin6_addr;

        if (IN6_IS_ADDR_V4MAPPED(in6)) {
            return inet_ntop(AF_INET, &in6->s6_addr[12], ip, size) != NULL
                   ? NGX_OK : NGX_ERROR;
        }

        return inet_ntop(AF_INET6, in6, ip, size) != NULL
               ? NGX_OK : NGX_ERROR;
#endif

    default:
        return NGX_ERROR;
    }
}


ngx_int_t
ngx_http_voice_admit_endpoint(ngx_http_voice_signal_t *sg,
    voice_endpoint_t *ep)
{
    ngx_connection_t  *c;

    c = sg->ws->request->connection;

    if (voice_zone_endpoint(sg->zone,
                            ngx_http_voice_admit_family(c->sockaddr),
                            voice_id_index(sg->id), ep)
        != VOICE_OK)
    {
        ngx_log_error(NGX_LOG_ERR, sg->log, 0,
                      "voice user %uL refused: there is no \"voice_relay\"",
                      sg->user_id);
        return NGX_ERROR;
    }

    if (ep->ip[0] != '\0' && ngx_strcmp(ep->ip, "0.0.0.0") != 0
        && ngx_strcmp(ep->ip, "::") != 0)
    {
        return NGX_OK;
    }

    if (ngx_http_voice_admit_local(c, ep->ip, sizeof(ep->ip)) != NGX_OK) {
        ngx_log_error(NGX_LOG_ERR, sg->log, 0,
                      "voice user %uL refused: \"voice_relay\" on a wildcard "
                      "address needs \"advertise=\" where clients come "
                      "through a unix socket", sg->user_id);
        return NGX_ERROR;
    }

    return NGX_OK;
}
