"""What a video file is: container, packets, NAL units, rotation, damage. No process, no feature."""
