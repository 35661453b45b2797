/*
 * Copyright (C) ngx-voice contributors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ngx_http_voice_api.h"

#include <sodium.h>


/* Of one that names no more than a member; a guild's may be a guild's. */
#define NGX_HTTP_VOICE_API_BODY        65536

#define NGX_HTTP_VOICE_API_REPLY_MAX   (2 * VOICE_DIR_GUILD_TEXT_MAX)


static void ngx_http_voice_api_body_handler(ngx_http_request_t *r);


/* Later ones are asked later; @me before an id. */

static const ngx_http_voice_route_t  ngx_http_voice_api_routes[] = {

    { NGX_HTTP_GET, "gateway", NGX_HTTP_VOICE_API_ANYBODY, 0,
      ngx_http_voice_api_gateway },

    { NGX_HTTP_GET, "gateway/bot", NGX_HTTP_VOICE_API_USER, 0,
      ngx_http_voice_api_gateway_bot },

    { NGX_HTTP_GET, "users/{@}", NGX_HTTP_VOICE_API_USER, 0,
      ngx_http_voice_api_user },

    { NGX_HTTP_GET, "users/{@}/guilds", NGX_HTTP_VOICE_API_USER, 0,
      ngx_http_voice_api_guilds },

    { NGX_HTTP_GET, "oauth2/applications/{@}", NGX_HTTP_VOICE_API_USER, 0,
      ngx_http_voice_api_application },

    { NGX_HTTP_GET, "applications/{@}", NGX_HTTP_VOICE_API_USER, 0,
      ngx_http_voice_api_application },

    { NGX_HTTP_GET, "voice/regions", NGX_HTTP_VOICE_API_USER, 0,
      ngx_http_voice_api_regions },

    { NGX_HTTP_GET, "guilds/{g}", NGX_HTTP_VOICE_API_USER, 0,
      ngx_http_voice_api_guild_get },

    { NGX_HTTP_PATCH, "guilds/{g}", NGX_HTTP_VOICE_API_USER, 1,
      ngx_http_voice_api_guild_patch },

    { NGX_HTTP_GET, "guilds/{g}/channels", NGX_HTTP_VOICE_API_USER, 0,
      ngx_http_voice_api_channels },

    { NGX_HTTP_GET, "guilds/{g}/roles", NGX_HTTP_VOICE_API_USER, 0,
      ngx_http_voice_api_roles },

    { NGX_HTTP_GET, "guilds/{g}/regions", NGX_HTTP_VOICE_API_USER, 0,
      ngx_http_voice_api_regions },

    { NGX_HTTP_GET, "guilds/{g}/members", NGX_HTTP_VOICE_API_USER, 0,
      ngx_http_voice_api_members },

    { NGX_HTTP_GET, "guilds/{g}/members/{u}", NGX_HTTP_VOICE_API_USER, 0,
      ngx_http_voice_api_member },

    { NGX_HTTP_PATCH, "guilds/{g}/members/{u}", NGX_HTTP_VOICE_API_USER, 1,
      ngx_http_voice_api_member_patch },

    { NGX_HTTP_GET, "guilds/{g}/voice-states/{u}", NGX_HTTP_VOICE_API_USER, 0,
      ngx_http_voice_api_state },

    { NGX_HTTP_PATCH, "guilds/{g}/voice-states/{@}", NGX_HTTP_VOICE_API_USER,
      1, ngx_http_voice_api_state_self },

    { NGX_HTTP_PATCH, "guilds/{g}/voice-states/{u}", NGX_HTTP_VOICE_API_USER,
      1, ngx_http_voice_api_state_patch },

    { NGX_HTTP_GET, "channels/{c}", NGX_HTTP_VOICE_API_USER, 0,
      ngx_http_voice_api_channel },

    { NGX_HTTP_PATCH, "channels/{c}", NGX_HTTP_VOICE_API_USER, 1,
      ngx_http_voice_api_channel_patch },

    { 0, NULL, NGX_HTTP_VOICE_API_ANYBODY, 0, NULL }
};


/* /api/v1: a platform's */

