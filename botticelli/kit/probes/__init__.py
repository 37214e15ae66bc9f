"""Probes: what is asked of an endpoint, and the verdict on what came."""
