"""The shelf: everything that touches the outside. The core reaches it through `app.flow.ports` only."""
