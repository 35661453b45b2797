/*
 * Copyright (C) ngx-voice contributors
 *
 * Regions, and which one a guild is served in.  All channels of a guild are
 * served by one node, so the region of one of its channels is that of all.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ngx_http_voice_api.h"
#include "ngx_http_voice_cluster.h"


#define NGX_HTTP_VOICE_REGIONS  64


/* Which one a PATCH asks for; "": none, as before anybody said one. */
typedef char  ngx_http_voice_region_t[VOICE_CLUSTER_NAME_MAX + 1];


/* Those that have a node which takes guilds; gives their number. */

static ngx_uint_t
ngx_http_voice_regions(ngx_http_voice_api_t *api,
    ngx_http_voice_region_t *list)
{
    uint32_t            slot;
    ngx_uint_t          i, n;
    voice_id_t          id;
    voice_cluster_t    *c;
    voice_node_info_t   info;

    n = 0;
    slot = 0;
    c = ngx_voice_cluster();

    while (c != NULL && n < NGX_HTTP_VOICE_REGIONS
           && voice_cluster_node_next(c, &slot, &id, &info, NULL) == VOICE_OK)
    {
        if ((info.flags & (VOICE_NODE_UP|VOICE_NODE_DOWN|VOICE_NODE_DRAIN
                           |VOICE_NODE_EVICT))
            != VOICE_NODE_UP)
        {
            continue;
        }

        for (i = 0; i < n && ngx_strcmp(list[i], info.region) != 0; i++) {
            /* void */
        }

        if (i == n && info.region[0] != '\0') {
            (void) ngx_cpystrn((u_char *) list[n++], (u_char *) info.region,
                               sizeof(ngx_http_voice_region_t));
        }
    }

    /* alone, or an agent that has not told of any node yet */

    if (n == 0) {
        (void) ngx_cpystrn((u_char *) list[n++], api->conf->region.data,
                           sizeof(ngx_http_voice_region_t));
    }

    return n;
}


/* Where this node is. */

static void
ngx_http_voice_region_self(ngx_http_voice_api_t *api,
    ngx_http_voice_region_t region)
{
    u_char             *name;
    voice_cluster_t    *c;
    voice_node_info_t   info;

    c = ngx_voice_cluster();
    name = api->conf->region.data;

    if (c != NULL
        && voice_cluster_node(c, voice_cluster_self(c), &info, NULL)
           == VOICE_OK)
    {
        name = (u_char *) info.region;
    }

    (void) ngx_cpystrn((u_char *) region, name,
                       sizeof(ngx_http_voice_region_t));
}


void
ngx_http_voice_api_regions(ngx_http_voice_api_t *api)
{
    ngx_uint_t               i, n;
    voice_shape_region_t     shape[NGX_HTTP_VOICE_REGIONS];
    ngx_http_voice_region_t  list[NGX_HTTP_VOICE_REGIONS], self;

    if (api->guild_id != 0 && ngx_http_voice_api_guild(api) != NGX_OK) {
        return;
    }

    n = ngx_http_voice_regions(api, list);
    ngx_http_voice_region_self(api, self);
    ngx_memzero(shape, sizeof(shape));

    for (i = 0; i < n; i++) {
        shape[i].id = list[i];
        shape[i].name = list[i];
        shape[i].optimal = (ngx_strcmp(list[i], self) == 0);
    }

    voice_shape_regions(&api->reply, shape, n);
    ngx_http_voice_api_reply(api, NGX_HTTP_OK);
}


ngx_int_t
ngx_http_voice_api_region_live(ngx_http_voice_api_t *api, const char *region)
{
    ngx_uint_t               i, n;
    ngx_http_voice_region_t  list[NGX_HTTP_VOICE_REGIONS];

    if (region[0] == '\0') {
        return NGX_OK;
    }

    n = ngx_http_voice_regions(api, list);

    for (i = 0; i < n; i++) {
        if (ngx_strcmp(list[i], region) == 0) {
            return NGX_OK;
        }
    }

    return NGX_DECLINED;
}


/* NGX_OK, or the request is answered. */

