/*
 * Copyright (C) ngx-voice contributors
 *
 * /api/v1: what a platform does that manages its guilds, or that has a
 * gateway of its own.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ngx_http_voice_api.h"
#include "ngx_http_voice_cluster.h"
#include "ngx_http_voice_gateway.h"

#include <sodium.h>
#include <stddef.h>


/* How often a change is tried again that others come before. */
#define NGX_HTTP_VOICE_PLATFORM_TRIES   8

#define NGX_HTTP_VOICE_PLATFORM_TTL_MAX 86400


static void
ngx_http_voice_platform_guild(ngx_http_voice_api_t *api, ngx_uint_t status)
{
    const voice_dir_guild_t  *guild;

    guild = ngx_http_voice_guild_get(api->guild_id);

    if (guild == NULL) {
        ngx_http_voice_api_error(api, VOICE_REST_UNKNOWN_GUILD);
        return;
    }

    voice_dir_guild_encode(&api->reply, guild);
    ngx_http_voice_api_reply(api, status);
}


void
ngx_http_voice_platform_guild_get(ngx_http_voice_api_t *api)
{
    ngx_http_voice_platform_guild(api, NGX_HTTP_OK);
}


static void
ngx_http_voice_platform_invalid(ngx_http_voice_api_t *api,
    const voice_dir_error_t *error)
{
    char  message[256];

    ngx_snprintf((u_char *) message, sizeof(message), "found %s, expected %s%Z",
                 error->found[0] != '\0' ? error->found : "nothing",
                 error->expected);
    message[sizeof(message) - 1] = '\0';

    ngx_http_voice_api_field(api, error->pointer, message);
}


/* NGX_OK, or the request is answered. */

static ngx_int_t
ngx_http_voice_platform_check(ngx_http_voice_api_t *api, voice_err_t err,
    const voice_dir_guild_t *guild, const voice_dir_error_t *error)
{
    char    pointer[64];
    size_t  i;

    if (err == VOICE_E_NOMEM) {
        ngx_http_voice_api_error(api, VOICE_REST_UNAVAILABLE);
        return NGX_DECLINED;
    }

    if (err != VOICE_OK) {
        ngx_http_voice_platform_invalid(api, error);
        return NGX_DECLINED;
    }

    if (ngx_http_voice_guild_conflict(guild, &i)) {
        ngx_sprintf((u_char *) pointer, "/channels/%uz/id%Z", i);
        ngx_http_voice_api_field(api, pointer, "an id that no channel of "
                                 "another guild has is expected");
        return NGX_DECLINED;
    }

    return NGX_OK;
}


ngx_int_t
ngx_http_voice_platform_put(ngx_http_voice_api_t *api,
    const voice_dir_guild_t *guild, uint64_t before)
{
    char         old[VOICE_CLUSTER_NAME_MAX + 1];
    char         region[VOICE_CLUSTER_NAME_MAX + 1];
    uint64_t     guild_id;
    ngx_int_t    rc;
    voice_buf_t  b;

    /* the put frees the guild of before, whose texts the new one may share */

    guild_id = guild->id;

    (void) ngx_cpystrn((u_char *) old, (u_char *)
            ngx_http_voice_cluster_region(ngx_http_voice_guild_get(guild_id)),
                       sizeof(old));
    (void) ngx_cpystrn((u_char *) region,
                       (u_char *) ngx_http_voice_cluster_region(guild),
                       sizeof(region));

    voice_buf_growing(&b, NULL, VOICE_DIR_GUILD_TEXT_MAX);
    voice_dir_guild_encode(&b, guild);

    rc = NGX_ABORT;

    if (voice_buf_done(&b) == VOICE_OK) {
        rc = ngx_http_voice_guild_put(guild_id, b.data, b.len, before,
                                      api->log);
    }

    voice_buf_free(&b);

    if (rc == NGX_ABORT) {
        ngx_http_voice_api_error(api, VOICE_REST_UNAVAILABLE);
    }

    /* another region of a guild moves it, with all that are in voice */

    if (rc == NGX_OK && ngx_strcmp(region, old) != 0) {
        (void) ngx_http_voice_cluster_move(guild_id, region, "", api->log);
    }

    return rc;
}


