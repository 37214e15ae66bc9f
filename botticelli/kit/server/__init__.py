"""The server that plays cases to the byte."""
