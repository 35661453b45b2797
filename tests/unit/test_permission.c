/*
 * Copyright (C) ngx-voice contributors
 *
 * A guild with @everyone, roles A and B, a member that may have them, and a
 * channel with overwrites: each row says what comes out.
 */


#include "test_util.h"

#include "voice_permission.h"


#define GUILD     1000ull
#define A         1001ull
#define B         1002ull
#define GONE      1009ull      /* a role that the guild doesn't have */
#define ME        501ull
#define OTHER     502ull

#define HAS_A     1u
#define HAS_B     2u
#define HAS_GONE  4u
#define OWNER     8u

#define VIEW      VOICE_PERM_VIEW_CHANNEL
#define CONNECT   VOICE_PERM_CONNECT
#define SPEAK     VOICE_PERM_SPEAK
#define VAD       VOICE_PERM_USE_VAD
#define STREAM    VOICE_PERM_STREAM
#define PRIO      VOICE_PERM_PRIORITY_SPEAKER
#define MUTE      VOICE_PERM_MUTE_MEMBERS
#define DEAFEN    VOICE_PERM_DEAFEN_MEMBERS
#define MOVE      VOICE_PERM_MOVE_MEMBERS
#define REQUEST   VOICE_PERM_REQUEST_TO_SPEAK
#define ADMIN     VOICE_PERM_ADMINISTRATOR
#define MANAGE    VOICE_PERM_MANAGE_CHANNELS
#define SEND      VOICE_PERM_SEND_MESSAGES
#define EMBED     VOICE_PERM_EMBED_LINKS
#define ATTACH    VOICE_PERM_ATTACH_FILES
#define MENTION   VOICE_PERM_MENTION_EVERYONE
#define TTS       VOICE_PERM_SEND_TTS
#define READ      VOICE_PERM_READ_HISTORY
#define ALL       VOICE_PERM_ALL

#define VOICE     VOICE_CHANNEL_VOICE
#define STAGE     VOICE_CHANNEL_STAGE
#define TEXT      VOICE_CHANNEL_TEXT

#define ROLE      VOICE_OVERWRITE_ROLE
#define MEMBER    VOICE_OVERWRITE_MEMBER


typedef struct {
    const char             *name;
    uint64_t                everyone;
    uint64_t                a;
    uint64_t                b;
    unsigned                has;
    uint8_t                 type;
    voice_dir_overwrite_t   overwrite[5];     /* id 0 ends them */
    uint64_t                guild;            /* expected in the guild */
    uint64_t                channel;          /* expected in the channel */
} permission_case_t;


