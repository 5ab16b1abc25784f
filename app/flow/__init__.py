"""What is done, in which order: one alert, reconcile, square-off. It reaches the outside through its ports alone."""
