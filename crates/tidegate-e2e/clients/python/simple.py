"""A session as a first program writes it: PROMPT, ACK, TOKEN, COMPLETE and ERROR are all it knows, and what else comes it leaves alone.

Usage: simple.py URL KEY PROMPT...
"""

import json
import sys

from websockets.sync.client import connect


def main():
    url, key, *prompts = sys.argv[1:]
    with connect(url, additional_headers={"Authorization": f"Bearer {key}"}) as socket:
        for prompt in prompts:
            socket.send(json.dumps({"type": "PROMPT", "content": prompt}))
        left = len(prompts)
        while left:
            message = json.loads(socket.recv())
            match message["type"]:
                case "ACK":
                    print(f"[{message['taskId']}: {message['queueDepth']} in the queue]")
                case "TOKEN":
                    print(message["data"], end="", flush=True)
                case "COMPLETE":
                    print("\n[complete]")
                    left -= 1
                case "ERROR":
                    print(f"\n[error: {message['message']}]")
                    left -= 1
                case unknown:
                    print(f"(left alone: {unknown})", file=sys.stderr)


if __name__ == "__main__":
    main()