static ngx_int_t
ngx_http_voice_region_read(ngx_http_voice_api_t *api, const char *key,
    ngx_http_voice_region_t region)
{
    char               pointer[16];
    voice_json_t       value;
    voice_json_type_t  type;

    ngx_sprintf((u_char *) pointer, "/%s%Z", key);

    region[0] = '\0';
    type = voice_json_get(&api->body, key, &value);

    if (type == VOICE_JSON_NULL) {
        return NGX_OK;
    }

    if (type != VOICE_JSON_STRING) {
        ngx_http_voice_api_field(api, pointer,
                                 "the id of a region or null is expected");
        return NGX_DECLINED;
    }

    if (voice_json_string(&value, region, sizeof(ngx_http_voice_region_t))
        != VOICE_OK
        || region[0] == '\0'
        || ngx_http_voice_api_region_live(api, region) != NGX_OK)
    {
        ngx_http_voice_api_field(api, pointer, "a region that has a node is "
                                 "expected, see GET /voice/regions");
        return NGX_DECLINED;
    }

    return NGX_OK;
}


/* The guild as it is, but for its region; of all its channels, too. */

static ngx_int_t
ngx_http_voice_region_put(ngx_http_voice_api_t *api, uint64_t before,
    void *data)
{
    size_t                i;
    const char           *region = data;
    voice_dir_guild_t     guild;
    voice_dir_channel_t  *channel;

    if (ngx_http_voice_api_guild(api) != NGX_OK) {
        return NGX_ABORT;
    }

    guild = *api->guild;

    channel = ngx_palloc(api->request->pool,
                         guild.nchannels * sizeof(voice_dir_channel_t));

    if (channel == NULL) {
        ngx_http_voice_api_error(api, VOICE_REST_UNAVAILABLE);
        return NGX_ABORT;
    }

    for (i = 0; i < guild.nchannels; i++) {
        channel[i] = guild.channel[i];

        if (api->channel_id == 0) {
            channel[i].rtc_region = NULL;      /* the guild's word counts */

        } else if (voice_dir_channel_is_voice(&channel[i])
                   && (channel[i].id == api->channel_id
                       || channel[i].rtc_region != NULL))
        {
            channel[i].rtc_region = region;
        }
    }

    guild.channel = channel;

    if (api->channel_id == 0) {
        guild.region = region;
    }

    return ngx_http_voice_platform_put(api, &guild, before);
}


/* NGX_OK, or the request is answered. */

static ngx_int_t
ngx_http_voice_region_change(ngx_http_voice_api_t *api,
    ngx_http_voice_region_t region)
{
    ngx_int_t  rc;

    rc = ngx_http_voice_platform_change(api, ngx_http_voice_region_put,
                                        region[0] != '\0' ? region : NULL);

    if (rc == NGX_OK) {
        ngx_log_error(NGX_LOG_INFO, api->log, 0,
                      "voice guild %uL gets region \"%s\" by user %uL",
                      api->guild_id, region, api->token->user_id);
    }

    return rc;
}


void
ngx_http_voice_api_guild_patch(ngx_http_voice_api_t *api)
{
    ngx_http_voice_region_t  region;

    if (ngx_http_voice_api_guild(api) != NGX_OK) {
        return;
    }

    if (!(voice_permission_guild(api->guild, api->self.member)
          & VOICE_PERM_MANAGE_GUILD))
    {
        ngx_http_voice_api_error(api, VOICE_REST_MISSING_PERMISSIONS);
        return;
    }

    if (ngx_http_voice_region_read(api, "region", region) == NGX_OK
        && ngx_http_voice_region_change(api, region) == NGX_OK)
    {
        ngx_http_voice_api_guild_get(api);
    }
}


void
ngx_http_voice_api_channel_patch(ngx_http_voice_api_t *api)
{
    uint64_t                    permissions;
    const voice_dir_guild_t    *guild;
    ngx_http_voice_region_t     region;
    const voice_dir_channel_t  *channel;

    channel = ngx_http_voice_guild_channel(api->channel_id, &guild);

    if (channel == NULL) {
        ngx_http_voice_api_error(api, VOICE_REST_UNKNOWN_CHANNEL);
        return;
    }

    api->guild_id = guild->id;

    if (ngx_http_voice_api_guild(api) != NGX_OK) {
        return;
    }

    permissions = voice_permission_channel(api->guild, channel,
                                           api->self.member);

    if ((permissions & VOICE_PERM_MANAGE_CHANNELS) == 0
        || (permissions & VOICE_PERM_VIEW_CHANNEL) == 0)
    {
        ngx_http_voice_api_error(api, VOICE_REST_MISSING_PERMISSIONS);
        return;
    }

    if (!voice_dir_channel_is_voice(channel)) {
        ngx_http_voice_api_error(api, VOICE_REST_WRONG_CHANNEL_TYPE);
        return;
    }

    if (ngx_http_voice_region_read(api, "rtc_region", region) == NGX_OK
        && ngx_http_voice_region_change(api, region) == NGX_OK)
    {
        ngx_http_voice_api_channel(api);
    }
}
