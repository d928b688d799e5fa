"""The ``flask msal`` commands: checks, probes, explanations."""
