"""What leaves the ledger for other tools: FOCUS files, one day at a time, in a folder or an object store."""
