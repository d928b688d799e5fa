"""What comes from a browser and goes to it: cookies, targets, kinds of requests."""
