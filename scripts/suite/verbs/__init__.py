"""One module per verb; each has a click command named `command`. A new verb is a module here and a name in cli.VERBS."""
