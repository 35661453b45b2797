/*
 * Copyright (C) ngx-voice contributors
 *
 * A session's outbox as messages of the voice gateway.
 */


#ifndef _NGX_HTTP_VOICE_EVENT_H_INCLUDED_
#define _NGX_HTTP_VOICE_EVENT_H_INCLUDED_


#include "ngx_http_voice_signal.h"


/*
 * Queues what there is to be told, as long as the client reads.  Closes the
 * websocket if its session has gone to another one, or has lost events.
 */
void ngx_http_voice_event_drain(ngx_http_voice_signal_t *sg);


#endif /* _NGX_HTTP_VOICE_EVENT_H_INCLUDED_ */
