"""What quantizing raises."""

from launch.errors import LaunchError


class QuantizeError(LaunchError):
    """No checkpoint was made."""