ngx_int_t
ngx_http_voice_platform_change(ngx_http_voice_api_t *api,
    ngx_http_voice_platform_change_pt change, void *data)
{
    ngx_int_t   rc;
    ngx_uint_t  tries;

    for (tries = 0; tries < NGX_HTTP_VOICE_PLATFORM_TRIES; tries++) {

        rc = change(api, ngx_http_voice_guild_change(api->guild_id), data);

        if (rc != NGX_DECLINED) {
            return rc;
        }

        ngx_http_voice_guild_sync(api->log);
    }

    ngx_http_voice_api_error(api, VOICE_REST_UNAVAILABLE);

    return NGX_ABORT;
}


static ngx_int_t
ngx_http_voice_platform_replace(ngx_http_voice_api_t *api, uint64_t before,
    void *data)
{
    const voice_dir_guild_t  *guild = data;

    return ngx_http_voice_platform_put(api, guild, before);
}


void
ngx_http_voice_platform_guild_put(ngx_http_voice_api_t *api)
{
    ngx_uint_t           created;
    voice_err_t          err;
    voice_dir_error_t    error;
    voice_dir_guild_t   *guild;

    guild = NULL;
    ngx_memzero(&error, sizeof(voice_dir_error_t));

    err = voice_dir_guild_parse((char *) api->text, api->len, api->guild_id,
                                NULL, &guild, &error);

    created = (ngx_http_voice_guild_get(api->guild_id) == NULL);

    if (ngx_http_voice_platform_check(api, err, guild, &error) == NGX_OK
        && ngx_http_voice_platform_change(api, ngx_http_voice_platform_replace,
                                          guild)
           == NGX_OK)
    {
        ngx_log_error(NGX_LOG_INFO, api->log, 0,
                      "voice guild %uL is %s by the platform: %uD channels, "
                      "%uD members", guild->id,
                      created ? "made" : "replaced", guild->nchannels,
                      guild->nmembers);
        ngx_http_voice_platform_guild(api, created ? NGX_HTTP_CREATED
                                                   : NGX_HTTP_OK);
    }

    if (guild != NULL) {
        voice_dir_guild_free(guild);
    }
}


/* Not to where nobody could serve it.  NGX_OK, or the request is answered. */

static ngx_int_t
ngx_http_voice_platform_moves(ngx_http_voice_api_t *api,
    const voice_dir_guild_t *base, const voice_dir_guild_t *guild)
{
    const char  *region;

    region = ngx_http_voice_cluster_region(guild);

    if (ngx_voice_cluster() == NULL
        || ngx_strcmp(region, ngx_http_voice_cluster_region(base)) == 0
        || ngx_http_voice_api_region_live(api, region) == NGX_OK)
    {
        return NGX_OK;
    }

    ngx_http_voice_api_field(api, "/region", "a region that has a node is "
                             "expected, see GET /voice/regions");

    return NGX_DECLINED;
}


static ngx_int_t
ngx_http_voice_platform_patch(ngx_http_voice_api_t *api, uint64_t before,
    void *data)
{
    ngx_int_t                 rc;
    voice_err_t               err;
    voice_dir_error_t         error;
    voice_dir_guild_t        *guild;
    const voice_dir_guild_t  *base;

    base = ngx_http_voice_guild_get(api->guild_id);

    if (base == NULL) {
        ngx_http_voice_api_error(api, VOICE_REST_UNKNOWN_GUILD);
        return NGX_ABORT;
    }

    guild = NULL;
    ngx_memzero(&error, sizeof(voice_dir_error_t));

    err = voice_dir_guild_patch(base, (char *) api->text, api->len, NULL,
                                &guild, &error);

    rc = NGX_ABORT;

    if (ngx_http_voice_platform_check(api, err, guild, &error) == NGX_OK
        && ngx_http_voice_platform_moves(api, base, guild) == NGX_OK)
    {
        rc = ngx_http_voice_platform_put(api, guild, before);
    }

    if (guild != NULL) {
        voice_dir_guild_free(guild);
    }

    return rc;
}


