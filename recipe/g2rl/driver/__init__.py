"""The driver's life, from launch to summary: it runs in the process that the user started."""
