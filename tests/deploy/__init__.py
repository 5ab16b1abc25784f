"""What is promised of the image, the release and the scripts of deploy/."""
