"""A local HTTP server that speaks OpenAI's API, for development, tests and load benchmarks.

Run it with `python -m devstack.simulator`; `devstack.simulator.app` serves it inside a running event loop.
"""
