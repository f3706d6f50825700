"""The databases of the ledger's tests."""

from support.ledger_databases import clusters_in_postgres, postgres, url

__all__ = ["clusters_in_postgres", "postgres", "url"]
