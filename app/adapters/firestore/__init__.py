"""The ledger in Google Cloud Firestore. Importing it loads Google's client, so only `bootstrap` does, where needed."""
