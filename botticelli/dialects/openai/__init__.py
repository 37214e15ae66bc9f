"""Implement the OpenAI chat format: requests to bytes, bytes to answers or errors. No I/O, no clock."""
