"""A separate program: reads streamed answers with the SDK's own loop and prints the processor time of one.

The `cpu` scenario compares a worker's processor time with this. Arguments: base URL, HTTP client (httpx or aiohttp),
concurrent streams, rounds.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time

from openai import AsyncOpenAI, DefaultAioHttpClient, DefaultAsyncHttpxClient

CLIENTS = {"httpx": DefaultAsyncHttpxClient, "aiohttp": DefaultAioHttpClient}


async def main(url: str, client: str, at_once: int, rounds: int) -> float:
    """Processor milliseconds for each stream."""
    async with AsyncOpenAI(base_url=url, http_client=CLIENTS[client](), max_retries=0) as openai:

        async def read(seconds: float) -> None:
            await asyncio.sleep(seconds)
            stream = await openai.chat.completions.create(
                model="gpt-4o",
                messages=[{"role": "user", "content": "What is a window function good for?"}],
                stream=True,
                stream_options={"include_usage": True},
            )
            async for chunk in stream:
                _ = chunk.choices and chunk.choices[0].delta.content

        await read(0)  # one-time work of the process is not counted
        began = time.process_time()
        for _ in range(rounds):
            await asyncio.gather(*(read(index / at_once) for index in range(at_once)))
        return (time.process_time() - began) * 1000 / (at_once * rounds)


if __name__ == "__main__":
    print(json.dumps(asyncio.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])))))
