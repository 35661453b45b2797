/*
 * Copyright (C) ngx-voice contributors
 *
 * REST: what libraries call, in Discord's shapes (protocol "Main gateway",
 * section 14), and what a platform calls to manage guilds.
 */


#ifndef _NGX_HTTP_VOICE_API_H_INCLUDED_
#define _NGX_HTTP_VOICE_API_H_INCLUDED_


#include "ngx_http_voice_guild.h"

#include "voice_json.h"


/* A request.  In its pool. */
typedef struct {
    ngx_http_request_t          *request;
    ngx_http_voice_loc_conf_t   *conf;
    ngx_http_voice_main_conf_t  *main;
    voice_zone_t                *zone;
    ngx_log_t                   *log;
    voice_alloc_t                alloc;      /* the request's pool */
    voice_buf_t                  reply;

    const struct ngx_http_voice_route_s  *route;

    /* of the path; user: oneself for @me */
    uint64_t                     guild_id;
    uint64_t                     channel_id;
    uint64_t                     user_id;

    voice_user_token_t          *token;      /* NULL: a platform, or nobody */
    int64_t                      expires;    /* of a platform's; 0: never */

    voice_rate_left_t            left;       /* of who asks too often */

    /* set by ngx_http_voice_api_guild(): the guild, and the caller in it */
    const voice_dir_guild_t     *guild;
    ngx_http_voice_member_t      self;

    u_char                      *text;       /* of the body */
    size_t                       len;
    voice_json_t                 body;       /* an object */
} ngx_http_voice_api_t;


typedef void (*ngx_http_voice_api_pt)(ngx_http_voice_api_t *api);


typedef enum {
    NGX_HTTP_VOICE_API_ANYBODY = 0,
    NGX_HTTP_VOICE_API_USER,
    NGX_HTTP_VOICE_API_PLATFORM
} ngx_http_voice_api_who_t;


/* path: {g}, {c}, {u} stand for ids; {u} may be @me, {@} is @me */
typedef struct ngx_http_voice_route_s {
    ngx_uint_t                   method;
    const char                  *path;
    ngx_http_voice_api_who_t     who;
    ngx_uint_t                   body;       /* is expected */
    ngx_http_voice_api_pt        handler;
} ngx_http_voice_route_t;


ngx_int_t ngx_http_voice_api_handler(ngx_http_request_t *r);


/* The whole body of a request, with a NUL behind it; in its pool. */
ngx_int_t ngx_http_voice_api_collect(ngx_http_request_t *r, ngx_str_t *text);


/* For the handlers of routes: each ends by one of these. */

/* What stands in api->reply; status 204: nothing. */
void ngx_http_voice_api_reply(ngx_http_voice_api_t *api, ngx_uint_t status);
void ngx_http_voice_api_error(ngx_http_voice_api_t *api,
    voice_rest_error_t error);

/* 400 with the field named by a JSON pointer */
void ngx_http_voice_api_field(ngx_http_voice_api_t *api, const char *pointer,
    const char *message);


/* 429 */
void ngx_http_voice_api_limited(ngx_http_voice_api_t *api);

/* A cleanup handler: the request ends, however it was answered. */
void ngx_http_voice_api_count(void *data);

/*
 * Finds the guild of the path, which must be one of the caller's; else the
 * request is answered and the result is not NGX_OK.
 */
ngx_int_t ngx_http_voice_api_guild(ngx_http_voice_api_t *api);

/* A snowflake of the URL; NGX_DECLINED. */
ngx_int_t ngx_http_voice_api_id(ngx_str_t *word, uint64_t *id);

/* The value of a header of the request, or NULL. */
ngx_str_t *ngx_http_voice_api_header_in(ngx_http_request_t *r,
    const char *name);

/* As NGX_LOG_INFO, with the reason that the caller gives. */
void ngx_http_voice_api_log(ngx_http_voice_api_t *api, const char *what,
    uint64_t user_id, uint64_t channel_id);


/* ngx_http_voice_api_read.c */
void ngx_http_voice_api_gateway(ngx_http_voice_api_t *api);
void ngx_http_voice_api_gateway_bot(ngx_http_voice_api_t *api);
void ngx_http_voice_api_user(ngx_http_voice_api_t *api);
void ngx_http_voice_api_application(ngx_http_voice_api_t *api);
void ngx_http_voice_api_guilds(ngx_http_voice_api_t *api);
void ngx_http_voice_api_guild_get(ngx_http_voice_api_t *api);
void ngx_http_voice_api_channels(ngx_http_voice_api_t *api);
void ngx_http_voice_api_roles(ngx_http_voice_api_t *api);
void ngx_http_voice_api_channel(ngx_http_voice_api_t *api);
void ngx_http_voice_api_members(ngx_http_voice_api_t *api);
void ngx_http_voice_api_member(ngx_http_voice_api_t *api);
void ngx_http_voice_api_state(ngx_http_voice_api_t *api);

ngx_uint_t ngx_http_voice_api_is_member(ngx_http_voice_api_t *api,
    uint64_t user_id);
void ngx_http_voice_api_member_shape(ngx_http_voice_api_t *api,
    uint64_t user_id);

/* ngx_http_voice_api_region.c */
void ngx_http_voice_api_regions(ngx_http_voice_api_t *api);
void ngx_http_voice_api_guild_patch(ngx_http_voice_api_t *api);
void ngx_http_voice_api_channel_patch(ngx_http_voice_api_t *api);

/* A node of it takes guilds; "": any */
ngx_int_t ngx_http_voice_api_region_live(ngx_http_voice_api_t *api,
    const char *region);

/* ngx_http_voice_api_member.c */
void ngx_http_voice_api_member_patch(ngx_http_voice_api_t *api);

/* ngx_http_voice_api_state.c */
void ngx_http_voice_api_state_self(ngx_http_voice_api_t *api);
void ngx_http_voice_api_state_patch(ngx_http_voice_api_t *api);

/* ngx_http_voice_platform.c */

/*
 * Replaces a guild, and moves it where its region is another one.  NGX_OK:
 * done; NGX_DECLINED: somebody else came before; else the request is answered.
 */
ngx_int_t ngx_http_voice_platform_put(ngx_http_voice_api_t *api,
    const voice_dir_guild_t *guild, uint64_t before);

/* As ngx_http_voice_platform_put(), of the guild as it is here at `before`. */
typedef ngx_int_t (*ngx_http_voice_platform_change_pt)(
    ngx_http_voice_api_t *api, uint64_t before, void *data);

/*
 * Has a guild changed, and again while others come before.  NGX_OK, or the
 * request is answered.
 */
ngx_int_t ngx_http_voice_platform_change(ngx_http_voice_api_t *api,
    ngx_http_voice_platform_change_pt change, void *data);

void ngx_http_voice_platform_guild_get(ngx_http_voice_api_t *api);
void ngx_http_voice_platform_guild_put(ngx_http_voice_api_t *api);
void ngx_http_voice_platform_guild_patch(ngx_http_voice_api_t *api);
void ngx_http_voice_platform_guild_delete(ngx_http_voice_api_t *api);
void ngx_http_voice_platform_states(ngx_http_voice_api_t *api);
void ngx_http_voice_platform_token(ngx_http_voice_api_t *api);

/* ngx_http_voice_stream.c: server-sent events */
void ngx_http_voice_stream_open(ngx_http_voice_api_t *api);
void ngx_http_voice_stream_wake(void);
ngx_int_t ngx_http_voice_stream_init_process(ngx_cycle_t *cycle);


#endif /* _NGX_HTTP_VOICE_API_H_INCLUDED_ */
