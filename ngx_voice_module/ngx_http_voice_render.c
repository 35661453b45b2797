/*
 * Copyright (C) ngx-voice contributors
 *
 * Events as their viewers see them.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ngx_http_voice_cluster.h"
#include "ngx_http_voice_dispatch.h"

#include <sodium.h>


/* In GUILD_CREATE: of larger guilds the members come by op 8. */
#define NGX_HTTP_VOICE_RENDER_LARGE   250


static voice_buf_t  ngx_http_voice_render_text;
static ngx_uint_t   ngx_http_voice_render_ready_to_use;


voice_buf_t *
ngx_http_voice_render_buf(void)
{
    if (!ngx_http_voice_render_ready_to_use) {
        voice_buf_growing(&ngx_http_voice_render_text, NULL,
                          2 * VOICE_DIR_GUILD_TEXT_MAX);
        ngx_http_voice_render_ready_to_use = 1;
    }

    voice_buf_reset(&ngx_http_voice_render_text);

    return &ngx_http_voice_render_text;
}


static void
ngx_http_voice_render_user(ngx_http_voice_gateway_t *gw,
    voice_dir_member_t *member)
{
    const char  *name;

    name = gw->name[0] != '\0' ? gw->name : "user";

    voice_dir_member_make(member, gw->user_id, name, gw->bot);
}


ngx_int_t
ngx_http_voice_render_ready(ngx_http_voice_gateway_t *gw, voice_buf_t *b)
{
    uint64_t               *id;
    ngx_str_t               url;
    ngx_uint_t              i;
    voice_dir_member_t      member;
    voice_gateway_ready_t   ready;

    if (ngx_http_voice_gateway_url(gw->ws->request, 1, &url) != NGX_OK) {
        return NGX_ERROR;
    }

    id = ngx_alloc((gw->nsubs + 1) * sizeof(uint64_t), gw->log);
    if (id == NULL) {
        return NGX_ERROR;
    }

    ngx_http_voice_render_user(gw, &member);
    ngx_memzero(&ready, sizeof(voice_gateway_ready_t));

    for (i = 0; i < gw->nsubs; i++) {
        id[ready.nguilds] = ngx_http_voice_node_guild(gw->sub[i].node);

        if (ngx_http_voice_guild_get(id[ready.nguilds]) != NULL) {
            ready.nguilds++;
        }
    }

    ready.version = gw->state.version;
    ready.user = &member.user;
    ready.session_id = gw->session.session_id;
    ready.resume_url = (char *) url.data;
    ready.guild_id = id;
    ready.application_id = gw->user_id;
    ready.shard = gw->shard;
    ready.nshards = gw->nshards;
    ready.trace = gw->zone->header->node;

    voice_gateway_ready_d(b, &ready);

    ngx_free(id);

    return voice_buf_done(b) == VOICE_OK ? NGX_OK : NGX_ERROR;
}


ngx_uint_t
ngx_http_voice_render_visible(ngx_http_voice_gateway_t *gw,
    const voice_dir_guild_t *guild, uint64_t channel_id)
{
    uint64_t                    permissions;
    ngx_http_voice_member_t     m;
    const voice_dir_channel_t  *channel;

    if (guild == NULL || channel_id == 0) {
        return 0;
    }

    m.member = voice_dir_member(guild, gw->user_id);

    if (m.member == NULL) {
        voice_dir_member_make(&m.made, gw->user_id, gw->name, gw->bot);
        m.member = &m.made;
    }

    channel = voice_dir_channel(guild, channel_id);

    /* of a channel that was taken away somebody may still have to leave */

    permissions = (channel != NULL)
                  ? voice_permission_channel(guild, channel, m.member)
                  : voice_permission_guild(guild, m.member);

    return (permissions & VOICE_PERM_VIEW_CHANNEL) != 0;
}


/* What a GUILD_CREATE is made of. */
typedef struct {
    voice_state_info_t          *info;      /* NULL: no voice states */
    voice_shape_state_t         *state;
    ngx_http_voice_member_t     *member;
    const voice_dir_member_t   **list;
} ngx_http_voice_render_guild_t;


static ngx_int_t
ngx_http_voice_render_guild_alloc(ngx_http_voice_render_guild_t *rg, size_t n,
    ngx_log_t *log)
{
    /* one more: oneself */
    n++;

    rg->state = ngx_alloc(n * sizeof(voice_shape_state_t), log);
    rg->member = ngx_alloc(n * sizeof(ngx_http_voice_member_t), log);
    rg->list = ngx_alloc(n * sizeof(voice_dir_member_t *), log);

    return (rg->state != NULL && rg->member != NULL && rg->list != NULL)
           ? NGX_OK : NGX_ERROR;
}


static void
ngx_http_voice_render_guild_free(ngx_http_voice_render_guild_t *rg)
{
    ngx_free(rg->info);
    ngx_free(rg->state);
    ngx_free(rg->member);
    ngx_free(rg->list);
}


