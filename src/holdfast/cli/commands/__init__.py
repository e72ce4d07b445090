"""Each command's name, arguments and help. What it does is imported when it is called."""
