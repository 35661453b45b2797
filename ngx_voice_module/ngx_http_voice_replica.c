/*
 * Copyright (C) ngx-voice contributors
 */


#include <ngx_config.h>
#include <ngx_core.h>

#include "ngx_http_voice_guild.h"
#include "ngx_http_voice_replica.h"


void
ngx_http_voice_replica_init(ngx_http_voice_replica_t *rp)
{
    voice_store_t  *st;

    st = ngx_http_voice_guild_store();

    ngx_memzero(rp, sizeof(ngx_http_voice_replica_t));
    rp->next = (st != NULL) ? voice_store_change(st) : 0;
}


/* The lowest one that is wanted. */

static size_t
ngx_http_voice_replica_first(uint64_t bits)
{
    size_t  i;

    for (i = 0; i < VOICE_STORE_VERSIONS - 1; i++) {
        if (bits & ((uint64_t) 1 << i)) {
            break;
        }
    }

    return i;
}


static ngx_int_t
ngx_http_voice_replica_send(ngx_http_voice_replica_t *rp, voice_store_t *st,
    const voice_peer_message_t *m, voice_buf_t *b)
{
    size_t               i;
    voice_peer_guild_t   guild;
    voice_store_entry_t  e;

    i = ngx_http_voice_replica_first(rp->want);

    /* as it is now, which may be newer than the offer */

    if (voice_store_get(st, rp->offer[i].id, NULL, &e) != VOICE_OK) {
        return NGX_DECLINED;
    }

    guild.id = e.id;
    guild.revision = e.revision;
    guild.text = e.text;
    guild.len = e.len;

    voice_peer_put_begin(b, m);
    voice_peer_put_guild(b, &guild);
    voice_free(NULL, e.text);

    rp->sent = 1;

    return NGX_OK;
}


ngx_int_t
ngx_http_voice_replica_say(ngx_http_voice_replica_t *rp,
    const voice_peer_message_t *m, voice_buf_t *b)
{
    voice_store_t  *st;

    st = ngx_http_voice_guild_store();

    if (st == NULL) {
        return NGX_DECLINED;
    }

    if (rp->want != 0) {
        return ngx_http_voice_replica_send(rp, st, m, b);
    }

    if (rp->next == voice_store_change(st)) {
        rp->all = 0;
        return NGX_DECLINED;
    }

    rp->going = rp->next;
    voice_store_versions(st, &rp->going, rp->all, rp->offer,
                         VOICE_STORE_VERSIONS, &rp->n);

    if (rp->n == 0) {
        rp->next = rp->going;
        rp->all = 0;
        return NGX_DECLINED;
    }

    voice_peer_put_begin(b, m);
    voice_peer_put_offers(b, rp->offer, rp->n);
    voice_peer_put_end(b);

    rp->asked = 1;

    return NGX_OK;
}


void
ngx_http_voice_replica_answer(ngx_http_voice_replica_t *rp,
    const voice_peer_answer_t *answer)
{
    if (rp->sent) {
        rp->want &= rp->want - 1;

    } else if (rp->asked) {
        rp->want = answer->want;

        if (rp->n < VOICE_STORE_VERSIONS) {
            rp->want &= ((uint64_t) 1 << rp->n) - 1;
        }
    }

    if ((rp->sent || rp->asked) && rp->want == 0) {
        rp->next = rp->going;
    }

    rp->sent = 0;
    rp->asked = 0;

    if (answer->guilds) {
        rp->next = 0;
        rp->want = 0;
        rp->all = 1;
    }
}


void
ngx_http_voice_replica_lost(ngx_http_voice_replica_t *rp)
{
    rp->want = 0;
    rp->sent = 0;
    rp->asked = 0;
}


void
ngx_http_voice_replica_compare(voice_peer_message_t *m)
{
    voice_store_t  *st;

    st = ngx_http_voice_guild_store();

    if (st != NULL) {
        m->has_guilds = true;
        m->guilds = voice_store_digest(st);
    }
}


static void
ngx_http_voice_replica_offers(voice_store_t *st, const voice_json_t *offers,
    voice_peer_answer_t *answer)
{
    size_t                  n;
    const char             *why;
    voice_json_t            item;
    voice_store_version_t   list[VOICE_STORE_VERSIONS];

    ngx_memzero(&item, sizeof(voice_json_t));

    for (n = 0; n < VOICE_STORE_VERSIONS; n++) {
        if (!voice_json_next(offers, &item)
            || voice_peer_offer_decode(&item, &list[n], &why) != VOICE_OK)
        {
            break;
        }
    }

    answer->want = voice_store_wants(st, list, n);
}


/* A guild that can be used, so that no node is left with one that can't. */

static void
ngx_http_voice_replica_guild(const voice_peer_message_t *m,
    const voice_peer_guild_t *g, ngx_log_t *log)
{
    char                why[512];
    voice_err_t         err;
    voice_dir_error_t   error;
    voice_dir_guild_t  *guild;

    if (g->text != NULL) {
        ngx_memzero(&error, sizeof(voice_dir_error_t));

        err = voice_dir_guild_parse(g->text, g->len, g->id, NULL, &guild,
                                    &error);
        if (err != VOICE_OK) {
            voice_dir_error_text(&error, why, sizeof(why));
            ngx_log_error(ngx_http_voice_guild_failed(), log, 0,
                          "voice guild %uL of node \"%s\" can't be used: %s: "
                          "%s", g->id, m->from, voice_err_name(err),
                          error.expected != NULL ? why : "no place named");
            return;
        }

        voice_dir_guild_free(guild);
    }

    if (ngx_http_voice_guild_merge(g->id, g->text, g->len, g->revision, log)
        == NGX_OK)
    {
        ngx_log_error(NGX_LOG_INFO, log, 0,
                      "voice guild %uL is %s by node \"%s\", revision %uL",
                      g->id, g->text != NULL ? "changed" : "taken away",
                      m->from, g->revision);
    }
}


void
ngx_http_voice_replica_take(const voice_peer_message_t *m,
    const voice_peer_parts_t *parts, voice_peer_answer_t *answer,
    ngx_log_t *log)
{
    const char          *why;
    voice_store_t       *st;
    voice_peer_guild_t   guild;

    st = ngx_http_voice_guild_store();

    if (st == NULL) {
        return;
    }

    if (parts->offers.type == VOICE_JSON_ARRAY) {
        ngx_http_voice_replica_offers(st, &parts->offers, answer);
    }

    if (parts->guild.type == VOICE_JSON_OBJECT
        && voice_peer_guild_decode(&parts->guild, &guild, &why) == VOICE_OK)
    {
        ngx_http_voice_replica_guild(m, &guild, log);
    }

    answer->guilds = m->has_guilds && m->guilds != voice_store_digest(st)
                     && voice_store_sync(st, ngx_voice_now());
}
