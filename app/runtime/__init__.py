"""The process: its settings, its parts put together, its log, the server that runs it."""
