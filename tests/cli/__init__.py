"""The command line, as its users meet it: the console script, in pipes and terminals."""
