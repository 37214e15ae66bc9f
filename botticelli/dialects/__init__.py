"""One folder per format: core <-> bytes, without I/O."""
