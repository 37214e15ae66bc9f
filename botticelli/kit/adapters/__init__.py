"""Adapters: how a client that is judged is called."""
