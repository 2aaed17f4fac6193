"""The official OpenAI SDK for Python, as an application uses it.

Usage: chat.py BASE_URL KEY MAX_RETRIES
Reads one case per line from standard input and writes JSON lines: each delta as it comes, then how the case ended.

    {"id": 1, "mode": "stream" | "whole" | "abort", "abort_after": 3, "body": {"model": "...", "messages": [...]}, "headers": {}}
    {"id": 1, "delta": "hel", "ms": 12.1}
    {"id": 1, "outcome": "completed", "text": "hello", "finish_reason": "stop", "ms": 20.3, ...}
    {"id": 1, "outcome": "exception", "text": "hel", "class": "APIError", "message": "...", "status": null, "code": "upstream_cut", ...}
"""

import json
import sys
import time

import openai


def main():
    base_url, key, max_retries = sys.argv[1:4]
    client = openai.OpenAI(base_url=base_url, api_key=key, max_retries=int(max_retries))
    for line in sys.stdin:
        run(client, json.loads(line))


def run(client, case):
    began = time.monotonic()
    seen = []

    def say(**fields):
        fields = {"id": case["id"], "ms": round((time.monotonic() - began) * 1000, 1), **fields}
        print(json.dumps(fields), flush=True)

    try:
        outcome = play(client, case, seen, say)
    except Exception as error:
        outcome = {"outcome": "exception", "class": type(error).__name__, "message": str(error)}
        for name in ("status_code", "code", "type"):
            outcome[name.removesuffix("_code") if name == "status_code" else name] = getattr(error, name, None)
    say(text="".join(seen), **outcome)


def play(client, case, seen, say):
    extra = {"extra_headers": case.get("headers") or {}, "extra_body": case.get("extra") or {}}
    if case["mode"] == "whole":
        answer = client.chat.completions.create(**case["body"], **extra)
        choice = answer.choices[0]
        seen.append(choice.message.content or "")
        return {"outcome": "completed", "finish_reason": choice.finish_reason, "usage": plain(answer.usage)}

    finish_reason = usage = None
    tools = []
    stream = client.chat.completions.create(**case["body"], stream=True, **extra)
    for chunk in stream:
        usage = chunk.usage or usage
        for choice in chunk.choices:
            finish_reason = choice.finish_reason or finish_reason
            for call in choice.delta.tool_calls or []:
                tools.append(plain(call))
            if choice.delta.content:
                seen.append(choice.delta.content)
                say(delta=choice.delta.content)
        if case["mode"] == "abort" and len(seen) >= case["abort_after"]:
            stream.close()
            return {"outcome": "aborted"}
    return {"outcome": "completed", "finish_reason": finish_reason, "usage": plain(usage), "tools": tools}


def plain(model):
    return model.model_dump(exclude_none=True) if model else None


if __name__ == "__main__":
    main()
