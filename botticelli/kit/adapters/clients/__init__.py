"""Adapters for clients that others publish. Each imports its client only when it is asked for."""