static const ngx_http_voice_route_t  ngx_http_voice_platform_routes[] = {

    { NGX_HTTP_GET, "guilds/{g}", NGX_HTTP_VOICE_API_PLATFORM, 0,
      ngx_http_voice_platform_guild_get },

    { NGX_HTTP_PUT, "guilds/{g}", NGX_HTTP_VOICE_API_PLATFORM, 1,
      ngx_http_voice_platform_guild_put },

    { NGX_HTTP_PATCH, "guilds/{g}", NGX_HTTP_VOICE_API_PLATFORM, 1,
      ngx_http_voice_platform_guild_patch },

    { NGX_HTTP_DELETE, "guilds/{g}", NGX_HTTP_VOICE_API_PLATFORM, 0,
      ngx_http_voice_platform_guild_delete },

    { NGX_HTTP_GET, "guilds/{g}/voice-states", NGX_HTTP_VOICE_API_PLATFORM, 0,
      ngx_http_voice_platform_states },

    { NGX_HTTP_GET, "guilds/{g}/voice-states/{u}", NGX_HTTP_VOICE_API_PLATFORM,
      0, ngx_http_voice_api_state },

    { NGX_HTTP_PATCH, "guilds/{g}/members/{u}", NGX_HTTP_VOICE_API_PLATFORM, 1,
      ngx_http_voice_api_member_patch },

    { NGX_HTTP_POST, "voice-tokens", NGX_HTTP_VOICE_API_PLATFORM, 1,
      ngx_http_voice_platform_token },

    { NGX_HTTP_GET, "events", NGX_HTTP_VOICE_API_PLATFORM, 0,
      ngx_http_voice_stream_open },

    { 0, NULL, NGX_HTTP_VOICE_API_ANYBODY, 0, NULL }
};


static void *
ngx_http_voice_api_alloc(void *data, size_t size)
{
    return ngx_palloc(data, size);
}


static void
ngx_http_voice_api_free(void *data, void *p)
{
    (void) ngx_pfree(data, p);
}


ngx_int_t
ngx_http_voice_api_guild(ngx_http_voice_api_t *api)
{
    size_t  i;

    api->guild = ngx_http_voice_guild_get(api->guild_id);

    if (api->token != NULL) {

        for (i = 0; i < api->token->nguilds; i++) {
            if (api->token->guild_id[i] == api->guild_id) {
                break;
            }
        }

        /* one that the caller isn't in is as good as none */

        if (i == api->token->nguilds) {
            api->guild = NULL;
        }
    }

    if (api->guild == NULL) {
        ngx_http_voice_api_error(api, VOICE_REST_UNKNOWN_GUILD);
        return NGX_DECLINED;
    }

    if (api->token != NULL) {
        ngx_http_voice_guild_member(api->guild, api->token->user_id,
                                    &api->self);
    }

    return NGX_OK;
}


/* Who asks. */

static ngx_int_t
ngx_http_voice_api_jwt(ngx_http_voice_api_t *api, char *jwt, size_t size)
{
    u_char           *p;
    size_t            len;
    ngx_table_elt_t  *h;

    h = api->request->headers_in.authorization;

    if (h == NULL) {
        return NGX_DECLINED;
    }

    p = h->value.data;
    len = h->value.len;

    if (len > 4 && ngx_strncasecmp(p, (u_char *) "Bot ", 4) == 0) {
        p += 4;
        len -= 4;

    } else if (len > 7 && ngx_strncasecmp(p, (u_char *) "Bearer ", 7) == 0) {
        p += 7;
        len -= 7;
    }

    while (len != 0 && *p == ' ') {
        p++;
        len--;
    }

    if (len == 0 || len >= size) {
        return NGX_DECLINED;
    }

    ngx_memcpy(jwt, p, len);
    jwt[len] = '\0';

    return NGX_OK;
}