void
ngx_http_voice_platform_guild_patch(ngx_http_voice_api_t *api)
{
    if (ngx_http_voice_platform_change(api, ngx_http_voice_platform_patch,
                                       NULL)
        == NGX_OK)
    {
        ngx_log_error(NGX_LOG_INFO, api->log, 0,
                      "voice guild %uL is changed by the platform",
                      api->guild_id);
        ngx_http_voice_platform_guild(api, NGX_HTTP_OK);
    }
}


static ngx_int_t
ngx_http_voice_platform_delete(ngx_http_voice_api_t *api, uint64_t before,
    void *data)
{
    ngx_int_t  rc;

    if (ngx_http_voice_guild_get(api->guild_id) == NULL) {
        ngx_http_voice_api_error(api, VOICE_REST_UNKNOWN_GUILD);
        return NGX_ABORT;
    }

    rc = ngx_http_voice_guild_put(api->guild_id, NULL, 0, before, api->log);

    if (rc == NGX_ABORT) {
        ngx_http_voice_api_error(api, VOICE_REST_UNAVAILABLE);
    }

    return rc;
}


void
ngx_http_voice_platform_guild_delete(ngx_http_voice_api_t *api)
{
    /* another worker may have made it just now */
    ngx_http_voice_guild_sync(api->log);

    if (ngx_http_voice_platform_change(api, ngx_http_voice_platform_delete,
                                       NULL)
        == NGX_OK)
    {
        ngx_log_error(NGX_LOG_INFO, api->log, 0,
                      "voice guild %uL is taken away by the platform",
                      api->guild_id);

        ngx_http_voice_api_reply(api, NGX_HTTP_NO_CONTENT);
    }
}


void
ngx_http_voice_platform_states(ngx_http_voice_api_t *api)
{
    size_t                    i, n;
    voice_state_info_t       *list;
    voice_shape_state_t       state;
    ngx_http_voice_member_t   m;

    if (ngx_http_voice_api_guild(api) != NGX_OK) {
        return;
    }

    list = ngx_http_voice_guild_states(api->guild_id, &n, api->log);

    voice_buf_puts(&api->reply, "[");

    for (i = 0; i < n; i++) {
        ngx_http_voice_guild_member(api->guild, list[i].user_id, &m);
        ngx_http_voice_guild_shape(&list[i], &state);

        voice_buf_puts(&api->reply, i != 0 ? "," : "");
        voice_shape_state(&api->reply, &state, true, m.member);
    }

    voice_buf_puts(&api->reply, "]");

    if (list != NULL) {
        ngx_free(list);
    }

    ngx_http_voice_api_reply(api, NGX_HTTP_OK);
}


/* POST voice-tokens. */

typedef struct {
    uint64_t   user_id;
    uint64_t   guild_id;
    uint64_t   channel_id;
    uint32_t   ttl;
    bool       mute;
    bool       deaf;
    bool       suppress;
    char       session_id[65];
} ngx_http_voice_token_form_t;


static const voice_field_t  ngx_http_voice_token_fields[] = {

    { "user_id", VOICE_FIELD_ID, true,
      offsetof(ngx_http_voice_token_form_t, user_id), 0, 0,
      "/user_id a snowflake is expected" },

    { "guild_id", VOICE_FIELD_ID, true,
      offsetof(ngx_http_voice_token_form_t, guild_id), 0, 0,
      "/guild_id a snowflake is expected" },

    { "channel_id", VOICE_FIELD_ID, true,
      offsetof(ngx_http_voice_token_form_t, channel_id), 0, 0,
      "/channel_id a snowflake is expected" },

    { "session_id", VOICE_FIELD_STRING, true,
      offsetof(ngx_http_voice_token_form_t, session_id), 1, 64,
      "/session_id a string of 1 to 64 bytes is expected" },

    { "ttl", VOICE_FIELD_U32, false,
      offsetof(ngx_http_voice_token_form_t, ttl), 1,
      NGX_HTTP_VOICE_PLATFORM_TTL_MAX,
      "/ttl a number of seconds from 1 to 86400 is expected" },

    { "mute", VOICE_FIELD_BOOL, false,
      offsetof(ngx_http_voice_token_form_t, mute), 0, 0,
      "/mute true or false is expected" },

    { "deaf", VOICE_FIELD_BOOL, false,
      offsetof(ngx_http_voice_token_form_t, deaf), 0, 0,
      "/deaf true or false is expected" },

    { "suppress", VOICE_FIELD_BOOL, false,
      offsetof(ngx_http_voice_token_form_t, suppress), 0, 0,
      "/suppress true or false is expected" }
};


