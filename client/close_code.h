/*
 * Copyright (C) ngx-voice contributors
 *
 * Close codes in words: of the voice gateway, section 7.1, and of the main
 * gateway, section 12.3.
 */


#ifndef _VC_CLOSE_CODE_H_INCLUDED_
#define _VC_CLOSE_CODE_H_INCLUDED_


/* " (unknown opcode)"; "" for a code that says nothing to us */
const char *vc_close_name(int code);
const char *vc_gateway_close_name(int code);


#endif /* _VC_CLOSE_CODE_H_INCLUDED_ */
