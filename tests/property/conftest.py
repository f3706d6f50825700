"""The databases of the ledger's tests, and how worlds are tried."""

from hypothesis import settings

from support.ledger_databases import clusters_in_postgres, postgres, url

__all__ = ["clusters_in_postgres", "postgres", "url"]

# How long one example takes says how busy the machine is: pytest has a limit for the whole test.
settings.register_profile("unhurried", settings.get_profile(settings.get_current_profile_name()), deadline=None)
settings.load_profile("unhurried")
