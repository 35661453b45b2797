/*
 * Copyright (C) ngx-voice contributors
 *
 * Discord's documentation, "Permissions": "Permission Overwrites", "Implicit
 * Permissions".
 */


#include "voice_permission.h"

#include <stdbool.h>


/* What goes into a message, of no use without SEND_MESSAGES. */
#define PERMISSION_MESSAGE                                                    \
    (VOICE_PERM_SEND_TTS | VOICE_PERM_EMBED_LINKS | VOICE_PERM_ATTACH_FILES   \
     | VOICE_PERM_MENTION_EVERYONE)


static bool
permission_has_role(const voice_dir_member_t *member, uint64_t role_id)
{
    size_t  low, high, mid;

    low = 0;
    high = member->nroles;

    while (low < high) {
        mid = low + (high - low) / 2;

        if (member->role[mid] == role_id) {
            return true;
        }

        if (member->role[mid] < role_id) {
            low = mid + 1;

        } else {
            high = mid;
        }
    }

    return false;
}


uint64_t
voice_permission_guild(const voice_dir_guild_t *guild,
    const voice_dir_member_t *member)
{
    uint32_t                 i;
    uint64_t                 perm;
    const voice_dir_role_t  *role;

    if (member->user.id == guild->owner_id) {
        return VOICE_PERM_ALL;
    }

    role = voice_dir_role(guild, guild->id);
    perm = role != NULL ? role->permissions : 0;

    for (i = 0; i < member->nroles; i++) {
        role = voice_dir_role(guild, member->role[i]);
        perm |= role != NULL ? role->permissions : 0;
    }

    if (perm & VOICE_PERM_ADMINISTRATOR) {
        return VOICE_PERM_ALL;
    }

    return perm & VOICE_PERM_ALL;
}


/* @everyone first, then all roles at once, then the member. */
static uint64_t
permission_overwrite(uint64_t perm, const voice_dir_guild_t *guild,
    const voice_dir_channel_t *channel, const voice_dir_member_t *member)
{
    uint32_t                      i;
    voice_dir_overwrite_t         everyone, roles, own;
    const voice_dir_overwrite_t  *ow;

    everyone = roles = own = (voice_dir_overwrite_t) { 0 };

    for (i = 0; i < channel->noverwrites; i++) {
        ow = &channel->overwrite[i];

        if (ow->type == VOICE_OVERWRITE_MEMBER) {
            if (ow->id == member->user.id) {
                own = *ow;
            }

        } else if (ow->id == guild->id) {
            everyone = *ow;

        } else if (permission_has_role(member, ow->id)) {
            roles.allow |= ow->allow;
            roles.deny |= ow->deny;
        }
    }

    perm = (perm & ~everyone.deny) | everyone.allow;
    perm = (perm & ~roles.deny) | roles.allow;

    return (perm & ~own.deny) | own.allow;
}


static uint64_t
permission_implicit(uint64_t perm, const voice_dir_channel_t *channel)
{
    if (!(perm & VOICE_PERM_VIEW_CHANNEL)) {
        return 0;
    }

    if (voice_dir_channel_is_voice(channel) && !(perm & VOICE_PERM_CONNECT)) {
        perm &= ~(VOICE_PERM_VOICE | VOICE_PERM_MANAGE_CHANNELS);
    }

    if (!(perm & VOICE_PERM_SEND_MESSAGES)) {
        perm &= ~PERMISSION_MESSAGE;
    }

    return perm;
}


static uint64_t
permission_channel(const voice_dir_guild_t *guild,
    const voice_dir_channel_t *channel, const voice_dir_member_t *member,
    uint64_t more)
{
    uint64_t  perm;

    perm = voice_permission_guild(guild, member);

    /* an overwrite can't give ADMINISTRATOR, nor take anything from one */
    if (perm & VOICE_PERM_ADMINISTRATOR) {
        return perm;
    }

    perm = permission_overwrite(perm, guild, channel, member) | more;
    perm &= VOICE_PERM_ALL & ~VOICE_PERM_ADMINISTRATOR;

    return permission_implicit(perm, channel);
}


uint64_t
voice_permission_channel(const voice_dir_guild_t *guild,
    const voice_dir_channel_t *channel, const voice_dir_member_t *member)
{
    return permission_channel(guild, channel, member, 0);
}


uint64_t
voice_permission_brought(const voice_dir_guild_t *guild,
    const voice_dir_channel_t *channel, const voice_dir_member_t *member)
{
    return permission_channel(guild, channel, member,
                              VOICE_PERM_VIEW_CHANNEL | VOICE_PERM_CONNECT);
}
