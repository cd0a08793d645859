"""What each command does, from the options as written to an exit code. Floor 6, beside `cli`.

`options` and `refused` are tables; `arguments`, `fields` and `request` turn words into values; `app` makes click's
commands from the table and is the only module here that imports click; the rest are the commands. Nothing here reads
the environment or the argument vector: `cli` hands both in as a `Caller`.
"""
