"""The judge: plays cases for a driver and says where it departs from the format, and why.

Works on raw JSON and bytes. Imports nothing of core, protocol, dialects or drivers: a driver is
met at the adapter (adapter.py), ours like everybody's.
"""
