"""What every room stands on: the error family and how plug-ins are found."""
