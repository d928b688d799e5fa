"""Reading and writing what the protocols say: pure functions and values."""