static ngx_int_t
ngx_http_voice_api_auth(ngx_http_voice_api_t *api)
{
    char         jwt[VOICE_USER_TOKEN_MAX + 1];
    ngx_int_t    rc;
    const char  *why;

    rc = NGX_DECLINED;
    why = "there is none";

    if (ngx_http_voice_api_jwt(api, jwt, sizeof(jwt)) != NGX_OK) {
        goto done;
    }

    if (api->route->who == NGX_HTTP_VOICE_API_PLATFORM) {
        if (voice_platform_token_verify(&api->main->platform, jwt, ngx_time(),
                                        &api->expires, &why)
            == VOICE_OK)
        {
            rc = NGX_OK;
        }

        goto done;
    }

    api->token = ngx_palloc(api->request->pool, sizeof(voice_user_token_t));

    if (api->token == NULL) {
        rc = NGX_ERROR;

    } else if (voice_user_token_verify(&api->main->keys, jwt, ngx_time(),
                                       api->token, &why)
               == VOICE_OK)
    {
        rc = NGX_OK;
    }

done:

    sodium_memzero(jwt, sizeof(jwt));

    if (rc == NGX_DECLINED) {
        ngx_log_error(NGX_LOG_INFO, api->log, 0,
                      "voice API: token is not valid: %s", why);
    }

    return rc;
}


/* What calls a bucket counts: what anybody may call shuts no user out. */
typedef enum {
    NGX_HTTP_VOICE_BUCKET_USER = 0,
    NGX_HTTP_VOICE_BUCKET_ANYBODY,
    NGX_HTTP_VOICE_BUCKET_REFUSED
} ngx_http_voice_bucket_kind_t;


/* Whose bucket it is; locations with other rates have others. */
typedef struct {
    ngx_uint_t   rate;
    ngx_uint_t   burst;
    ngx_uint_t   kind;
    ngx_uint_t   family;        /* of the address; 0: a user */
    u_char       id[8];
} ngx_http_voice_bucket_t;


/*
 * The bucket of the user, or of the address: of IPv6 the network, for whoever
 * has one address has them all.  All workers share them.
 */

static voice_rate_t *
ngx_http_voice_api_bucket(ngx_http_voice_api_t *api,
    ngx_http_voice_bucket_kind_t kind)
{
    struct sockaddr          *sa = api->request->connection->sockaddr;
    ngx_http_voice_bucket_t   who;
#if (NGX_HAVE_INET6)
    struct in6_addr          *in6;
#endif

    ngx_memzero(&who, sizeof(ngx_http_voice_bucket_t));

    who.rate = api->conf->api_rate;
    who.burst = api->conf->api_burst;
    who.kind = kind;
    who.family = sa->sa_family;

    if (kind == NGX_HTTP_VOICE_BUCKET_USER) {
        who.family = 0;
        ngx_memcpy(who.id, &api->token->user_id, sizeof(uint64_t));

    } else if (sa->sa_family == AF_INET) {
        ngx_memcpy(who.id, &((struct sockaddr_in *) sa)->sin_addr, 4);

#if (NGX_HAVE_INET6)
    } else if (sa->sa_family == AF_INET6) {
        in6 = &((struct sockaddr_in6 *) sa)->sin6_addr;

        if (IN6_IS_ADDR_V4MAPPED(in6)) {
            who.family = AF_INET;
            ngx_memcpy(who.id, in6->s6_addr + 12, 4);

        } else {
            ngx_memcpy(who.id, in6->s6_addr, 8);
        }
#endif
    }

    return voice_zone_rate(api->zone, &who, sizeof(who));
}


/* NGX_BUSY: not now.  look: takes none, but asks whether there is one. */

static ngx_int_t
ngx_http_voice_api_take(ngx_http_voice_api_t *api,
    ngx_http_voice_bucket_kind_t kind, ngx_uint_t look)
{
    voice_rate_t        *rate;
    voice_rate_limit_t   limit;

    if (api->conf->api_rate == 0) {
        return NGX_OK;
    }

    rate = ngx_http_voice_api_bucket(api, kind);
    limit = voice_rate_limit((uint32_t) api->conf->api_rate, 1000,
                             (uint32_t) api->conf->api_burst);

    if (look) {
        voice_rate_look(rate, &limit, ngx_voice_now(), &api->left);
        return api->left.retry == 0 ? NGX_OK : NGX_BUSY;
    }

    return voice_rate_take(rate, &limit, ngx_voice_now(), &api->left)
           ? NGX_OK : NGX_BUSY;
}


/*
 * Who it is, and whether it may ask so often: users each for themselves, and
 * an address whose tokens are no good.  A platform may, and is not kept out
 * by others at its address.  NGX_DECLINED: nobody that is known.
 */