static const permission_case_t  cases[] = {

    { "nothing at all", 0, 0, 0, 0, VOICE, {{ 0, 0, 0, 0 }}, 0, 0 },

    { "everyone", VIEW | CONNECT | SPEAK, 0, 0, 0, VOICE, {{ 0, 0, 0, 0 }},
      VIEW | CONNECT | SPEAK, VIEW | CONNECT | SPEAK },

    { "a role that the member hasn't", VIEW | CONNECT, SPEAK, MUTE, 0, VOICE,
      {{ 0, 0, 0, 0 }}, VIEW | CONNECT, VIEW | CONNECT },

    { "a role adds", VIEW | CONNECT, SPEAK, MUTE, HAS_A, VOICE,
      {{ 0, 0, 0, 0 }}, VIEW | CONNECT | SPEAK, VIEW | CONNECT | SPEAK },

    { "roles add up", VIEW, CONNECT | SPEAK, SPEAK | MUTE, HAS_A | HAS_B,
      VOICE, {{ 0, 0, 0, 0 }}, VIEW | CONNECT | SPEAK | MUTE,
      VIEW | CONNECT | SPEAK | MUTE },

    { "a role that is gone gives nothing", VIEW, 0, 0, HAS_GONE, VOICE,
      {{ GONE, SPEAK, 0, MEMBER }}, VIEW, VIEW },

    { "the owner has all", 0, 0, 0, OWNER, VOICE, {{ 0, 0, 0, 0 }}, ALL, ALL },

    { "nothing takes from the owner", 0, 0, 0, OWNER, VOICE,
      {{ GUILD, 0, UINT64_MAX, ROLE }, { ME, 0, UINT64_MAX, MEMBER }},
      ALL, ALL },

    { "administrator has all", VIEW, ADMIN, 0, HAS_A, VOICE,
      {{ 0, 0, 0, 0 }}, ALL, ALL },

    { "everyone is administrator", ADMIN, 0, 0, 0, STAGE, {{ 0, 0, 0, 0 }},
      ALL, ALL },

    { "nothing takes from an administrator", VIEW, ADMIN, 0, HAS_A, VOICE,
      {{ GUILD, 0, ALL, ROLE }, { A, 0, ALL, ROLE }, { ME, 0, ALL, MEMBER }},
      ALL, ALL },

    { "no overwrite makes an administrator", VIEW | CONNECT, 0, 0, 0, VOICE,
      {{ GUILD, ADMIN, 0, ROLE }, { ME, ADMIN, 0, MEMBER }},
      VIEW | CONNECT, VIEW | CONNECT },

    { "bits without a meaning are dropped", VIEW | 1ull << 47 | 1ull << 60, 0,
      0, 0, TEXT, {{ ME, 1ull << 62, 0, MEMBER }}, VIEW, VIEW },

    { "everyone is denied", VIEW | CONNECT | SPEAK, 0, 0, 0, VOICE,
      {{ GUILD, 0, SPEAK, ROLE }}, VIEW | CONNECT | SPEAK, VIEW | CONNECT },

    { "everyone is allowed", VIEW | CONNECT, 0, 0, 0, VOICE,
      {{ GUILD, SPEAK | STREAM, 0, ROLE }}, VIEW | CONNECT,
      VIEW | CONNECT | SPEAK | STREAM },

    { "allow wins within one overwrite", VIEW | CONNECT | SPEAK, 0, 0, 0,
      VOICE, {{ GUILD, SPEAK, SPEAK, ROLE }}, VIEW | CONNECT | SPEAK,
      VIEW | CONNECT | SPEAK },

    { "a role's allow beats everyone's deny", VIEW | CONNECT, 0, 0, HAS_A,
      VOICE, {{ A, SPEAK, 0, ROLE }, { GUILD, 0, SPEAK, ROLE }},
      VIEW | CONNECT, VIEW | CONNECT | SPEAK },

    { "a role's deny beats everyone's allow", VIEW | CONNECT, 0, 0, HAS_A,
      VOICE, {{ A, 0, SPEAK, ROLE }, { GUILD, SPEAK, 0, ROLE }},
      VIEW | CONNECT, VIEW | CONNECT },

    { "a channel's deny beats a role's right", VIEW | CONNECT, SPEAK, 0,
      HAS_A, VOICE, {{ GUILD, 0, SPEAK, ROLE }}, VIEW | CONNECT | SPEAK,
      VIEW | CONNECT },

    { "one role's allow beats another's deny", VIEW | CONNECT, 0, 0,
      HAS_A | HAS_B, VOICE, {{ A, SPEAK, 0, ROLE }, { B, 0, SPEAK, ROLE }},
      VIEW | CONNECT, VIEW | CONNECT | SPEAK },

    { "and the other way round", VIEW | CONNECT, 0, 0, HAS_A | HAS_B, VOICE,
      {{ A, 0, SPEAK, ROLE }, { B, SPEAK, 0, ROLE }}, VIEW | CONNECT,
      VIEW | CONNECT | SPEAK },

    { "overwrites of roles that the member hasn't", VIEW | CONNECT | SPEAK, 0,
      0, HAS_A, VOICE, {{ B, MUTE, SPEAK, ROLE }}, VIEW | CONNECT | SPEAK,
      VIEW | CONNECT | SPEAK },

    { "the member's deny beats all", VIEW | CONNECT | SPEAK, SPEAK, 0, HAS_A,
      VOICE, {{ ME, 0, SPEAK, MEMBER }, { A, SPEAK, 0, ROLE },
              { GUILD, SPEAK, 0, ROLE }},
      VIEW | CONNECT | SPEAK, VIEW | CONNECT },

    { "the member's allow beats all", VIEW | CONNECT, 0, 0, HAS_A, VOICE,
      {{ ME, SPEAK, 0, MEMBER }, { A, 0, SPEAK, ROLE },
       { GUILD, 0, SPEAK, ROLE }},
      VIEW | CONNECT, VIEW | CONNECT | SPEAK },

    { "another member's overwrite", VIEW | CONNECT | SPEAK, 0, 0, 0, VOICE,
      {{ OTHER, MUTE, SPEAK, MEMBER }}, VIEW | CONNECT | SPEAK,
      VIEW | CONNECT | SPEAK },

    { "an id is a role's or a member's, not both", VIEW | CONNECT, 0, 0,
      HAS_A, VOICE, {{ ME, MUTE, 0, ROLE }, { A, DEAFEN, 0, MEMBER },
                     { GUILD, MOVE, 0, MEMBER }},
      VIEW | CONNECT, VIEW | CONNECT },

    { "without VIEW_CHANNEL nothing", CONNECT | SPEAK | MUTE | SEND, 0, 0, 0,
      VOICE, {{ 0, 0, 0, 0 }}, CONNECT | SPEAK | MUTE | SEND, 0 },

    { "VIEW_CHANNEL denied: nothing", VIEW | CONNECT | SPEAK, 0, 0, 0, VOICE,
      {{ GUILD, 0, VIEW, ROLE }}, VIEW | CONNECT | SPEAK, 0 },

    { "a hidden channel, shown to a role", VIEW | CONNECT | SPEAK, 0, 0,
      HAS_B, VOICE, {{ GUILD, 0, VIEW, ROLE }, { B, VIEW, 0, ROLE }},
      VIEW | CONNECT | SPEAK, VIEW | CONNECT | SPEAK },

    { "a hidden text channel", VIEW | SEND, 0, 0, 0, TEXT,
      {{ GUILD, 0, VIEW, ROLE }}, VIEW | SEND, 0 },

    { "without CONNECT no voice right",
      VIEW | SPEAK | STREAM | PRIO | VAD | MUTE | DEAFEN | MOVE | REQUEST
      | MANAGE | READ,
      0, 0, 0, VOICE, {{ 0, 0, 0, 0 }},
      VIEW | SPEAK | STREAM | PRIO | VAD | MUTE | DEAFEN | MOVE | REQUEST
      | MANAGE | READ,
      VIEW | READ },

    { "CONNECT denied in a stage", VIEW | CONNECT | SPEAK | REQUEST, 0, 0, 0,
      STAGE, {{ GUILD, 0, CONNECT, ROLE }}, VIEW | CONNECT | SPEAK | REQUEST,
      VIEW },

    { "CONNECT means nothing to a text channel", VIEW | SPEAK | MANAGE, 0, 0,
      0, TEXT, {{ 0, 0, 0, 0 }}, VIEW | SPEAK | MANAGE,
      VIEW | SPEAK | MANAGE },

    { "CONNECT for one member", VIEW | SPEAK, 0, 0, 0, VOICE,
      {{ ME, CONNECT, 0, MEMBER }}, VIEW | SPEAK, VIEW | CONNECT | SPEAK },

    { "without SEND_MESSAGES nothing that goes into one",
      VIEW | EMBED | ATTACH | MENTION | TTS | READ, 0, 0, 0, TEXT,
      {{ 0, 0, 0, 0 }}, VIEW | EMBED | ATTACH | MENTION | TTS | READ,
      VIEW | READ },

    { "with it they stay", VIEW | SEND | EMBED | ATTACH | MENTION | TTS, 0, 0,
      0, TEXT, {{ 0, 0, 0, 0 }}, VIEW | SEND | EMBED | ATTACH | MENTION | TTS,
      VIEW | SEND | EMBED | ATTACH | MENTION | TTS },

    { "a listener in a stage", VIEW | CONNECT | REQUEST, 0, 0, 0, STAGE,
      {{ GUILD, 0, SPEAK, ROLE }}, VIEW | CONNECT | REQUEST,
      VIEW | CONNECT | REQUEST },

    { "a moderator by role in one channel", VIEW | CONNECT | SPEAK, 0, 0,
      HAS_A, VOICE, {{ A, MUTE | DEAFEN | MOVE | PRIO, 0, ROLE }},
      VIEW | CONNECT | SPEAK,
      VIEW | CONNECT | SPEAK | MUTE | DEAFEN | MOVE | PRIO },

    { "all four kinds at once", VIEW | CONNECT | SPEAK, STREAM, 0,
      HAS_A | HAS_B, VOICE,
      {{ GUILD, VAD, SPEAK | STREAM, ROLE }, { A, STREAM, VAD, ROLE },
       { B, MUTE, 0, ROLE }, { ME, SPEAK, MUTE, MEMBER }},
      VIEW | CONNECT | SPEAK | STREAM, VIEW | CONNECT | SPEAK | STREAM },

    { "the defaults", VOICE_PERM_EVERYONE, 0, 0, 0, VOICE, {{ 0, 0, 0, 0 }},
      VOICE_PERM_EVERYONE, VOICE_PERM_EVERYONE }
};