void
ngx_http_voice_render_guild(ngx_http_voice_gateway_t *gw,
    const voice_dir_guild_t *guild, voice_buf_t *b)
{
    size_t                          i, n;
    voice_state_info_t             *info;
    voice_gateway_guild_t           g;
    ngx_http_voice_render_guild_t   rg;

    ngx_memzero(&rg, sizeof(ngx_http_voice_render_guild_t));
    ngx_memzero(&g, sizeof(voice_gateway_guild_t));

    rg.info = ngx_http_voice_guild_states(guild->id, &n, gw->log);

    if (ngx_http_voice_render_guild_alloc(&rg, n, gw->log) != NGX_OK) {
        b->err = VOICE_E_NOMEM;
        ngx_http_voice_render_guild_free(&rg);
        return;
    }

    ngx_http_voice_guild_member(guild, gw->user_id, &rg.member[0]);
    rg.list[g.nmembers++] = rg.member[0].member;

    for (i = 0; i < n; i++) {
        info = &rg.info[i];

        if (info->user_id != gw->user_id
            && (!(gw->intents & VOICE_INTENT_VOICE_STATES)
                || !ngx_http_voice_render_visible(gw, guild,
                                                  info->channel_id)))
        {
            continue;
        }

        ngx_http_voice_guild_shape(info, &rg.state[g.nstates++]);

        if (info->user_id != gw->user_id) {
            ngx_http_voice_guild_member(guild, info->user_id,
                                        &rg.member[g.nmembers]);
            rg.list[g.nmembers] = rg.member[g.nmembers].member;
            g.nmembers++;
        }
    }

    g.guild = guild;
    g.state = rg.state;
    g.directory = (guild->nmembers <= NGX_HTTP_VOICE_RENDER_LARGE);
    g.member = rg.list;

    voice_gateway_guild_d(b, &g);

    ngx_http_voice_render_guild_free(&rg);
}


void
ngx_http_voice_render_state(const voice_state_info_t *info,
    const voice_dir_guild_t *guild, ngx_uint_t gone, voice_buf_t *b)
{
    voice_shape_state_t      state;
    ngx_http_voice_member_t  m;

    ngx_http_voice_guild_member(guild, info->user_id, &m);
    ngx_http_voice_guild_shape(info, &state);

    if (gone) {
        state.channel_id = 0;
    }

    voice_gateway_voice_state_d(b, &state, m.member);
}


void
ngx_http_voice_render_member(const voice_state_info_t *info,
    const voice_dir_guild_t *guild, voice_buf_t *b)
{
    ngx_http_voice_member_t  m;

    ngx_http_voice_guild_member(guild, info->user_id, &m);

    voice_gateway_member_d(b, info->guild_id, m.member,
                           (info->flags & VOICE_SESSION_MUTE) != 0,
                           (info->flags & VOICE_SESSION_DEAF) != 0);
}


static voice_err_t
ngx_http_voice_render_token(ngx_http_voice_gateway_t *gw,
    const voice_state_info_t *info, const ngx_http_voice_place_t *place,
    uint64_t permissions, char *jwt, size_t size)
{
    voice_token_t                token;
    ngx_http_voice_main_conf_t  *vmcf;

    vmcf = ngx_http_get_module_main_conf(gw->ws->request,
                                         ngx_http_voice_module);

    ngx_memzero(&token, sizeof(voice_token_t));

    token.user_id = info->user_id;
    token.guild_id = info->guild_id;
    token.channel_id = info->channel_id;
    token.permissions = permissions;
    token.has_permissions = true;
    token.mute = (info->flags & VOICE_SESSION_MUTE) != 0;
    token.deaf = (info->flags & VOICE_SESSION_DEAF) != 0;
    token.suppress = (info->flags & VOICE_SESSION_SUPPRESS) != 0;
    token.expires = ngx_time() + gw->conf->token_ttl;

    /* the same one again would make some clients resume, section 7.2 */
    randombytes_buf(&token.serial, sizeof(token.serial));

    (void) ngx_cpystrn((u_char *) token.session_id, (u_char *) info->session_id,
                       sizeof(token.session_id));
    (void) ngx_cpystrn((u_char *) token.gateway, (u_char *) place->gateway,
                       sizeof(token.gateway));
    ngx_http_voice_place_token(place, &token);

    return voice_token_sign(&vmcf->keys, &token, jwt, size);
}


ngx_int_t
ngx_http_voice_render_server(ngx_http_voice_gateway_t *gw,
    const voice_state_info_t *info, const voice_dir_guild_t *guild,
    voice_buf_t *b)
{
    char                        jwt[VOICE_TOKEN_MAX + 1];
    uint64_t                    permissions;
    ngx_str_t                   endpoint;
    voice_err_t                 err;
    ngx_http_voice_place_t      place;
    const voice_dir_channel_t  *channel;

    channel = (guild != NULL) ? voice_dir_channel(guild, info->channel_id)
                              : NULL;

    /* it was moved out meanwhile; the log will say so */

    if (channel == NULL) {
        return NGX_DECLINED;
    }

    /* one that was given back: the log will say what comes instead */

    if (ngx_http_voice_place(gw->zone, info->guild_id, &place) != NGX_OK) {
        place.away = 1;
    }

    permissions = ngx_http_voice_guild_permissions(guild, channel,
                                                   info->user_id,
                                                   info->flags);

    err = ngx_http_voice_render_token(gw, info, &place, permissions, jwt,
                                      sizeof(jwt));

    if (err != VOICE_OK) {
        ngx_log_error(NGX_LOG_ERR, gw->log, 0,
                      "voice token of user %uL for guild %uL can't be signed: "
                      "%s", info->user_id, info->guild_id,
                      voice_err_name(err));
        return NGX_DECLINED;
    }

    if (place.away || place.endpoint[0] != '\0') {
        voice_gateway_voice_server_d(b, info->guild_id, jwt,
                                     place.away ? NULL : place.endpoint);
        return NGX_OK;
    }

    if (ngx_http_voice_endpoint(gw->ws->request, &endpoint) != NGX_OK) {
        return NGX_DECLINED;
    }

    voice_gateway_voice_server_d(b, info->guild_id, jwt,
                                 (char *) endpoint.data);

    return NGX_OK;
}
