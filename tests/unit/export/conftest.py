"""The databases that a ledger may be exported from."""

from support.ledger_databases import postgres, url

__all__ = ["postgres", "url"]
