"""Durable cost records: facts as they were observed, charges of the hours that are over."""

from gpucost.ledger.errors import LedgerError, LedgerFenced
from gpucost.ledger.ledger import Ledger, NodeTotal

__all__ = ["Ledger", "LedgerError", "LedgerFenced", "NodeTotal"]
