"""What the pipeline is made of: a folder for each step, and folders for what the steps share."""
