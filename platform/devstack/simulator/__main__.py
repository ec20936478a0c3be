"""Command line: `python -m devstack.simulator --port 9999`."""

import argparse
import asyncio
import json
import os
import signal
import sys
from typing import Any


def main() -> None:
    """Serve until SIGTERM or SIGINT, which end the process at once: there is nothing to save."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: os._exit(0))
    options = vars(_parser().parse_args())
    try:
        asyncio.run(_serve(options.pop("host"), options.pop("port"), options))
    except (OSError, ValueError) as error:
        sys.exit(f"simulator: {error}")


async def _serve(host: str, port: int, options: dict[str, Any]) -> None:
    # Imported after the signal handlers are set, so that a signal during the import prints no traceback.
    from .app import start
    from .config import Config, Settings

    api_key, faults = options.pop("api_key"), tuple(options.pop("fault"))
    settings = Settings().updated({name: value for name, value in options.items() if value is not None})
    _, url = await start(Config(api_key, settings, faults), host, port)
    print(f"simulator listening on {url}", flush=True)
    await asyncio.Event().wait()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m devstack.simulator", description="A local OpenAI API.")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=9999, help="0 picks a free one")
    parser.add_argument("--api-key", default="sk-simulator")
    for name in ("first-token", "token-interval", "rewrite-latency", "embedding-latency"):
        parser.add_argument(f"--{name}", type=float, metavar="SECONDS")
    for name in ("requests-per-minute", "tokens-per-minute"):
        parser.add_argument(f"--{name}", type=int, metavar="N", help="per model; unlimited if not given")
    parser.add_argument("--fault", type=json.loads, nargs="+", action="extend", default=[], metavar="JSON")
    return parser


if __name__ == "__main__":
    main()
