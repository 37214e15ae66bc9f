"""Cases: load, check and render them."""
