"""What is neutral between formats and providers: framing, retries, one call. No I/O, no clock, no chance."""
