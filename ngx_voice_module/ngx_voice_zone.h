/*
 * Copyright (C) ngx-voice contributors
 *
 * The zone in its file.
 */


#ifndef _NGX_VOICE_ZONE_H_INCLUDED_
#define _NGX_VOICE_ZONE_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>

#include "ngx_voice_file.h"

#include "voice_zone.h"


typedef struct {
    ngx_voice_file_t   file;
    uint32_t           sessions;
    voice_zone_t       zone;
} ngx_voice_zone_file_t;


/*
 * Opens the zone at path, or makes an empty one where there is none that can
 * be used (which is said at WARN).  fresh: this nginx starts anew, so nobody
 * else may be using the file.  NULL after an EMERG message.
 */
ngx_voice_zone_file_t *ngx_voice_zone_file_open(ngx_str_t *path,
    uint32_t sessions, ngx_uint_t fresh, ngx_log_t *log);

void ngx_voice_zone_file_close(ngx_voice_zone_file_t *zf);

/*
 * A worker's slot is its lock on one byte of the file, which the kernel lets
 * go when the process dies, however it dies.
 */
ngx_int_t ngx_voice_zone_slot_take(ngx_voice_zone_file_t *zf,
    ngx_log_t *log);

/*
 * A slot other than our own whose worker has died: nobody else takes it until
 * it is released.  NGX_DECLINED: somebody has it.
 */
ngx_int_t ngx_voice_zone_slot_seize(ngx_voice_zone_file_t *zf,
    ngx_uint_t slot);
void ngx_voice_zone_slot_release(ngx_voice_zone_file_t *zf, ngx_uint_t slot);


#endif /* _NGX_VOICE_ZONE_H_INCLUDED_ */
