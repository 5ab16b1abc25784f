"""Where notices go: the log always, and every sink that is configured. Clients are imported where one is wanted."""
