"""The custom resources: pydantic models, the CRDs and references generated from them, conversion to the core."""
