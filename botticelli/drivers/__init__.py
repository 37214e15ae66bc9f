"""The rim: drivers and the I/O they share. Nothing else in the package touches the network."""
