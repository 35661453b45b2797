#
# Copyright (C) ngx-voice contributors
#
# discord.py, as Debian has it (2.2.2), through our main gateway.  Commands
# come on stdin and are answered on stdout, as lines of JSON.
#
# It can do all that is asked for but listen: it has no API to receive voice.

import asyncio
import base64
import json
import logging
import sys
import threading

import discord
import yarl


class Bot(discord.Client):
    def __init__(self):
        intents = discord.Intents.none()
        intents.guilds = True
        intents.members = True
        intents.voice_states = True
        super().__init__(intents=intents, enable_debug_events=True)
        self.seen = asyncio.Event()
        self.count = {"ready": 0, "resumed": 0}

    async def on_ready(self):
        self.seen.set()

    async def on_connect(self):
        self.count["ready"] += 1

    async def on_resumed(self):
        self.count["resumed"] += 1

    # on_voice_state_update() is called late, with what the state has become
    # meanwhile
    async def on_socket_raw_receive(self, text):
        message = json.loads(text)
        if message["t"] == "VOICE_STATE_UPDATE":
            say({"changed": {"user": message["d"]["user_id"],
                             "channel": message["d"]["channel_id"],
                             "selfMute": message["d"]["self_mute"]}})


class Frames(discord.AudioSource):
    def __init__(self, frames):
        self.frames = iter(frames)

    def is_opus(self):
        return True

    def read(self):
        return next(self.frames, b"")


class Voice(discord.VoiceClient):
    # This version takes what is behind the last colon of an endpoint for a
    # port and dials 443 instead.  It cannot be told another one: given a
    # second port to cut off it dials the first.
    async def on_voice_server_update(self, data):
        await super().on_voice_server_update(
            {**data, "endpoint": data["endpoint"] + ":443"})


def ident(thing):
    return str(thing.id) if thing is not None else None


def say(message):
    sys.stdout.write(json.dumps(message) + "\n")
    sys.stdout.flush()


class Log(logging.Handler):
    def emit(self, record):
        say({"log": self.format(record)})


class Commands:
    def __init__(self):
        self.bot = None
        self.task = None

    def guild(self, args):
        return self.bot.get_guild(int(args["guild"]))

    async def login(self, args):
        host = "127.0.0.1:%d" % args["port"]
        discord.http.Route.BASE = "https://%s/api/v10" % host
        discord.gateway.DiscordWebSocket.DEFAULT_GATEWAY = yarl.URL(
            "wss://%s/gateway/" % host)
        self.bot = Bot()
        self.task = asyncio.ensure_future(self.bot.start(args["token"]))
        ready = asyncio.ensure_future(self.bot.seen.wait())
        await asyncio.wait([self.task, ready],
                           return_when=asyncio.FIRST_COMPLETED)
        if self.task.done():
            self.task.result()
        return {"user": str(self.bot.user.id),
                "guilds": [str(g.id) for g in self.bot.guilds]}

    async def join(self, args):
        channel = self.guild(args).get_channel(int(args["channel"]))
        if self.guild(args).voice_client is not None:
            await self.guild(args).voice_client.disconnect(force=True)
        voice = await channel.connect(timeout=15, cls=Voice)
        return {"ssrc": voice.ssrc, "mode": voice.mode}

    async def play(self, args):
        voice = self.bot.voice_clients[0]
        ended = asyncio.Event()
        loop = asyncio.get_running_loop()
        voice.play(Frames([base64.b64decode(f) for f in args["frames"]]),
                   after=lambda e: loop.call_soon_threadsafe(ended.set))
        await ended.wait()

    async def ready(self, args):
        while not self.bot.voice_clients[0].is_connected():
            await asyncio.sleep(0.02)

    async def leave(self, args):
        for voice in self.bot.voice_clients:
            await voice.disconnect(force=True)

    async def count(self, args):
        return self.bot.count

    async def state(self, args):
        member = self.guild(args).get_member(int(args["user"]))
        state = member.voice if member is not None else None
        return {"channel": ident(state.channel) if state else None,
                "mute": state.mute if state else None}

    async def moderate(self, args):
        guild = self.guild(args)
        member = guild.get_member(int(args["user"])) \
            or await guild.fetch_member(int(args["user"]))
        what = {}
        if "mute" in args:
            what["mute"] = args["mute"]
        if "channel" in args:
            what["voice_channel"] = args["channel"] and guild.get_channel(
                int(args["channel"]))
        await member.edit(reason="a test", **what)

    async def end(self, args):
        await self.bot.close()


async def answer(commands, line):
    asked = json.loads(line)
    try:
        result = await getattr(commands, asked["command"])(asked["args"])
        say({"id": asked["id"], "result": result})
    except Exception as e:
        say({"id": asked["id"], "error": repr(e)})


async def main():
    loop = asyncio.get_running_loop()
    lines = asyncio.Queue()

    # the end of stdin: the test is gone, or done with us
    def read():
        for line in sys.stdin:
            loop.call_soon_threadsafe(lines.put_nowait, line)
        loop.call_soon_threadsafe(lines.put_nowait, None)

    threading.Thread(target=read, daemon=True).start()
    commands = Commands()
    tasks = set()
    while (line := await lines.get()) is not None:
        task = asyncio.ensure_future(answer(commands, line))
        tasks.add(task)
        task.add_done_callback(tasks.discard)


logging.getLogger("discord").addHandler(Log())
logging.getLogger("discord").setLevel(logging.INFO)
asyncio.run(main())