static ngx_int_t
ngx_http_voice_api_admit(ngx_http_voice_api_t *api)
{
    ngx_int_t  rc;

    switch (api->route->who) {

    case NGX_HTTP_VOICE_API_ANYBODY:
        return ngx_http_voice_api_take(api, NGX_HTTP_VOICE_BUCKET_ANYBODY, 0);

    case NGX_HTTP_VOICE_API_USER:
        /* before its token is looked at, which costs */

        if (ngx_http_voice_api_take(api, NGX_HTTP_VOICE_BUCKET_REFUSED, 1)
            != NGX_OK)
        {
            return NGX_BUSY;
        }

        rc = ngx_http_voice_api_auth(api);

        if (rc == NGX_OK) {
            return ngx_http_voice_api_take(api, NGX_HTTP_VOICE_BUCKET_USER, 0);
        }

        break;

    default:
        rc = ngx_http_voice_api_auth(api);
    }

    if (rc == NGX_DECLINED
        && ngx_http_voice_api_take(api, NGX_HTTP_VOICE_BUCKET_REFUSED, 0)
           != NGX_OK)
    {
        return NGX_BUSY;
    }

    return rc;
}


/* Which call it is. */

ngx_int_t
ngx_http_voice_api_id(ngx_str_t *word, uint64_t *id)
{
    size_t    i;
    uint64_t  n;

    if (word->len == 0 || word->len > 20) {
        return NGX_DECLINED;
    }

    for (i = 0, n = 0; i < word->len; i++) {
        if (word->data[i] < '0' || word->data[i] > '9'
            || n > (UINT64_MAX - (word->data[i] - '0')) / 10)
        {
            return NGX_DECLINED;
        }

        n = n * 10 + (word->data[i] - '0');
    }

    *id = n;

    return n != 0 ? NGX_OK : NGX_DECLINED;
}


/* NGX_ABORT: it is this call, but a word is no id. */