/* why: the field's pointer, a space, what is wrong with it */

static void
ngx_http_voice_token_refuse(ngx_http_voice_api_t *api, const char *why)
{
    char         pointer[32];
    const char  *space;

    space = strchr(why, ' ');

    (void) ngx_cpystrn((u_char *) pointer, (u_char *) why,
                       ngx_min((size_t) (space - why) + 1, sizeof(pointer)));

    ngx_http_voice_api_field(api, pointer, space + 1);
}


/* What the body says, or else the directory, if it knows the channel. */

static ngx_int_t
ngx_http_voice_token_permissions(ngx_http_voice_api_t *api,
    voice_token_t *token)
{
    voice_json_t                value;
    const voice_dir_guild_t    *guild;
    const voice_dir_channel_t  *channel;

    if (voice_json_get(&api->body, "permissions", &value)
        != VOICE_JSON_ABSENT && value.type != VOICE_JSON_NULL)
    {
        if (voice_json_decimal(&value, &token->permissions) != VOICE_OK) {
            ngx_http_voice_api_field(api, "/permissions", "a decimal number "
                                     "as a string is expected");
            return NGX_DECLINED;
        }

        token->has_permissions = true;
        return NGX_OK;
    }

    guild = ngx_http_voice_guild_get(token->guild_id);
    channel = (guild != NULL) ? voice_dir_channel(guild, token->channel_id)
                              : NULL;

    if (channel == NULL) {
        return NGX_OK;
    }

    token->has_permissions = true;
    token->permissions = ngx_http_voice_guild_permissions(guild, channel,
                                                          token->user_id, 0);

    if (ngx_http_voice_guild_suppress(guild, channel, token->permissions)) {
        token->suppress = true;
    }

    return NGX_OK;
}


static void
ngx_http_voice_token_reply(ngx_http_voice_api_t *api,
    const voice_token_t *token, const ngx_http_voice_place_t *place)
{
    char         jwt[VOICE_TOKEN_MAX + 1];
    char         until[VOICE_SHAPE_TIME_LEN + 1];
    ngx_str_t    endpoint;
    voice_err_t  err;

    err = voice_token_sign(&api->main->keys, token, jwt, sizeof(jwt));

    if (err == VOICE_E_FORMAT) {
        ngx_http_voice_api_field(api, "/session_id",
                                 "a string in UTF-8 is expected");
        return;
    }

    if (err != VOICE_OK
        || ngx_http_voice_endpoint(api->request, &endpoint) != NGX_OK)
    {
        ngx_log_error(NGX_LOG_ERR, api->log, 0,
                      "voice token for user %uL can't be made: %s",
                      token->user_id, voice_err_name(err));
        ngx_http_voice_api_error(api, VOICE_REST_UNAVAILABLE);
        return;
    }

    voice_shape_time(until, (uint64_t) token->expires * 1000);

    voice_buf_puts(&api->reply, "{\"token\":");
    voice_buf_string(&api->reply, jwt);
    voice_buf_puts(&api->reply, ",\"endpoint\":");
    voice_buf_string(&api->reply, place->endpoint[0] != '\0'
                                  ? place->endpoint : (char *) endpoint.data);
    voice_buf_puts(&api->reply, ",\"expires_at\":");
    voice_buf_string(&api->reply, until);
    voice_buf_puts(&api->reply, "}");

    ngx_http_voice_api_reply(api, NGX_HTTP_OK);
}


/* One that waits for the server of its guild; in the request's pool. */
typedef struct {
    ngx_http_voice_api_t    *api;
    voice_token_t            token;
    ngx_http_voice_wait_t    wait;
} ngx_http_voice_token_wait_t;


static void
ngx_http_voice_token_cleanup(void *data)
{
    ngx_http_voice_token_wait_t  *tw = data;

    ngx_http_voice_wait_cancel(&tw->wait);
}


/*
 * A token of a platform's own gateway names no boot id where we are alone:
 * there is no voice state that it stands for.
 */

