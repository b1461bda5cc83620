"""Many tasks x strategies x seeds x ladders under one protocol, and the tables that come of it."""
