/*
 * Copyright (C) ngx-voice contributors
 *
 * Close codes of the voice gateway in words, section 7.1.
 */


#ifndef _VC_CLOSE_CODE_H_INCLUDED_
#define _VC_CLOSE_CODE_H_INCLUDED_


/* " (unknown opcode)"; "" for a code that says nothing to us */
const char *vc_close_name(int code);


#endif /* _VC_CLOSE_CODE_H_INCLUDED_ */
