"""What every driver speaks, whoever the provider: no wire format, no I/O, no clock."""