static uint32_t
roles_of(unsigned has, uint64_t role[3])
{
    uint32_t  n;

    n = 0;

    if (has & HAS_A) {
        role[n++] = A;
    }

    if (has & HAS_B) {
        role[n++] = B;
    }

    if (has & HAS_GONE) {
        role[n++] = GONE;
    }

    return n;
}


static void
permission_cases(void **state)
{
    size_t                    i;
    uint64_t                  role[3];
    voice_dir_role_t          roles[3];
    voice_dir_guild_t         guild;
    voice_dir_member_t        member;
    voice_dir_channel_t       channel;
    const permission_case_t  *c;

    (void) state;

    for (i = 0; i < test_n(cases); i++) {
        c = &cases[i];

        memset(roles, 0, sizeof(roles));
        memset(&guild, 0, sizeof(guild));
        memset(&channel, 0, sizeof(channel));

        roles[0].id = GUILD;
        roles[0].permissions = c->everyone;
        roles[1].id = A;
        roles[1].permissions = c->a;
        roles[2].id = B;
        roles[2].permissions = c->b;

        guild.id = GUILD;
        guild.owner_id = c->has & OWNER ? ME : OTHER;
        guild.role = roles;
        guild.nroles = 3;

        voice_dir_member_make(&member, ME, "me", false);
        member.nroles = roles_of(c->has, role);
        member.role = role;

        channel.id = 2000;
        channel.type = c->type;
        channel.overwrite = c->overwrite;

        while (channel.noverwrites < test_n(c->overwrite)
               && c->overwrite[channel.noverwrites].id != 0)
        {
            channel.noverwrites++;
        }

        test_num(c->name, voice_permission_guild(&guild, &member), c->guild);
        test_num(c->name, voice_permission_channel(&guild, &channel, &member),
                 c->channel);
    }
}


