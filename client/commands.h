/*
 * Copyright (C) ngx-voice contributors
 *
 * The subcommands of voicectl.  Each takes the arguments behind its name and
 * gives the exit code.
 */


#ifndef _VC_COMMANDS_H_INCLUDED_
#define _VC_COMMANDS_H_INCLUDED_


int vc_cmd_token(int argc, char **argv);
int vc_cmd_call(int argc, char **argv);
int vc_cmd_load(int argc, char **argv);
int vc_cmd_crowd(int argc, char **argv);
int vc_cmd_mute(int argc, char **argv);
int vc_cmd_unmute(int argc, char **argv);
int vc_cmd_deafen(int argc, char **argv);
int vc_cmd_undeafen(int argc, char **argv);
int vc_cmd_move(int argc, char **argv);
int vc_cmd_kick(int argc, char **argv);
int vc_cmd_states(int argc, char **argv);
int vc_cmd_status(int argc, char **argv);
int vc_cmd_zone(int argc, char **argv);
int vc_cmd_drain(int argc, char **argv);
int vc_cmd_cluster(int argc, char **argv);


#endif /* _VC_COMMANDS_H_INCLUDED_ */