static ngx_int_t
ngx_http_voice_api_word(ngx_http_voice_api_t *api, const char *pattern,
    size_t len, ngx_str_t *word)
{
    uint64_t    id;
    ngx_uint_t  me;

    if (pattern[0] != '{') {
        return (word->len == len && ngx_strncmp(word->data, pattern, len) == 0)
               ? NGX_OK : NGX_DECLINED;
    }

    me = (word->len == 3 && ngx_strncmp(word->data, "@me", 3) == 0);

    if (pattern[1] == '@') {
        return me ? NGX_OK : NGX_DECLINED;
    }

    if (pattern[1] == 'u' && me) {
        api->user_id = 0;
        return NGX_OK;
    }

    if (ngx_http_voice_api_id(word, &id) != NGX_OK) {
        return NGX_ABORT;
    }

    switch (pattern[1]) {

    case 'g':
        api->guild_id = id;
        break;

    case 'c':
        api->channel_id = id;
        break;

    default:
        api->user_id = id;
        break;
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_voice_api_match(ngx_http_voice_api_t *api, const char *pattern,
    ngx_str_t *path)
{
    u_char      *p, *last, *slash;
    ngx_int_t    rc, result;
    ngx_str_t    word;
    const char  *end;

    p = path->data;
    last = p + path->len;
    result = NGX_OK;

    for ( ;; ) {
        slash = ngx_strlchr(p, last, '/');
        word.data = p;
        word.len = (slash != NULL ? slash : last) - p;

        end = strchr(pattern, '/');

        rc = ngx_http_voice_api_word(api, pattern,
                                     end != NULL ? (size_t) (end - pattern)
                                                 : ngx_strlen(pattern), &word);
        if (rc == NGX_DECLINED) {
            return NGX_DECLINED;
        }

        if (rc == NGX_ABORT) {
            result = NGX_ABORT;
        }

        if (slash == NULL || end == NULL) {
            return (slash == NULL && end == NULL) ? result : NGX_DECLINED;
        }

        p = slash + 1;
        pattern = end + 1;
    }
}


/* The path below the location and the version; the version, 0 if none. */

static ngx_uint_t
ngx_http_voice_api_path(ngx_http_request_t *r, ngx_str_t *path)
{
    u_char                    *p, *last;
    ngx_uint_t                 version;
    ngx_http_core_loc_conf_t  *clcf;

    clcf = ngx_http_get_module_loc_conf(r, ngx_http_core_module);

    p = r->uri.data;
    last = p + r->uri.len;

    if (clcf->name.len <= r->uri.len
        && ngx_strncmp(p, clcf->name.data, clcf->name.len) == 0)
    {
        p += clcf->name.len;
    }

    while (p < last && *p == '/') {
        p++;
    }

    if (last - p >= 4 && ngx_strncmp(p, "api/", 4) == 0) {
        p += 4;
    }

    version = 0;

    if (last - p >= 2 && p[0] == 'v' && p[1] >= '0' && p[1] <= '9') {
        for (p++; p < last && *p >= '0' && *p <= '9' && version < 1000; p++) {
            version = version * 10 + (*p - '0');
        }

        if (p < last && *p == '/') {
            p++;
        }
    }

    while (last > p && last[-1] == '/') {
        last--;
    }

    path->data = p;
    path->len = last - p;

    return version;
}


/* NGX_OK: api->route is set; else the error to answer with. */

static ngx_int_t
ngx_http_voice_api_route(ngx_http_voice_api_t *api,
    voice_rest_error_t *error)
{
    ngx_int_t                      rc;
    ngx_str_t                      path;
    ngx_uint_t                     method, version;
    const ngx_http_voice_route_t  *route;

    version = ngx_http_voice_api_path(api->request, &path);

    *error = VOICE_REST_NOT_FOUND;

    if (version == 1) {
        route = ngx_http_voice_platform_routes;

    } else if (version == 0 || (version >= 6 && version <= 10)) {
        route = ngx_http_voice_api_routes;

    } else {
        return NGX_DECLINED;
    }

    method = api->request->method;

    if (method == NGX_HTTP_HEAD) {
        method = NGX_HTTP_GET;
    }

    for ( /* void */ ; route->path != NULL; route++) {

        rc = ngx_http_voice_api_match(api, route->path, &path);

        if (rc == NGX_DECLINED) {
            continue;
        }

        *error = VOICE_REST_METHOD;

        if (route->method == method) {
            api->route = route;

            if (rc == NGX_OK) {
                return NGX_OK;
            }

            *error = VOICE_REST_INVALID_FORM;
            return NGX_DECLINED;
        }
    }

    return NGX_DECLINED;
}


/* The body. */

ngx_int_t
ngx_http_voice_api_collect(ngx_http_request_t *r, ngx_str_t *text)
{
    size_t                    len;
    ssize_t                   n;
    u_char                   *p;
    ngx_chain_t              *cl;
    ngx_http_request_body_t  *rb;

    rb = r->request_body;

    for (len = 0, cl = rb != NULL ? rb->bufs : NULL; cl; cl = cl->next) {
        len += ngx_buf_size(cl->buf);
    }

    p = ngx_pnalloc(r->pool, len + 1);
    if (p == NULL) {
        return NGX_ERROR;
    }

    text->data = p;
    text->len = len;

    for (cl = rb != NULL ? rb->bufs : NULL; cl; cl = cl->next) {

        if (!cl->buf->in_file) {
            p = ngx_cpymem(p, cl->buf->pos, cl->buf->last - cl->buf->pos);
            continue;
        }

        n = ngx_read_file(cl->buf->file, p,
                          (size_t) (cl->buf->file_last - cl->buf->file_pos),
                          cl->buf->file_pos);

        if (n != cl->buf->file_last - cl->buf->file_pos) {
            return NGX_ERROR;
        }

        p += n;
    }

    *p = '\0';

    return NGX_OK;
}


static void
ngx_http_voice_api_call(ngx_http_voice_api_t *api)
{
    ngx_http_voice_guild_sync(api->log);

    if (api->token != NULL && api->user_id == 0) {
        api->user_id = api->token->user_id;
    }

    api->route->handler(api);
}


static void
ngx_http_voice_api_body_handler(ngx_http_request_t *r)
{
    ngx_str_t              text;
    const char            *why;
    ngx_http_voice_api_t  *api;

    api = ngx_http_get_module_ctx(r, ngx_http_voice_module);

    if (ngx_http_voice_api_collect(r, &text) != NGX_OK) {
        ngx_http_finalize_request(r, NGX_HTTP_INTERNAL_SERVER_ERROR);
        return;
    }

    api->text = text.data;
    api->len = text.len;

    if (api->route->who != NGX_HTTP_VOICE_API_PLATFORM
        && api->len > NGX_HTTP_VOICE_API_BODY)
    {
        ngx_http_voice_api_error(api, VOICE_REST_TOO_LARGE);
        return;
    }

    if (voice_json_parse((char *) api->text, api->len, &api->body, &why)
        != VOICE_OK)
    {
        ngx_log_error(NGX_LOG_INFO, api->log, 0,
                      "voice API: body is not JSON: %s", why);
        ngx_http_voice_api_error(api, VOICE_REST_INVALID_JSON);
        return;
    }

    if (api->body.type != VOICE_JSON_OBJECT) {
        ngx_http_voice_api_field(api, "", "an object is expected");
        return;
    }

    ngx_http_voice_api_call(api);
}


static void
ngx_http_voice_api_start(ngx_http_voice_api_t *api)
{
    ngx_int_t            rc;
    voice_rest_error_t   error;

    if (ngx_http_voice_api_route(api, &error) != NGX_OK) {

        if (error == VOICE_REST_INVALID_FORM) {
            ngx_http_voice_api_field(api, "", "an id in the path is no "
                                     "snowflake");
            return;
        }

        ngx_http_voice_api_error(api, error);
        return;
    }

    switch (ngx_http_voice_api_admit(api)) {

    case NGX_OK:
        break;

    case NGX_BUSY:
        ngx_http_voice_api_limited(api);
        return;

    case NGX_DECLINED:
        ngx_http_voice_api_error(api, VOICE_REST_UNAUTHORIZED);
        return;

    default:
        ngx_http_finalize_request(api->request,
                                  NGX_HTTP_INTERNAL_SERVER_ERROR);
        return;
    }

    if (!api->route->body) {
        ngx_http_voice_api_call(api);
        return;
    }

    rc = ngx_http_read_client_request_body(api->request,
                                           ngx_http_voice_api_body_handler);

    if (rc >= NGX_HTTP_SPECIAL_RESPONSE) {
        ngx_http_finalize_request(api->request, rc);
        return;
    }

    /* the body's reader holds a count of its own */
    ngx_http_finalize_request(api->request, NGX_DONE);
}


ngx_int_t
ngx_http_voice_api_handler(ngx_http_request_t *r)
{
    ngx_int_t              rc;
    ngx_http_cleanup_t    *cln;
    ngx_http_voice_api_t  *api;

    if (!ngx_http_voice_guild_ready()) {
        ngx_log_error(NGX_LOG_ERR, r->connection->log, 0,
                      "voice API: this worker has no voice zone");
        return NGX_HTTP_SERVICE_UNAVAILABLE;
    }

    api = ngx_pcalloc(r->pool, sizeof(ngx_http_voice_api_t));
    cln = (api != NULL) ? ngx_http_cleanup_add(r, 0) : NULL;

    if (cln == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    api->request = r;
    api->conf = ngx_http_get_module_loc_conf(r, ngx_http_voice_module);
    api->main = ngx_http_get_module_main_conf(r, ngx_http_voice_module);
    api->zone = ngx_voice_zone((ngx_cycle_t *) ngx_cycle);
    api->log = r->connection->log;

    cln->handler = ngx_http_voice_api_count;
    cln->data = api;

    api->alloc.alloc = ngx_http_voice_api_alloc;
    api->alloc.free = ngx_http_voice_api_free;
    api->alloc.data = r->pool;

    voice_buf_growing(&api->reply, &api->alloc, NGX_HTTP_VOICE_API_REPLY_MAX);

    ngx_http_set_ctx(r, api, ngx_http_voice_module);

    /* a body that nobody asks for must not be taken for a request */

    rc = NGX_OK;

    if (r->method == NGX_HTTP_GET || r->method == NGX_HTTP_HEAD
        || r->method == NGX_HTTP_DELETE)
    {
        rc = ngx_http_discard_request_body(r);
    }

    if (rc != NGX_OK) {
        return rc;
    }

    r->main->count++;
    ngx_http_voice_api_start(api);

    return NGX_DONE;
}
