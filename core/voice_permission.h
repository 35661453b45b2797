/*
 * Copyright (C) ngx-voice contributors
 *
 * Discord's permission bits and how they add up for a member in a channel:
 * owner, roles, channel overwrites, implicit denials.
 */


#ifndef _VOICE_PERMISSION_H_INCLUDED_
#define _VOICE_PERMISSION_H_INCLUDED_


#include "voice_directory.h"

#include <stdint.h>


#define VOICE_PERM_CREATE_INVITE         (1ull << 0)
#define VOICE_PERM_KICK_MEMBERS          (1ull << 1)
#define VOICE_PERM_BAN_MEMBERS           (1ull << 2)
#define VOICE_PERM_ADMINISTRATOR         (1ull << 3)
#define VOICE_PERM_MANAGE_CHANNELS       (1ull << 4)
#define VOICE_PERM_MANAGE_GUILD          (1ull << 5)
#define VOICE_PERM_ADD_REACTIONS         (1ull << 6)
#define VOICE_PERM_VIEW_AUDIT_LOG        (1ull << 7)
#define VOICE_PERM_PRIORITY_SPEAKER      (1ull << 8)
#define VOICE_PERM_STREAM                (1ull << 9)
#define VOICE_PERM_VIEW_CHANNEL          (1ull << 10)
#define VOICE_PERM_SEND_MESSAGES         (1ull << 11)
#define VOICE_PERM_SEND_TTS              (1ull << 12)
#define VOICE_PERM_MANAGE_MESSAGES       (1ull << 13)
#define VOICE_PERM_EMBED_LINKS           (1ull << 14)
#define VOICE_PERM_ATTACH_FILES          (1ull << 15)
#define VOICE_PERM_READ_HISTORY          (1ull << 16)
#define VOICE_PERM_MENTION_EVERYONE      (1ull << 17)
#define VOICE_PERM_EXTERNAL_EMOJIS       (1ull << 18)
#define VOICE_PERM_VIEW_INSIGHTS         (1ull << 19)
#define VOICE_PERM_CONNECT               (1ull << 20)
#define VOICE_PERM_SPEAK                 (1ull << 21)
#define VOICE_PERM_MUTE_MEMBERS          (1ull << 22)
#define VOICE_PERM_DEAFEN_MEMBERS        (1ull << 23)
#define VOICE_PERM_MOVE_MEMBERS          (1ull << 24)
#define VOICE_PERM_USE_VAD               (1ull << 25)
#define VOICE_PERM_CHANGE_NICKNAME       (1ull << 26)
#define VOICE_PERM_MANAGE_NICKNAMES      (1ull << 27)
#define VOICE_PERM_MANAGE_ROLES          (1ull << 28)
#define VOICE_PERM_MANAGE_WEBHOOKS       (1ull << 29)
#define VOICE_PERM_MANAGE_EXPRESSIONS    (1ull << 30)
#define VOICE_PERM_APP_COMMANDS          (1ull << 31)
#define VOICE_PERM_REQUEST_TO_SPEAK      (1ull << 32)
#define VOICE_PERM_MANAGE_EVENTS         (1ull << 33)
#define VOICE_PERM_MANAGE_THREADS        (1ull << 34)
#define VOICE_PERM_PUBLIC_THREADS        (1ull << 35)
#define VOICE_PERM_PRIVATE_THREADS       (1ull << 36)
#define VOICE_PERM_EXTERNAL_STICKERS     (1ull << 37)
#define VOICE_PERM_SEND_IN_THREADS       (1ull << 38)
#define VOICE_PERM_ACTIVITIES            (1ull << 39)
#define VOICE_PERM_MODERATE_MEMBERS      (1ull << 40)
#define VOICE_PERM_VIEW_MONETIZATION     (1ull << 41)
#define VOICE_PERM_SOUNDBOARD            (1ull << 42)
#define VOICE_PERM_CREATE_EXPRESSIONS    (1ull << 43)
#define VOICE_PERM_CREATE_EVENTS         (1ull << 44)
#define VOICE_PERM_EXTERNAL_SOUNDS       (1ull << 45)
#define VOICE_PERM_VOICE_MESSAGES        (1ull << 46)
#define VOICE_PERM_VOICE_STATUS          (1ull << 48)
#define VOICE_PERM_POLLS                 (1ull << 49)
#define VOICE_PERM_EXTERNAL_APPS         (1ull << 50)
#define VOICE_PERM_PIN_MESSAGES          (1ull << 51)
#define VOICE_PERM_BYPASS_SLOWMODE       (1ull << 52)

/* every bit that means something */
#define VOICE_PERM_ALL                                                        \
    (((1ull << 53) - 1) & ~(1ull << 47))

/* What means nothing to somebody who may not connect. */
#define VOICE_PERM_VOICE                                                      \
    (VOICE_PERM_PRIORITY_SPEAKER | VOICE_PERM_STREAM | VOICE_PERM_CONNECT     \
     | VOICE_PERM_SPEAK | VOICE_PERM_MUTE_MEMBERS                             \
     | VOICE_PERM_DEAFEN_MEMBERS | VOICE_PERM_MOVE_MEMBERS                    \
     | VOICE_PERM_USE_VAD | VOICE_PERM_REQUEST_TO_SPEAK                       \
     | VOICE_PERM_ACTIVITIES | VOICE_PERM_SOUNDBOARD                          \
     | VOICE_PERM_EXTERNAL_SOUNDS | VOICE_PERM_VOICE_STATUS)

/* @everyone of a guild that names no such role */
#define VOICE_PERM_EVERYONE                                                   \
    (VOICE_PERM_CREATE_INVITE | VOICE_PERM_ADD_REACTIONS                      \
     | VOICE_PERM_STREAM | VOICE_PERM_VIEW_CHANNEL                            \
     | VOICE_PERM_SEND_MESSAGES | VOICE_PERM_EMBED_LINKS                      \
     | VOICE_PERM_ATTACH_FILES | VOICE_PERM_READ_HISTORY                      \
     | VOICE_PERM_EXTERNAL_EMOJIS | VOICE_PERM_CONNECT | VOICE_PERM_SPEAK     \
     | VOICE_PERM_USE_VAD | VOICE_PERM_CHANGE_NICKNAME                        \
     | VOICE_PERM_APP_COMMANDS | VOICE_PERM_REQUEST_TO_SPEAK                  \
     | VOICE_PERM_SOUNDBOARD)


/* In the guild as a whole.  The owner and administrators have all. */
uint64_t voice_permission_guild(const voice_dir_guild_t *guild,
    const voice_dir_member_t *member);

/*
 * In a channel of the guild, with overwrites and implicit denials: without
 * VIEW_CHANNEL there is nothing; without CONNECT in a voice channel neither
 * VOICE_PERM_VOICE nor MANAGE_CHANNELS; without SEND_MESSAGES none of what
 * goes into a message.
 */
uint64_t voice_permission_channel(const voice_dir_guild_t *guild,
    const voice_dir_channel_t *channel, const voice_dir_member_t *member);

/* The same of one whom a moderator has brought in: may view and connect. */
uint64_t voice_permission_brought(const voice_dir_guild_t *guild,
    const voice_dir_channel_t *channel, const voice_dir_member_t *member);


#endif /* _VOICE_PERMISSION_H_INCLUDED_ */
