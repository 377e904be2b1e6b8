"""What ended a run, said in one line; imported in the driver's and in the trainer's process."""