static void
ngx_http_voice_token_place(ngx_http_voice_api_t *api, voice_token_t *token,
    const ngx_http_voice_place_t *place)
{
    if (place->rev != 0) {
        ngx_http_voice_place_token(place, token);
    }

    ngx_http_voice_token_reply(api, token, place);
}


static void
ngx_http_voice_token_refused(ngx_http_voice_api_t *api, uint64_t guild_id,
    const char *why)
{
    ngx_log_error(NGX_LOG_ERR, api->log, 0,
                  "voice token for guild %uL can't be made, it has no "
                  "server: %s", guild_id, why);
    ngx_http_voice_api_error(api, VOICE_REST_UNAVAILABLE);
}


static void
ngx_http_voice_token_waited(ngx_http_voice_wait_t *w, const char *why)
{
    ngx_connection_t             *c;
    ngx_http_voice_place_t        place;
    ngx_http_voice_token_wait_t  *tw = w->data;

    c = tw->api->request->connection;

    if (why == NULL
        && (ngx_http_voice_place(tw->api->zone, tw->token.guild_id, &place)
            != NGX_OK
            || place.away))
    {
        why = "it was taken away at once";
    }

    if (why != NULL) {
        ngx_http_voice_token_refused(tw->api, tw->token.guild_id, why);
    } else {
        ngx_http_voice_token_place(tw->api, &tw->token, &place);
    }

    ngx_http_run_posted_requests(c);
}


static void
ngx_http_voice_token_give(ngx_http_voice_api_t *api, voice_token_t *token)
{
    const char                   *why;
    ngx_http_cleanup_t           *cln;
    ngx_http_voice_place_t        place;
    ngx_http_voice_token_wait_t  *tw;

    if (ngx_http_voice_place(api->zone, token->guild_id, &place) == NGX_OK
        && !place.away)
    {
        ngx_http_voice_token_place(api, token, &place);
        return;
    }

    tw = ngx_pcalloc(api->request->pool, sizeof(ngx_http_voice_token_wait_t));
    cln = ngx_http_cleanup_add(api->request, 0);

    if (tw == NULL || cln == NULL) {
        ngx_http_voice_api_error(api, VOICE_REST_UNAVAILABLE);
        return;
    }

    tw->api = api;
    tw->token = *token;
    tw->wait.handler = ngx_http_voice_token_waited;
    tw->wait.data = tw;
    tw->wait.log = api->log;

    if (ngx_http_voice_wait_start(&tw->wait, token->guild_id, &why) != NGX_OK)
    {
        ngx_http_voice_token_refused(api, token->guild_id, why);
        return;
    }

    /* a worker that quits answers first; nobody asks again by himself */

    tw->wait.timer.cancelable = 0;

    cln->handler = ngx_http_voice_token_cleanup;
    cln->data = tw;
}


void
ngx_http_voice_platform_token(ngx_http_voice_api_t *api)
{
    const char                   *why;
    voice_token_t                 token;
    ngx_http_voice_token_form_t   form;

    ngx_memzero(&form, sizeof(ngx_http_voice_token_form_t));
    ngx_memzero(&token, sizeof(voice_token_t));

    form.ttl = (uint32_t) api->conf->token_ttl;

    if (voice_fields_read(&api->body, ngx_http_voice_token_fields,
                          sizeof(ngx_http_voice_token_fields)
                          / sizeof(ngx_http_voice_token_fields[0]),
                          &form, &why)
        != VOICE_OK)
    {
        ngx_http_voice_token_refuse(api, why);
        return;
    }

    token.user_id = form.user_id;
    token.guild_id = form.guild_id;
    token.channel_id = form.channel_id;
    token.mute = form.mute;
    token.deaf = form.deaf;
    token.suppress = form.suppress;
    token.expires = ngx_time() + form.ttl;
    randombytes_buf(&token.serial, sizeof(token.serial));

    (void) ngx_cpystrn((u_char *) token.session_id, (u_char *) form.session_id,
                       sizeof(token.session_id));

    if (ngx_http_voice_token_permissions(api, &token) == NGX_OK) {
        ngx_http_voice_token_give(api, &token);
    }
}
