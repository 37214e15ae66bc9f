"""The OpenAI chat format: requests to bytes, bytes to answers, statuses to errors. No I/O, no clock."""
