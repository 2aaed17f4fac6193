"""A session with the library `websockets`: prompts in, messages out, over as many connections as it takes.

Usage: session.py URL [KEY]

A line of standard input is a prompt, or a message as it stands: {"type": "CANCEL", "taskId": "..."}. Each message of the gateway is printed as a
line of JSON. When the input has ended and every prompt has been answered, the session is closed.
"""

import asyncio
import json
import sys
import uuid

from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed


class Session:
    """One conversation. A lost connection is resumed, and nothing is lost or said twice."""

    def __init__(self, url, key=None):
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        self.connections = connect(url, subprotocols=["tidegate.v1"], additional_headers=headers)
        self.socket = None
        self.id, self.seen = None, 0
        self.prompts = {}  # By their own ids, until they have ended.
        self.tasks = {}  # The id of each task's prompt.
        self.is_leaving = False

    async def messages(self):
        """Yields what the gateway says, until `leave` was called and every prompt has ended."""
        async for socket in self.connections:
            say({"client": "connected", "subprotocol": socket.subprotocol, "extensions": len(socket.protocol.extensions)})
            try:
                if self.id:
                    await socket.send(json.dumps({"type": "RESUME", "sessionId": self.id, "lastSeq": self.seen}))
                self.socket = socket
                # Those that have arrived before are known by their ids and do not run again.
                for prompt in list(self.prompts.values()):
                    await self.send(prompt)
                while not self.is_over():
                    message = json.loads(await socket.recv())
                    self.take(message)
                    yield message
                await socket.close()
                return
            except ConnectionClosed:
                if self.is_over():
                    return

    async def ask(self, content, **members):
        """Sends a prompt: now, and again after each loss of the connection, until it has been answered."""
        prompt = {"type": "PROMPT", "id": str(uuid.uuid4()), "content": content, **members}
        self.prompts[prompt["id"]] = prompt
        await self.send(prompt)

    async def send(self, message):
        if self.socket:
            try:
                await self.socket.send(json.dumps(message))
            except ConnectionClosed:
                pass  # `messages` notices it too, and connects again.

    async def leave(self):
        self.is_leaving = True
        if self.is_over() and self.socket:
            await self.socket.close()

    def is_over(self):
        return self.is_leaving and not self.prompts

    def take(self, message):
        self.seen = message.get("seq", self.seen)
        match message["type"]:
            case "SESSION":
                self.id = message["sessionId"]
                if not message["resumed"]:
                    self.seen = 0
            case "ACK":
                self.tasks[message["taskId"]] = message.get("id")
            case "COMPLETE" | "ERROR" | "DROPPED":
                self.prompts.pop(self.tasks.pop(message.get("taskId"), None), None)
            case "RATE_LIMITED":
                self.prompts.pop(message.get("id"), None)


async def main():
    session = Session(*sys.argv[1:])
    asking = asyncio.create_task(ask_for_each_line(session))
    async for message in session.messages():
        say(message)
    await asking


async def ask_for_each_line(session):
    while line := await asyncio.to_thread(sys.stdin.readline):
        if line.startswith("{"):
            await session.send(json.loads(line))
        else:
            await session.ask(line.rstrip("\n"))
    await session.leave()


def say(message):
    print(json.dumps(message), flush=True)


if __name__ == "__main__":
    asyncio.run(main())
