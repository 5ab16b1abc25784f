"""The ledger in Google Cloud Firestore. Importing it loads Google's client, so only `bootstrap` does, where needed."""

from app.adapters.firestore.ledger import FirestoreLedger

__all__ = ["FirestoreLedger"]