/* A guild in which even @everyone is missing gives nobody anything. */
static void
permission_without_roles(void **state)
{
    voice_dir_guild_t    guild;
    voice_dir_member_t   member;
    voice_dir_channel_t  channel;

    (void) state;

    memset(&guild, 0, sizeof(guild));
    memset(&channel, 0, sizeof(channel));
    guild.id = GUILD;
    guild.owner_id = OTHER;
    channel.type = VOICE;

    voice_dir_member_make(&member, ME, "me", true);

    test_num("guild", voice_permission_guild(&guild, &member), 0);
    test_num("channel", voice_permission_channel(&guild, &channel, &member),
             0);
}


/* One who was brought in has what everybody there has, and no more. */
static void
permission_of_the_brought(void **state)
{
    voice_dir_role_t       everyone = { .id = GUILD,
                                        .permissions = VIEW | SPEAK };
    voice_dir_guild_t      guild;
    voice_dir_member_t     member;
    voice_dir_channel_t    channel;
    voice_dir_overwrite_t  closed = { .id = GUILD,
                                      .type = VOICE_OVERWRITE_ROLE,
                                      .deny = VIEW | CONNECT };

    (void) state;

    memset(&guild, 0, sizeof(guild));
    memset(&channel, 0, sizeof(channel));
    guild.id = GUILD;
    guild.owner_id = OTHER;
    guild.role = &everyone;
    guild.nroles = 1;
    channel.type = VOICE;
    channel.overwrite = &closed;
    channel.noverwrites = 1;

    voice_dir_member_make(&member, ME, "me", false);

    test_num("by itself", voice_permission_channel(&guild, &channel, &member),
             0);
    test_num("brought", voice_permission_brought(&guild, &channel, &member),
             VIEW | CONNECT | SPEAK);

    closed.deny |= SPEAK;
    test_num("and silent", voice_permission_brought(&guild, &channel,
                                                    &member),
             VIEW | CONNECT);
}


/* The numbers that Discord documents. */
static void
permission_bits(void **state)
{
    (void) state;

    test_num("ADMINISTRATOR", ADMIN, 0x8);
    test_num("PRIORITY_SPEAKER", PRIO, 0x100);
    test_num("STREAM", STREAM, 0x200);
    test_num("VIEW_CHANNEL", VIEW, 0x400);
    test_num("CONNECT", CONNECT, 0x100000);
    test_num("SPEAK", SPEAK, 0x200000);
    test_num("MUTE_MEMBERS", MUTE, 0x400000);
    test_num("DEAFEN_MEMBERS", DEAFEN, 0x800000);
    test_num("MOVE_MEMBERS", MOVE, 0x1000000);
    test_num("USE_VAD", VAD, 0x2000000);
    test_num("REQUEST_TO_SPEAK", REQUEST, 0x100000000);
    test_num("MODERATE_MEMBERS", VOICE_PERM_MODERATE_MEMBERS, 0x10000000000);
    test_num("bit 47 means nothing", VOICE_PERM_ALL & 1ull << 47, 0);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(permission_cases),
        cmocka_unit_test(permission_without_roles),
        cmocka_unit_test(permission_of_the_brought),
        cmocka_unit_test(permission_bits)
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
