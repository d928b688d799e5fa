"""Costs of the extension, measured against a floor and against the package identity.

``tox -e benchmark`` runs all questions in some minutes, ``python -m benchmarks views
load`` some of them, ``--quick`` tells only whether they run. Needs Linux,
``redis-server`` and, for ``load``, ``wrk`` on PATH; starts servers of its own.

The floor is a bare Flask app with Flask-Session on the same store: F1 reads a user from
the session, F2 an access token, too. It checks nothing and cannot refresh, but writes
the session at each request. Identity is a package for the same task.

Questions, a module each:

``views``      time of a view with 1, 5 and 20 cached tokens, to the floor's
``refresh``    time of a silent refresh, to identity's; connections
``signin``     HTTP calls and connections of a sign-in
``challenge``  time from a refused API call to the redirect
``validate``   time of an API's guard, to PyJWT's
``on_behalf``  time of a kept token, to one GET of Redis; what many take there
``traffic``    commands and bytes to and from Redis
``memory``     Redis a session, a worker's growth a user
``imports``    time to import the package
``load``       throughput behind gunicorn, to the floor's
``soak``       many sessions, many users of a worker, an hour of traffic (by name only)

How to read them. Rounds take each case once, in shuffled order; a figure is the median
of the rounds, with its quartiles, and a ratio is that of two turns of one round: other
programs slow both alike. Compare ratios across machines, never times. ``views`` counts
the thread's processor time on a stand-in for Redis in memory, where nothing hides the
extension's own work; beside that it uses a Redis server and the clock. Tokens are the
emulator's, of about 1.2 KB, one for each API unless a line says otherwise; the emulator
runs in a process of its own, and both it and identity trust the bundle of certifi plus
one CA, as they would in production.
"""
