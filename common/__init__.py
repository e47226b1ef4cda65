"""What the scripts share, in rooms; each room's docstring says what belongs there. Importing a room changes nothing of the process:
what scripts need at their start is `common.start`."""
