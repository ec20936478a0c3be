"""A local HTTP server that speaks OpenAI's API, for development, tests and load benchmarks.

It reads a prompt's tags and the name of the response format's schema, never its words, so prompts can be reworded
freely. A new surface gets sensible answers if its data is in tags that prompt.py and grounded.py know.

Run it with `python -m devstack.simulator`; `devstack.simulator.app` serves it inside a running event loop.
"""
