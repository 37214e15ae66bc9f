"""The conformance kit: plays cases for a driver, and reports where it departs from the format and why.

It works on raw JSON and bytes, and imports nothing of core, protocol, dialects, drivers or providers: every
driver, ours too, is called through an adapter.
"""
