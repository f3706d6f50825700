"""One connection to the API server, shared by everything that reads from it or writes to it."""
