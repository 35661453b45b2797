/*
 * Copyright (C) ngx-voice contributors
 *
 * The file of a voice_zone, opened beside the server that uses it.
 */


#ifndef _VC_ZONE_H_INCLUDED_
#define _VC_ZONE_H_INCLUDED_


#include "voice_zone.h"


/* Complains in the name of a command; the mapping stays until the end. */
bool vc_zone_open(const char *command, const char *path, voice_zone_t *z);

/* Sends the wakes that functions of core have left in z->wake. */
void vc_zone_wake(voice_zone_t *z);


#endif /* _VC_ZONE_H_INCLUDED_ */
